"""`cso chat`: talk to a model in the terminal, its strategy shown before each reply."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Generator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cso.casting import embedded_backbone
from cso.chat import Conversation, EndpointSpeaker, Screen, Session, Speaker
from cso.cli.options import Assignments, assignments, console, loadable, need, quiet
from cso.dialogue import Dialogue
from cso.llm import Answers
from cso.llm.endpoints import Endpoint
from cso.settings import Settings, load_settings
from cso.store import Run
from cso.taxonomy import Taxonomy, load_taxonomy

SAID = {"temperature": 0.7, "max_tokens": 256}  # evaluate.*, unless told: evaluation wants the likeliest, short reply
PATIENCE = 30  # seconds with an endpoint that does not answer, unless told: somebody is waiting


def chat_command(
    model: Annotated[
        str, typer.Option(help="`tiny`, a folder, a name on the hub, a model of --run, or one of an endpoint.")
    ],
    base_url: Annotated[str | None, typer.Option(help="An OpenAI-compatible endpoint that serves the model.")] = None,
    taxonomy: Annotated[
        str | None, typer.Option(help="Strategies: bundled or a file; if not given, the model's, the run's, or esc8.")
    ] = None,
    run: Annotated[Path | None, typer.Option(metavar="RUN", help="A run: its models, strategies and settings.")] = None,
    situation: Annotated[
        str, typer.Option(help="What it is about, for /save: a search's seeker is told it, this model is not.")
    ] = "",
    temperature: Annotated[
        float | None, typer.Option(help="0: the likeliest words each time; 0.7 if not given.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of what is drawn.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Of a reply; 256 if not given.")] = None,
    set_: Assignments = None,
) -> None:
    """Talk to a model: its strategy before each reply, the others' probabilities on request. For research only.

    Where the input is no terminal, each line of it is said or done, and the exit status is 1 if one could not be.
    """
    there = None if run is None else Run.open(run)
    short = {"evaluate.temperature": temperature, "evaluate.seed": seed, "evaluate.max_tokens": max_tokens}
    numbers = [f"{key}={value}" for key, value in short.items() if value is not None]
    said = [*numbers, *assignments(set_, taxonomy=taxonomy)]
    settings = load_settings(None, said, base=_defaults(there))
    place = loadable(model, there) if base_url is None else model
    told = any(each.partition("=")[0].strip() == "taxonomy" for each in said)
    strategies = load_taxonomy(settings.taxonomy) if told else _strategies(place, there, local=base_url is None)
    screen = console()
    live = sys.stdin.isatty() and screen.is_terminal
    with _speaker(screen, settings, place, base_url, strategies, there) as speaker:
        shown = Screen(screen, strategies, plain=not live)
        begun = Conversation(Dialogue("chat", (), situation=situation))
        session = Session(speaker, strategies, settings.evaluate, shown, begun)
        shown.welcome(place, speaker.address)
        (_converse if live else _follow)(session)
    if session.failed and not live:
        raise typer.Exit(1)


def _defaults(run: Run | None) -> Settings:
    """Settings before anything is told: the run's, or else ours, but for what talking wants otherwise."""
    base = Settings() if run is None else run.settings
    limits = base.limits.model_copy(update={"patience": PATIENCE} if run is None else {})
    return base.model_copy(update={"evaluate": base.evaluate.model_copy(update=SAID), "limits": limits})


def _strategies(place: str, run: Run | None, *, local: bool) -> Taxonomy:
    """Those that the model was trained to choose from, if it says so."""
    own = Path(place) / "taxonomy.yaml"
    with suppress(OSError):  # too long a name
        if local and own.is_file():
            return load_taxonomy(own)
    return load_taxonomy("esc8") if run is None else run.taxonomy


@contextmanager
def _speaker(
    screen: Console, settings: Settings, place: str, base_url: str | None, taxonomy: Taxonomy, run: Run | None
) -> Generator[Speaker]:
    if base_url is None:
        yield _local(screen, settings, place, taxonomy, run)
        return
    player = settings.cast.default
    price = player.price if player.model == place else None
    endpoint = Endpoint(base_url, player.api_key_env, price, settings.limits)
    answers = Answers()
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        chat = runner.run(stack.enter_async_context(endpoint.chat(place, answers, "supporter")))
        try:
            yield EndpointSpeaker(chat, place, base_url, taxonomy, settings.evaluate, runner, answers)
        finally:
            runner.run(stack.aclose())


def _local(screen: Console, settings: Settings, place: str, taxonomy: Taxonomy, run: Run | None) -> Speaker:
    need("talking to a model in this process", ("torch", "transformers", "accelerate", "peft"))
    from cso.chat.local import ADVICE, LocalSpeaker  # here, like the next, because they take seconds to import
    from cso.evaluate.local import load_local
    from cso.train.memory import memory_advice

    quiet()
    told = settings.train.model.model_copy(update={"name": place})
    told = told if run is None else embedded_backbone(told, run, screen.print)
    with memory_advice(ADVICE):
        model = load_local(
            told,
            taxonomy,
            max_length=settings.evaluate.max_length,
            max_tokens=settings.evaluate.max_tokens,
            say=screen.print,
        )
    return LocalSpeaker(model, taxonomy, settings.evaluate)


def _converse(session: Session) -> None:
    """Lines are typed. Ctrl-C stops a reply, or drops what is typed; it never ends the session."""
    with suppress(ImportError):
        import readline  # noqa: F401  # pyright: ignore[reportUnusedImport]: gives `input` editing and a history
    while True:
        try:
            line = input("> ")
        except EOFError:
            session.screen.note("")
            return
        except KeyboardInterrupt:
            session.screen.note("\nCtrl-D or /quit ends")
            continue
        except UnicodeDecodeError as error:
            session.screen.mistake(f"expected text in the terminal's encoding; {error}")
            continue
        try:
            if not session.take(line):
                return
        except KeyboardInterrupt:
            session.stopped()


def _follow(session: Session) -> None:
    """Lines come from a file or another program."""
    for line in typer.get_text_stream("stdin", errors="replace"):
        if not session.take(line):
            return
