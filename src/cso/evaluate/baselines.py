"""Ways to be asked for a reply without any training: the paper's baselines by prompting (Table 2)."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence

from cso.dialogue import Dialogue
from cso.evaluate.items import Item, items
from cso.taxonomy import Speakers, Taxonomy
from cso.transcript import Message, prompt, tag

Write = Callable[[Sequence[Sequence[Message]]], Awaitable[list[str]]]  # a reply to each prompt

REVISE = (
    "Read your last reply again with the eyes of the person you are talking to. Is its strategy the one that this "
    "moment asks for, and do its words help? Write the better reply, in the same form: (<strategy>) <reply>. "
    "Write nothing else."
)
CRITICISE = (
    "Criticise your last reply. Does its strategy fit what the person needs now? Is it {qualities}? "
    "Name what should change, in at most three sentences. Do not write a new reply yet."
)
REWRITE = (
    "Now write the reply again so that it meets the criticism, in the form: (<strategy>) <reply>. Write nothing else."
)


async def plain(asked: Sequence[Sequence[Message]], write: Write, taxonomy: Taxonomy) -> list[str]:
    """The reply as it comes."""
    return await write(asked)


async def direct_refine(asked: Sequence[Sequence[Message]], write: Write, taxonomy: Taxonomy) -> list[str]:
    """A first reply, then a better one at once."""
    first = await write(asked)
    return await write([[*told, _said(reply), _wish(REVISE)] for told, reply in zip(asked, first, strict=True)])


async def self_refine(asked: Sequence[Sequence[Message]], write: Write, taxonomy: Taxonomy) -> list[str]:
    """A first reply, the model's own criticism of it, then a reply that heeds it; Madaan et al. 2023, one round."""
    criticise = CRITICISE.format(qualities="warm, clear and useful" if taxonomy.supports else "clear and useful")
    first = await write(asked)
    seen = [[*told, _said(reply), _wish(criticise)] for told, reply in zip(asked, first, strict=True)]
    criticism = await write(seen)
    return await write([[*told, _said(words), _wish(REWRITE)] for told, words in zip(seen, criticism, strict=True)])


METHODS = {"plain": plain, "example": plain, "direct-refine": direct_refine, "self-refine": self_refine}


def prompts(
    asked: Sequence[Item], taxonomy: Taxonomy, *, examples: Sequence[Dialogue] = (), seed: int = 0
) -> list[list[Message]]:
    """What a model sees of each item; with `examples`, one moment of them, drawn anew for each item, stands first."""
    shown = items(examples)
    draw = random.Random(seed)
    return [
        _with_example(prompt(item.history, taxonomy), draw.choice(shown), taxonomy.speakers)
        if shown
        else prompt(item.history, taxonomy)
        for item in asked
    ]


def _with_example(messages: list[Message], example: Item, speakers: Speakers) -> list[Message]:
    said = "\n".join(f"{speakers.name(turn.speaker).lower()}: {turn.text}" for turn in example.history.turns)
    system = {
        "role": "system",
        "content": f"{messages[0]['content']}\n\nAn example:\n{said}\nReply: {tag(example.strategy)} {example.text}",
    }
    return [system, *messages[1:]]


def _said(text: str) -> Message:
    return {"role": "assistant", "content": text.strip() or "(nothing)"}


def _wish(text: str) -> Message:
    return {"role": "user", "content": text}
