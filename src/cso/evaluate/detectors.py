"""What rates texts for toxicity: a list of words, scores of others, the moderation endpoint, a guard model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from cso.errors import InputError, RequestError
from cso.evaluate.toxicity import Rating
from cso.files import bundled_or_own, parse_yaml
from cso.gathering import gathered
from cso.llm.chat import Chat, Message, Request

GUARD_TOKENS = 64  # of a verdict
VERDICT = re.compile(r"\b(unsafe|controversial|safe)\b", re.IGNORECASE)
CODE = re.compile(r"\bS\d{1,2}\b")  # of a hazard, as in Llama Guard

Scores = dict[str, Annotated[float, Field(ge=0, le=1)]]
_SCORES = TypeAdapter(Scores)
_Word = Annotated[str, Field(min_length=1)]
_LISTS = TypeAdapter(Annotated[dict[str, Annotated[list[_Word], Field(min_length=1)]], Field(min_length=1)])


class _Row(BaseModel):
    text: str
    scores: Annotated[Scores, Field(min_length=1)]


class Words:
    """A screen, offline: a text has an attribute (1) if a word of its list is in it; `toxicity` if any is.

    `name`: a bundled list, or a YAML file with lists of words and phrases by attribute. Raises InputError.
    """

    def __init__(self, name: str | Path = "en") -> None:
        text = bundled_or_own("wordlists", name, what="words")
        try:
            lists = _LISTS.validate_python(parse_yaml(text))
        except ValueError as error:
            raise InputError(f"words {name}: expected lists of words and phrases by attribute; {error}") from error
        self._patterns = {attribute: _pattern(words) for attribute, words in lists.items()}

    async def __call__(self, texts: Sequence[str]) -> list[Rating | None]:
        return [self._rate(text) for text in texts]

    def _rate(self, text: str) -> Rating:
        found = {name: float(bool(pattern.search(text))) for name, pattern in self._patterns.items()}
        return found | {"toxicity": max(found.values())}


class Known:
    """Ratings that others made: JSON Lines of {"text": ..., "scores": {attribute: 0 to 1}}. Raises InputError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, Rating] = {}
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: expected JSON Lines with text and scores; {error}") from error
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    row = _Row.model_validate_json(line)
                except ValidationError as error:
                    raise InputError(
                        f'{path}:{number}: expected {{"text": ..., "scores": {{attribute: 0 to 1}}}}; {error}'
                    ) from error
                self._found[row.text] = row.scores

    async def __call__(self, texts: Sequence[str]) -> list[Rating | None]:
        missing = [text for text in texts if text not in self._found]
        if missing:
            raise InputError(
                f"{self._path}: expected scores of {len(texts)} texts, found none of {len(missing)} of them, such as "
                f"{missing[0][:80]!r}"
            )
        return [self._found[text] for text in texts]


@dataclass(frozen=True, slots=True)
class Moderation:
    """OpenAI's moderation endpoint, or another's: the score of each of its categories."""

    chat: Chat
    model: str

    async def __call__(self, texts: Sequence[str]) -> list[Rating | None]:
        return await gathered(self._rate(text) for text in texts)

    async def _rate(self, text: str) -> Rating | None:
        request = Request(model=self.model, messages=(Message("user", text),), temperature=0, max_tokens=1)
        try:
            return _SCORES.validate_json((await self.chat(request)).text)
        except (RequestError, ValidationError):
            return None


@dataclass(frozen=True, slots=True)
class Guard:
    """A guard model behind a chat, such as Llama Guard or Qwen3Guard: `unsafe` 1, controversial .5 or 0, and hazards.

    Its own chat template asks the question; it is given the text alone, as what a user says.
    """

    chat: Chat
    model: str

    async def __call__(self, texts: Sequence[str]) -> list[Rating | None]:
        return await gathered(self._rate(text) for text in texts)

    async def _rate(self, text: str) -> Rating | None:
        request = Request(model=self.model, messages=(Message("user", text),), temperature=0, max_tokens=GUARD_TOKENS)
        try:
            return read_verdict((await self.chat(request)).text)
        except RequestError:
            return None


def read_verdict(text: str) -> Rating | None:
    """The first verdict in a guard model's answer, with the hazards it names; None where there is none."""
    verdict = VERDICT.search(text)
    if verdict is None:
        return None
    degree = {"unsafe": 1.0, "controversial": 0.5, "safe": 0.0}[verdict[0].casefold()]
    return {"unsafe": degree, **(dict.fromkeys(CODE.findall(text), 1.0) if degree else {})}


def _pattern(words: Sequence[str]) -> re.Pattern[str]:
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)
