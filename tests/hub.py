"""A Hugging Face hub on this machine: what making a repository and uploading a folder ask of it. Standard library only.

    with Hub() as hub:
        ... HF_ENDPOINT=hub.address, HF_TOKEN=hub.TOKEN ...
        hub.repositories["dataset", "me/name"].files["main", "README.md"]

`large` are endings of files that go by the LFS protocol, others come with the commit. `fault` may take a request over.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import unquote, urlsplit

import yaml

TOKEN, READER = "hf_writes", "hf_reads"
LICENSES = ("apache-2.0", "cc-by-4.0", "mit")

Fault = Callable[
    [str, str], "int | Literal['cut'] | None"
]  # of method and path: a status, a cut connection, or nothing


@dataclass(slots=True)
class Repository:
    """Files by branch and name, and the messages of commits."""

    private: bool
    branches: set[str] = field(default_factory=lambda: {"main"})
    files: dict[tuple[str, str], bytes] = field(default_factory=dict[tuple[str, str], bytes])
    commits: list[str] = field(default_factory=list[str])


class Hub:
    """Serves as long as the `with` block lasts."""

    def __init__(self, *, large: tuple[str, ...] = (), fault: Fault = lambda method, path: None) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.requests: list[tuple[str, str]] = []
        self.stored: dict[str, bytes] = {}  # by SHA-256
        self.large, self.fault = large, fault
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def names(self, kind: str, name: str, branch: str = "main") -> list[str]:
        return sorted(file for where, file in self.repositories[kind, name].files if where == branch)


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        pass

    Handler.hub = hub
    return Handler


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def _serve(self, method: str) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.hub.requests.append((method, path))
        match self.hub.fault(method, path):
            case "cut":
                self.close_connection = True
                self.connection.close()
            case int(status):
                self._send(status, {"error": f"no, by status {status}"})
            case None:
                self._send(*self._answer(method, path, body))

    def _send(self, status: int, content: object) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, object]:
        if path == "/api/validate-yaml":
            return _validated(json.loads(body)["content"])
        if found := re.fullmatch(r"/lfs/(\w+)", path):
            assert hashlib.sha256(body).hexdigest() == found[1]
            self.hub.stored[found[1]] = body
            return 200, {}
        token = (self.headers.get("authorization") or "").removeprefix("Bearer ")
        if token not in (TOKEN, READER):
            return 401, {"error": "Invalid username or password."}
        if token == READER and method != "GET":
            return 403, {"error": "You need write access."}
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if found := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            return self._batch(json.loads(body))
        found = re.fullmatch(r"/api/(dataset|model)s/([^/]+/[^/]+)(?:/(branch|preupload|commit)/(.+))?", path)
        if found is None or (found[1], found[2]) not in self.hub.repositories:
            return 404, {"error": "Repository not found"}
        return self._of_repository(found[1], found[2], found[3], found[4], body)

    def _create(self, asked: dict[str, Any]) -> tuple[int, object]:
        kind, name = asked.get("type", "model"), f"{asked['organization'] or 'me'}/{asked['name']}"
        place = {"url": f"{self.hub.address}/{'datasets/' if kind == 'dataset' else ''}{name}"}
        if (kind, name) in self.hub.repositories:
            return 409, {"error": "You already created this repo", **place}
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.hub.repositories[kind, name] = Repository(private)
        return 200, place

    def _of_repository(self, kind: str, name: str, act: str | None, branch: str, body: bytes) -> tuple[int, object]:
        there = self.hub.repositories[kind, name]
        match act:
            case "branch":
                status = 409 if branch in there.branches else 200
                there.branches.add(branch)
                return status, {"error": "Reference already exists"} if status == 409 else {}
            case "preupload":
                files = json.loads(body)["files"]
                return 200, {"files": [self._mode(file["path"]) for file in files]}
            case "commit" if branch in there.branches:
                self._commit(there, branch, [json.loads(line) for line in body.splitlines()])
                return 200, {"commitUrl": f"{self.hub.address}/{name}/commit/{'0' * 40}", "commitOid": "0" * 40}
            case None:
                return 200, {
                    "_id": "1",
                    "id": name,
                    "private": there.private,
                    "sha": "0" * 40,
                    "siblings": [],
                    "tags": [],
                }
            case _:
                return 404, {"error": "Invalid rev id"}

    def _mode(self, path: str) -> dict[str, object]:
        mode = "lfs" if path.endswith(self.hub.large or ("never",)) else "regular"
        return {"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": None}

    def _batch(self, asked: dict[str, Any]) -> tuple[int, object]:
        upload = [
            {**each, "actions": {"upload": {"href": f"{self.hub.address}/lfs/{each['oid']}", "header": {}}}}
            for each in asked["objects"]
        ]
        return 200, {"transfer": "basic", "objects": upload}

    def _commit(self, there: Repository, branch: str, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            value = line["value"]
            match line["key"]:
                case "header":
                    there.commits.append(value["summary"])
                case "file":
                    there.files[branch, value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    there.files[branch, value["path"]] = self.hub.stored[value["oid"]]
                case other:
                    raise AssertionError(other)


def _validated(card: str) -> tuple[int, object]:
    front = yaml.safe_load(card.split("---\n")[1])
    if front.get("license", LICENSES[0]) not in LICENSES:
        return 400, {"error": '"license" must be one of [apache-2.0, ...]', "errors": [{"message": "license"}]}
    return 200, {"errors": [], "warnings": []}
