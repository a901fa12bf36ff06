"""The command `cso`: one subcommand a file. A user's mistake ends in one line, never in a traceback."""

from __future__ import annotations

import errno
import io
import sys
from importlib import metadata
from typing import Annotated

import typer

from cso.cli.agreement import agreement_command
from cso.cli.annotate import annotate_command
from cso.cli.chat import chat_command
from cso.cli.corpus import corpus
from cso.cli.evaluate import compare_command, evaluate_command
from cso.cli.extract import extract_command
from cso.cli.fetch import fetch
from cso.cli.judge import judge_command
from cso.cli.push import push_command
from cso.cli.recipes import recipes
from cso.cli.report import report_command
from cso.cli.run import run_command
from cso.cli.search import search
from cso.cli.study import study_command
from cso.cli.toxicity import toxicity_command
from cso.cli.train import train_command
from cso.cli.view import view_command
from cso.errors import BudgetSpent, CsoError

FAILED, MISTAKE, SPENT, INTERRUPTED = 1, 2, 3, 130  # exit statuses

app = typer.Typer(
    name="cso",
    help="Chain-of-Strategy Optimization: search conversation trees, extract strategy preferences, train on them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(metadata.version("chain-of-strategy"))
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version.")]


@app.callback()
def options(version: Version = False) -> None:
    """What is there without a subcommand."""


app.command(name="run")(run_command)
app.command()(search)
app.command(name="extract")(extract_command)
app.command(name="train")(train_command)
app.command(name="evaluate")(evaluate_command)
app.command(name="compare")(compare_command)
app.command(name="chat")(chat_command)
app.command(name="judge")(judge_command)
app.command(name="annotate")(annotate_command)
app.command(name="agreement")(agreement_command)
app.command(name="toxicity")(toxicity_command)
app.command(name="study")(study_command)
app.command(name="report")(report_command)
app.command(name="push")(push_command)
app.command()(fetch)
app.command(name="view")(view_command)
app.command()(corpus)
app.command()(recipes)


def main() -> None:
    """Run the command line; exit 0 done, 1 some of it failed, 2 a mistake, 3 a budget is spent, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # whatever the locale, words of a dialogue can be printed
    try:
        app()
    except BudgetSpent as error:
        sys.exit(_complain(error, SPENT))
    except CsoError as error:
        sys.exit(_complain(error, MISTAKE))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        sys.exit(_complain(f"{error.strerror}: make room; the same command goes on from here", MISTAKE))
    except SystemExit as end:
        if end.code == INTERRUPTED:
            _complain("stopped; nothing is lost: the same command goes on from here", INTERRUPTED)
        raise


def _complain(message: object, status: int) -> int:
    print(f"cso: {message}", file=sys.stderr)  # noqa: T201
    return status
