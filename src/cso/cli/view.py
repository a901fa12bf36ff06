"""`cso view`: the page of a run, served to this machine alone, while the run goes on."""

from __future__ import annotations

import json
import threading
import webbrowser
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, cast
from urllib.parse import unquote, urlsplit

import typer

from cso.cli.options import console
from cso.cli.report import facts_of
from cso.cli.shelf import Shelf, stamp
from cso.errors import CsoError, InputError
from cso.report import overview, page
from cso.store import Run

HOST = "127.0.0.1"


def view_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory; its search may still go on.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of this machine; 0: any that is free.")] = 8642,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Serve RUN's page on 127.0.0.1, refreshed as trees grow. Ctrl-C ends it."""
    server = serve(Run.open(run_folder), port)
    address = f"http://{HOST}:{server.server_port}/"
    console().print(f"{run_folder} at {address} (this machine alone; Ctrl-C ends it)")
    if open_:
        webbrowser.open(address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        console().print("ended")
    finally:
        server.server_close()


def serve(run: Run, port: int) -> ThreadingHTTPServer:
    """A server that has yet to be started. Raises InputError where the port cannot be had."""
    try:
        return ThreadingHTTPServer((HOST, port), type("Handler", (_Handler,), {"pages": _Pages(Shelf(run))}))
    except OSError as error:
        raise InputError(f"--port {port}: cannot be served ({error.strerror or error}); give another, or 0") from error


@dataclass(slots=True)
class _Pages:
    """What lies at each path. One request at a time reads the run."""

    shelf: Shelf
    turn: threading.Lock = field(default_factory=threading.Lock)
    told: tuple[str, ...] = ()  # what the run was told, when it was opened

    def at(self, path: str) -> tuple[str, str]:
        """The type and text of what lies at a path. Raises KeyError where there is nothing."""
        with self.turn:
            self._reopen()
            match [unquote(part) for part in path.split("/")[1:]]:
                case [""]:
                    self.shelf.index()
                    return "text/html", page(facts_of(self.shelf), data=None)
                case ["overview"]:
                    return "text/html", overview(facts_of(self.shelf))
                case ["data", "index"]:
                    return "application/json", json.dumps(self.shelf.index(), allow_nan=False)
                case ["data", name]:
                    return "application/json", json.dumps(self.shelf.part(name), allow_nan=False)
                case _:
                    raise KeyError(path)

    def _reopen(self) -> None:
        """A run that is grown again under other settings is another run."""
        folder = self.shelf.run.folder
        told = tuple(stamp(folder / name) for name in ("settings.yaml", "taxonomy.yaml") if (folder / name).exists())
        if self.told not in ((), told):
            self.shelf = Shelf(Run.open(folder))
        self.told = told


class _Handler(BaseHTTPRequestHandler):
    server_version, sys_version = "cso", ""
    pages: _Pages  # of the run that is served

    def do_GET(self) -> None:
        port = cast(ThreadingHTTPServer, self.server).server_port
        if self.headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):
            self._send(HTTPStatus.FORBIDDEN, "text/plain", "only for this machine")  # not by another's name for it
            return
        try:
            path = urlsplit(self.path).path
        except ValueError:
            self._send(HTTPStatus.BAD_REQUEST, "text/plain", "no address")
            return
        try:
            self._send(HTTPStatus.OK, *self.pages.at(path))
        except KeyError:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", "this run has nothing there (any more)")
        except CsoError as error:
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", str(error))

    def _send(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode("utf-8", "backslashreplace")
        with suppress(ConnectionError):  # where the browser has gone elsewhere
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: people look at the page."""
