"""Conversations as a model's chat template writes them, and as tokens."""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from importlib import import_module
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, Self

from jinja2 import TemplateError

from cso.errors import InputError
from cso.train.examples import Example, PromptKey, prompt_key
from cso.train.trie import Tokens, common_prefix
from cso.transcript import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PROBE = ("Instruction 4711", "Question 4712", "Answer 4713", "Question 4714", "Answer 4715")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as a model is given it to answer: the text that the chat template makes, and its tokens."""

    text: str
    tokens: Tokens
    trimmed: bool  # whether the history lost its oldest turns


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """A prompt, and where it may begin. A higher level is a later beginning."""

    system: str | None
    turns: Sequence[Message]
    starts: Sequence[int]  # by level: the whole, then each later user message
    opening_dropped: bool = False

    def messages(self, level: int, *, folds: bool) -> list[Message]:
        turns = list(self.turns[self.starts[level] :])
        if self.system is None:
            return turns
        if not folds:
            return [{"role": "system", "content": self.system}, *turns]
        if not self.system.strip():
            return turns
        place = next(place for place, turn in enumerate(turns) if turn["role"] == "user")
        turns[place] = {"role": "user", "content": f"{self.system}\n\n{turns[place]['content']}"}
        return turns


@dataclass(frozen=True, slots=True)
class Cut:
    prompt: Tokens
    replies: list[Tokens]
    short: bool  # whether the prompt, given to be answered, goes on otherwise

    @property
    def longest(self) -> int:
        """Tokens of the longest reply."""
        return max(map(len, self.replies))


_Text = tuple[History, int, str | None]  # which conversation: a history from a level on, and the reply to it


class Chat:
    """Conversations as text and as tokens; each is rendered and tokenised once."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, folds: bool, closed: bool = True) -> None:
        """`closed`: replies are whole, and end as the template ends a turn; else they are beginnings of replies."""
        self._tokenizer = tokenizer
        self._folds, self._closed = folds, closed
        self._histories: dict[PromptKey, History] = {}
        self._texts: dict[_Text, str] = {}
        self._tokens: dict[_Text, Tokens] = {}

    def history(self, example: Example) -> History:
        """The example's prompt, without an opening by the assistant if the template refuses one."""
        key = prompt_key(example.prompt)
        if key not in self._histories:
            self._histories[key] = self._accepted(example)
        return self._histories[key]

    def tokenise(self, asked: Sequence[tuple[Example, History, int]]) -> None:
        """Make what `cut` needs, all at once."""
        wanted = {
            (history, level, reply): example
            for example, history, level in asked
            for reply in (None, *example.replies)
            if (history, level, reply) not in self._tokens
        }
        for text, example in wanted.items():
            try:
                self._render(text)
            except TemplateError as error:
                raise _refused(example, error) from error
        for text, ids in zip(wanted, token_ids(self._tokenizer, [self._texts[text] for text in wanted]), strict=True):
            self._tokens[text] = ids

    def prompt(self, history: History, level: int) -> Prompt:
        """The prompt alone, after `tokenise`."""
        return Prompt(self._texts[history, level, None], self._tokens[history, level, None], level > 0)

    def cut(self, example: Example, history: History, level: int) -> Cut:
        """Prompt and replies, after `tokenise`. The prompt is what all replies leave of it."""
        prompt = self._tokens[history, level, None]
        whole = [self._tokens[history, level, reply] for reply in example.replies]
        given, replies = split(prompt, whole)
        if not given or not all(replies):
            raise InputError(
                f"{example.source}: the chat template leaves {'nothing of the reply' if given else 'no prompt'}; "
                f"check the tokenizer's chat_template"
            )
        return Cut(given, replies, len(given) < len(prompt))

    def _accepted(self, example: Example) -> History:
        given = example.prompt
        system = given[0]["content"] if given and given[0]["role"] == "system" else None
        turns = given if system is None else given[1:]
        users = [place for place, turn in enumerate(turns) if turn["role"] == "user"]
        if not users or users[-1] != len(turns) - 1:
            raise InputError(f"{example.source}: expected a prompt that ends in a user message")
        whole = History(system, turns, [0, *(place for place in users if place > 0)])
        try:
            self._render((whole, 0, None))
        except TemplateError as error:
            if users[0] == 0:
                raise _refused(example, error) from error
            return History(system, turns, users, opening_dropped=True)
        return whole

    def _render(self, text: _Text) -> str:
        if text not in self._texts:
            history, level, reply = text
            if reply is not None and not self._closed:
                self._texts[text] = self._render((history, level, None)) + reply
            else:
                said: list[Message] = [] if reply is None else [{"role": "assistant", "content": reply}]
                messages = [*history.messages(level, folds=self._folds), *said]
                self._texts[text] = _rendered(self._tokenizer, messages, to_be_answered=reply is None)
        return self._texts[text]


def split(prompt: Tokens, whole: Sequence[Tokens]) -> tuple[Tokens, list[Tokens]]:
    """Of conversations tokenised as one: the prompt, which is what all of them leave of it, and the rest of each."""
    shared = min(common_prefix(prompt, each) for each in whole)
    return prompt if shared == len(prompt) else prompt[:shared], [each[shared:] for each in whole]


def folds_system(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the template takes no system message, or leaves its text out. Raises InputError for unfit templates."""
    if tokenizer.chat_template is None:
        raise InputError(
            "the tokenizer has no chat template: take an instruct model, or set the tokenizer's chat_template"
        )
    roles = ("system", "user", "assistant", "user", "assistant")
    told = [{"role": role, "content": content} for role, content in zip(roles, _PROBE, strict=True)]
    try:
        bare = _rendered(tokenizer, told[1:], to_be_answered=False)
    except TemplateError:
        return False  # what it says of the examples themselves is the better message
    if not all(text in bare for text in _PROBE[-2:]):
        raise InputError("the chat template leaves out what is said: it is not for messages of plain text")
    try:
        texts = [
            _rendered(tokenizer, told[:-1], to_be_answered=True),
            _rendered(tokenizer, told, to_be_answered=False),
        ]
    except TemplateError:
        return True
    return not all(_PROBE[0] in text for text in texts)


class _OneDay(datetime):
    """For templates that write the date: always the same, so that a training can go on on another day."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls(2025, 3, 7, tzinfo=tz)  # the paper's


def _rendered(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, to_be_answered: bool) -> str:
    """The text of a conversation. Whatever goes wrong in a template is a TemplateError."""
    utils: Any = import_module("transformers.utils.chat_template_utils")  # here, because it takes seconds
    own, utils.datetime = utils.datetime, _OneDay  # templates cannot be given a clock of ours
    try:
        return str(tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=to_be_answered))
    except TemplateError:
        raise
    except Exception as error:
        raise TemplateError(f"{type(error).__name__}: {error}") from error
    finally:
        utils.datetime = own


def token_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[Tokens]:
    """Templates write their own special tokens at the beginning, so the tokenizer adds none.

    Conversations that begin alike cost little: what is before a special token has no part in how the text after it is
    tokenised, so texts are taken from one to the next, and equal pieces once.
    """
    separators = _Separators.of(tokenizer)
    if not texts or separators is None:
        return _ids(tokenizer, texts)
    pieces = [separators.pieces(text) for text in texts]
    unique = list(dict.fromkeys(chain.from_iterable(pieces)))
    known = dict(zip(unique, _ids(tokenizer, unique), strict=True))
    found = [list(chain.from_iterable(known[piece] for piece in each)) for each in pieces]
    longest = max(range(len(texts)), key=lambda place: len(texts[place]))
    alone = _ids(tokenizer, [texts[longest]])
    return found if found[longest] == alone[0] else _ids(tokenizer, texts)  # a tokenizer that looks further back


def _ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[Tokens]:
    if not texts:
        return []
    return tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]


@dataclass(frozen=True, slots=True)
class _Separators:
    """The special tokens that stand for themselves wherever they are, and take nothing of what is around them."""

    found: re.Pattern[str]  # as tokenizers look for them: those of all tokens that are added, the longest first
    separate: frozenset[str]  # which of them do

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> Self | None:
        """None where a tokenizer has none."""
        if getattr(tokenizer, "split_special_tokens", False):
            return None
        added = [token for token in tokenizer.added_tokens_decoder.values() if not token.normalized]
        contents = sorted((token.content for token in added), key=len, reverse=True)
        alone = {
            each.content for each in added if each.special and not (each.lstrip or each.rstrip or each.single_word)
        }
        return cls(re.compile("|".join(map(re.escape, contents))), frozenset(alone)) if alone else None

    def pieces(self, text: str) -> list[str]:
        """The text, cut before each of them."""
        cuts = [match.start() for match in self.found.finditer(text) if match[0] in self.separate]
        return [text[start:stop] for start, stop in pairwise([0, *cuts, len(text)]) if start < stop]


def _refused(example: Example, error: TemplateError) -> InputError:
    return InputError(f"{example.source}: the model's chat template refuses the conversation: {error.message or error}")
