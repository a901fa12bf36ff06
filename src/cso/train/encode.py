"""From examples to token ids, by the chat template of the model.

A prompt and a reply are tokenised together and cut where they stop to agree with the prompt as the model is given it to
answer (TRL does the same). So no template has to keep a prompt as it was, and no token is cut in two.
"""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jinja2 import TemplateError

from cso.errors import InputError
from cso.train.examples import Example, PromptKey, prompt_key
from cso.train.trie import Tokens, common_prefix
from cso.transcript import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHUNK = 256  # examples whose texts are tokenised at once
_PROBE = ("Instruction 4711", "Question 4712", "Answer 4713", "Question 4714", "Answer 4715")


@dataclass(frozen=True, slots=True)
class Encoded:
    """An example as token ids. `prompt` + `replies[i]` is what the chat template makes of the i-th conversation."""

    example: Example
    prompt: Tokens
    replies: list[Tokens]  # each with the end of the turn, as the template closes it


@dataclass(frozen=True, slots=True)
class Encoding:
    """All examples that fit, in their order; and how many were changed or left out on the way, for any reason."""

    encoded: list[Encoded]
    trimmed: int  # examples whose histories lost their oldest turns, as they did not fit
    too_long: int  # examples left out: too long a reply, or nothing left to trim
    system_folded: bool  # the template has no system message: its text opens the first user message
    opening_dropped: int  # examples whose histories lost the assistant's turns before the first user message
    prompt_cut: int  # examples whose prompt, as given to be answered, ends otherwise than with the reply behind it

    def notes(self) -> list[str]:
        """What a user should know, a sentence each; nothing where all was encoded as it is."""
        counted = [
            (self.trimmed, "histories that lost their oldest turns, to fit train.packing.max_length"),
            (self.too_long, "examples left out, longer than train.packing.max_target_length or max_length allow"),
            (
                self.opening_dropped,
                "histories that lost what the assistant opens with, which the chat template refuses",
            ),
            (self.prompt_cut, "prompts that the chat template ends otherwise where a reply follows, so cut there"),
        ]
        folded = ["the chat template has no system message: its text opens the first user message"]
        return [f"{text}: {count}" for count, text in counted if count] + folded * self.system_folded


def encode(
    tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example], *, max_length: int, max_target_length: int
) -> Encoding:
    """The token ids of `examples`.

    Where prompt and longest reply exceed `max_length` tokens, the oldest turns after the system message go, as few as
    needed, so that a user message comes first; the last one and the reply stay whole. Examples with a reply of more
    than `max_target_length` tokens, or that cannot fit, are left out. Raises InputError where nothing is left, and
    where the template is missing or cannot take a conversation.
    """
    folds = _folds_system(tokenizer)
    encoded: list[Encoded] = []
    trimmed = opening_dropped = prompt_cut = long_replies = 0
    for first in range(0, len(examples), CHUNK):
        chunk = examples[first : first + CHUNK]
        chat = _Chat(tokenizer, folds=folds)
        histories = [chat.history(example) for example in chunk]
        levels = _levels(chat, chunk, histories, max_length, max_target_length)
        for example, history, level in zip(chunk, histories, levels, strict=True):
            if level is None:
                long_replies += chat.cut(example, history, 0).longest > max_target_length
                continue
            cut = chat.cut(example, history, level)
            encoded.append(Encoded(example, cut.prompt, cut.replies))
            trimmed += level > 0
            opening_dropped += history.opening_dropped
            prompt_cut += cut.short
    too_long = len(examples) - len(encoded)
    if not encoded:
        raise InputError(
            f"none of {too_long} examples can be trained on: {long_replies} have a reply of more than "
            f"{max_target_length} tokens (train.packing.max_target_length), {too_long - long_replies} exceed "
            f"{max_length} tokens even without their histories (train.packing.max_length); raise these settings"
        )
    folded = folds and any(example.prompt[0]["role"] == "system" for example in examples)
    return Encoding(encoded, trimmed, too_long, folded, opening_dropped, prompt_cut)


@dataclass(frozen=True, slots=True, eq=False)
class _History:
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
class _Cut:
    prompt: Tokens
    replies: list[Tokens]
    short: bool  # whether the prompt, given to be answered, goes on otherwise

    @property
    def longest(self) -> int:
        """Tokens of the longest reply."""
        return max(map(len, self.replies))


_Text = tuple[_History, int, str | None]  # which conversation: a history from a level on, and the reply to it


class _Chat:
    """Conversations as text and as tokens; each is rendered and tokenised once."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, folds: bool) -> None:
        self._tokenizer = tokenizer
        self._folds = folds
        self._histories: dict[PromptKey, _History] = {}
        self._texts: dict[_Text, str] = {}
        self._tokens: dict[_Text, Tokens] = {}

    def history(self, example: Example) -> _History:
        """The example's prompt, without an opening by the assistant if the template refuses one."""
        key = prompt_key(example.prompt)
        if key not in self._histories:
            self._histories[key] = self._accepted(example)
        return self._histories[key]

    def tokenise(self, asked: Sequence[tuple[Example, _History, int]]) -> None:
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
        for text, ids in zip(wanted, _ids(self._tokenizer, [self._texts[text] for text in wanted]), strict=True):
            self._tokens[text] = ids

    def cut(self, example: Example, history: _History, level: int) -> _Cut:
        """Prompt and replies, after `tokenise`. The prompt is what all replies leave of it."""
        prompt = self._tokens[history, level, None]
        whole = [self._tokens[history, level, reply] for reply in example.replies]
        shared = min(common_prefix(prompt, each) for each in whole)
        replies = [each[shared:] for each in whole]
        if shared == 0 or not all(replies):
            raise InputError(
                f"{example.source}: the chat template leaves {'nothing of the reply' if shared else 'no prompt'}; "
                f"check the tokenizer's chat_template"
            )
        return _Cut(prompt if shared == len(prompt) else prompt[:shared], replies, shared < len(prompt))

    def _accepted(self, example: Example) -> _History:
        given = example.prompt
        system = given[0]["content"] if given and given[0]["role"] == "system" else None
        turns = given if system is None else given[1:]
        users = [place for place, turn in enumerate(turns) if turn["role"] == "user"]
        if not users or users[-1] != len(turns) - 1:
            raise InputError(f"{example.source}: expected a prompt that ends in a user message")
        whole = _History(system, turns, [0, *(place for place in users if place > 0)])
        try:
            self._render((whole, 0, None))
        except TemplateError as error:
            if users[0] == 0:
                raise _refused(example, error) from error
            return _History(system, turns, users, opening_dropped=True)
        return whole

    def _render(self, text: _Text) -> None:
        if text not in self._texts:
            history, level, reply = text
            said: list[Message] = [] if reply is None else [{"role": "assistant", "content": reply}]
            messages = [*history.messages(level, folds=self._folds), *said]
            self._texts[text] = _rendered(self._tokenizer, messages, to_be_answered=reply is None)


def _levels(
    chat: _Chat, examples: Sequence[Example], histories: Sequence[_History], max_length: int, max_target_length: int
) -> list[int | None]:
    """The lowest level at which each example fits; None where there is none.

    By bisection, all examples at once: a shorter history has fewer tokens.
    """
    ends = [len(history.starts) for history in histories]
    lowest, highest = [0] * len(ends), list(ends)  # what is sought lies between, `highest` included
    levels = dict.fromkeys(range(len(ends)), 0)  # tried next: first, each as a whole
    while levels:
        chat.tokenise([(examples[index], histories[index], level) for index, level in levels.items()])
        for index, level in levels.items():
            cut = chat.cut(examples[index], histories[index], level)
            if cut.longest > max_target_length:
                lowest[index] = highest[index] = ends[index]
            elif len(cut.prompt) + cut.longest > max_length:
                lowest[index] = level + 1
            else:
                highest[index] = level
        levels = {index: (lowest[index] + highest[index]) // 2 for index in levels if lowest[index] < highest[index]}
    return [level if level < end else None for level, end in zip(highest, ends, strict=True)]


def _folds_system(tokenizer: PreTrainedTokenizerBase) -> bool:
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


def _rendered(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, to_be_answered: bool) -> str:
    return str(tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=to_be_answered))


def _ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[Tokens]:
    """Templates write their own special tokens at the beginning, so the tokenizer adds none."""
    if not texts:
        return []
    return tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]


def _refused(example: Example, error: TemplateError) -> InputError:
    return InputError(f"{example.source}: the model's chat template refuses the conversation: {error.message or error}")
