"""A chat model that is a pure function: for estimates (`--dry-run`), tests and benchmarks. No network, no meaning."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cso.llm.chat import Completion, Message, Request

WORDS = re.findall(
    r"\w+",
    "and then it was a long week so you sit down for a while and think about what you would like to say next because "
    "there is no hurry here whatever comes first is good enough for today",
)
END = "</end/>"


@dataclass(frozen=True, slots=True)
class ScriptedChat:
    """Plays one role: every answer is a hash of the request and `seed`, in form and length like a model's.

    The strategist and the judge fill in the schema that they are given. The seeker ends the dialogue with
    probability `end` once the supporter has spoken `min_rounds` times. The judge's marks go with the supporter's
    last words more than with chance, so that good and bad replies exist. `supporter` is what prompts call that side.
    """

    role: Literal["seeker", "supporter", "strategist", "judge"]
    seed: int = 0
    end: float = 0.5  # with 6 rounds at least, dialogues are about as long as the paper's (Table 5)
    min_rounds: int = 6
    supporter: str = "Supporter"

    async def __call__(self, request: Request) -> Completion:
        text = self.answer(request)
        prompt = sum(_tokens(message.content) for message in request.messages)
        return Completion(text, "stop", prompt, _tokens(text))

    def answer(self, request: Request) -> str:
        """What the role says; ValueError where the strategist or the judge is given no schema."""
        key = (self.seed, self.role, request.model, _asked(request.messages), request.sample)
        match self.role:
            case "seeker":
                rounds = len(self._said_by_supporter(request))
                ends = rounds >= self.min_rounds and _unit("end", *key) < self.end
                return END if ends else _words(8 + int(9 * _unit("length", *key)), *key)
            case "supporter":
                return _words(14 + int(14 * _unit("length", *key)), *key)
            case "strategist":
                return _filled_in(request.schema, lambda name: 0.5 + 0.5 * _unit(name, *key))
            case "judge":
                quality = _quality(self._said_by_supporter(request) or [request.messages[-1].content], self.seed)
                return _filled_in(request.schema, lambda name: (0.65 * quality + 0.35 * _unit(name, *key)) ** 0.3)

    def _said_by_supporter(self, request: Request) -> list[str]:
        """The lines that the supporter's turns begin with."""
        return re.findall(rf"^{re.escape(self.supporter)}(?!\w).*", request.messages[-1].content, re.MULTILINE)


def _filled_in(schema: Mapping[str, Any] | None, share: Callable[[str], float]) -> str:
    if schema is None:
        raise ValueError("expected a schema to fill in")
    choices = {name: field["enum"] for name, field in schema["properties"].items()}
    return json.dumps(
        {name: marks[min(len(marks) - 1, int(share(name) * len(marks)))] for name, marks in choices.items()}
    )


def _quality(lines: Sequence[str], seed: int) -> float:
    """In [0, 1]: how good the supporter is, the last words counting most."""
    weights = [0.6**age for age in range(len(lines))]
    units = [_unit("quality", seed, line) for line in reversed(lines)]
    mean = sum(weight * unit for weight, unit in zip(weights, units, strict=True)) / sum(weights)
    return min(1.0, max(0.0, 0.5 + 2 * (mean - 0.5)))


def _asked(messages: tuple[Message, ...]) -> str:
    return "\x1e".join(f"{message.role}\x1f{message.content}" for message in messages)


def _words(count: int, *key: object) -> str:
    return " ".join(WORDS[int(_unit(place, *key) * len(WORDS))] for place in range(count)).capitalize() + "."


def _unit(*parts: object) -> float:
    """Uniform in [0, 1): a hash of the parts."""
    text = "\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=6).digest(), "big") / 2**48


def _tokens(text: str) -> int:
    return 1 + len(text) // 4
