"""From examples to token ids, by the chat template of the model.

A prompt and a reply are tokenised together and cut where they stop to agree with the prompt as the model is given it to
answer (TRL does the same). So no template has to keep a prompt as it was, and no token is cut in two.
"""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cso.errors import InputError
from cso.train.conversation import Chat, History, Prompt, folds_system
from cso.train.examples import Example
from cso.train.trie import Tokens
from cso.transcript import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHUNK = 256  # examples whose texts are tokenised at once


@dataclass(frozen=True, slots=True)
class Encoded:
    """An example as token ids. `prompt` + `replies[i]` is what the chat template makes of the i-th conversation."""

    example: Example
    prompt: Tokens
    replies: list[Tokens]  # each with the end of the turn, as the template closes it, where it is whole


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
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    max_length: int,
    max_target_length: int,
    closed: bool = True,
) -> Encoding:
    """The token ids of `examples`; of beginnings of replies where these are not `closed`.

    Where prompt and longest reply exceed `max_length` tokens, the oldest turns after the system message go, as few as
    needed, so that a user message comes first; the last one and the reply stay whole. Examples with a reply of more
    than `max_target_length` tokens, or that cannot fit, are left out. Raises InputError where nothing is left, and
    where the template is missing or cannot take a conversation.
    """
    folds = folds_system(tokenizer)
    encoded: list[Encoded] = []
    trimmed = opening_dropped = prompt_cut = long_replies = 0
    for first in range(0, len(examples), CHUNK):
        chunk = examples[first : first + CHUNK]
        chat = Chat(tokenizer, folds=folds, closed=closed)
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


def encode_prompts(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Sequence[Message]], *, max_length: int
) -> list[Prompt]:
    """Prompts to be answered, of at most `max_length` tokens: the oldest turns go, but never the last one.

    Raises InputError where the template is missing or cannot take a conversation, and where a last turn does not fit.
    """
    chat = Chat(tokenizer, folds=folds_system(tokenizer))
    examples = [Example(tuple(prompt), (), "", f"prompt {number}") for number, prompt in enumerate(prompts, 1)]
    histories = [chat.history(example) for example in examples]
    levels = [0] * len(examples)
    while True:
        chat.tokenise(list(zip(examples, histories, levels, strict=True)))
        found = [chat.prompt(history, level) for history, level in zip(histories, levels, strict=True)]
        long = [
            place
            for place, prompt in enumerate(found)
            if len(prompt.tokens) > max_length and levels[place] + 1 < len(histories[place].starts)
        ]
        if not long:
            break
        for place in long:
            levels[place] += 1
    if over := [len(prompt.tokens) for prompt in found if len(prompt.tokens) > max_length]:
        raise InputError(
            f"{len(over)} of {len(found)} prompts have more than {max_length} tokens even without their histories, up "
            f"to {max(over)}; raise evaluate.max_length"
        )
    return found


def _levels(
    chat: Chat, examples: Sequence[Example], histories: Sequence[History], max_length: int, max_target_length: int
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
