"""Prompts as files: a system and a user part, filled in with what a role is given.

A file is a Jinja template in two parts, each under a line of its own: `--- system ---` and `--- user ---`. Values
are put in as they are, never read as templates themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2

from cso.dialogue import Dialogue, Speaker, Turn
from cso.errors import InputError
from cso.llm.chat import Message
from cso.taxonomy import Speakers

PARTS = re.compile(r"\A\s*^---[ ]*system[ ]*---[ ]*\n(.*)^---[ ]*user[ ]*---[ ]*\n(.*)\Z", re.MULTILINE | re.DOTALL)
ENVIRONMENT = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A role's two templates."""

    system: jinja2.Template
    user: jinja2.Template

    def fill(self, values: Mapping[str, object]) -> tuple[Message, ...]:
        """The messages; parts that come out empty are left out."""
        parts = (Message("system", self.system.render(values)), Message("user", self.user.render(values)))
        return tuple(Message(part.role, part.content.strip()) for part in parts if part.content.strip())


def load_prompt(role: str, folder: Path | None, trials: Iterable[Mapping[str, object]]) -> Prompt:
    """The prompt `ROLE.md` of the user's `folder`, or the package's where that has none.

    `trials` are values such as the role will give; each is filled in, so that a mistake shows before a run starts.
    Raises InputError, naming the file and what is wrong with it.
    """
    own = folder is not None and (folder / f"{role}.md").exists()
    return parse_prompt(prompt_text(role, folder), str(folder / f"{role}.md") if folder and own else role, trials)


def prompt_text(role: str, folder: Path | None) -> str:
    """The text of the prompt `ROLE.md` of the user's `folder`, or of the package's. Raises InputError."""
    if folder is not None and not folder.is_dir():
        raise InputError(f"cast.prompts: expected a folder with prompts, found none at {folder}")
    path = folder / f"{role}.md" if folder is not None else None
    if path is None or not path.exists():
        return resources.files("cso").joinpath("roles", "prompts", f"{role}.md").read_text(encoding="utf-8")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"prompt {path}: cannot be read: {error}") from error


def parse_prompt(text: str, source: str, trials: Iterable[Mapping[str, object]]) -> Prompt:
    """A prompt from the text of its file, tried out; `source` names the file in errors."""
    parts = PARTS.match(text.replace("\r\n", "\n"))
    if parts is None:
        raise InputError(
            f"prompt {source}: expected two parts, under the lines `--- system ---` and `--- user ---`, in this order"
        )
    known: set[str] = set()
    try:
        prompt = Prompt(*(ENVIRONMENT.from_string(part) for part in parts.groups()))
        for values in trials:
            known |= values.keys()
            if not any(message.role == "user" for message in prompt.fill(values)):
                raise InputError(f"prompt {source}: the part `user` is empty")
    except jinja2.TemplateSyntaxError as error:
        raise InputError(
            f"prompt {source}: not a Jinja template: {error.message} (line {error.lineno} of its part)"
        ) from error
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise InputError(
            f"prompt {source}: cannot be filled in: {error}; it may use {', '.join(sorted(known))}"
        ) from error
    return prompt


def transcript(history: Dialogue, speakers: Speakers, *, strategies: bool) -> str:
    """The history as a role reads it: `Seeker: ...` and `Supporter: ...`, or `Supporter (Strategy): ...`.

    Only a line that begins a turn stands at the margin, so that no utterance can pass for a turn.
    """
    return "\n".join(
        f"{speakers.name(turn.speaker)}{_behind(turn) if strategies else ''}: {_indented(turn.text)}"
        for turn in history.turns
    )


def _behind(turn: Turn) -> str:
    return f" ({turn.strategy})" if turn.strategy is not None and turn.speaker is Speaker.SUPPORTER else ""


def _indented(text: str) -> str:
    return "\n    ".join(text.splitlines())
