"""What raters see: items drawn from all that could be shown, in an order and on sides of each rater's own."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cso.annotate.criteria import Criterion, Kind
from cso.dialogue import Dialogue
from cso.errors import InputError

LABEL_STUDIO = "label studio"  # all its raters see one set of tasks; no rater's name has a space


@dataclass(frozen=True, slots=True)
class Said:
    """A reply. `source`, which no rater may learn: an evaluation, one side of the pairs, or the seeds."""

    source: str
    strategy: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Item:
    """A moment and one reply, or two of which it is asked which is better; `turn` says where in the dialogue."""

    history: Dialogue
    turn: int
    replies: tuple[Said, ...]

    @property
    def id(self) -> str:
        """Tells items apart, and tells nothing of them."""
        turns = [[turn.speaker, turn.text] for turn in self.history.turns]
        said = [[reply.strategy, reply.text] for reply in self.replies]
        return _digest([self.history.id, turns, said])


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is one rater's own: the order of the items, and on which of them the second reply is shown as A."""

    order: tuple[str, ...]
    swapped: frozenset[str]


@dataclass(frozen=True, slots=True)
class Annotation:
    """What all raters are asked. `told` says how it was drawn; `same`: pairs left out since they read the same.

    `notice` is what raters are to know of the replies before they begin.
    """

    kind: Kind
    criteria: tuple[Criterion, ...]
    items: tuple[Item, ...]
    seed: int
    told: Mapping[str, str | int]
    same: int = 0
    notice: str = ""

    @property
    def id(self) -> str:
        """Another one for other items, criteria or seed. It does not tell what is compared."""
        asked = [[criterion.name, criterion.definition] for criterion in self.criteria]
        sources = [[reply.source for reply in item.replies] for item in self.items]
        return _digest([self.kind, asked, [item.id for item in self.items], sources, self.seed])

    @property
    def shows_strategies(self) -> bool:
        return any(criterion.strategy for criterion in self.criteria)

    def sheet(self, rater: str) -> Sheet:
        """A shuffle, and for each item a coin; both follow from the seed, the items and the rater's name."""
        dice = random.Random(f"{self.seed}/{self.id}/{rater}")
        order = [item.id for item in self.items]
        dice.shuffle(order)
        swapped = [item.id for item in self.items if len(item.replies) > 1 and dice.random() < 0.5]
        return Sheet(tuple(order), frozenset(swapped))


def draw(
    groups: Sequence[Sequence[Item]], criteria: Sequence[Criterion], *, count: int, seed: int = 0, of: str = ""
) -> Annotation:
    """An annotation of `count` items of the groups; `of` names them in the key. Raises InputError."""
    kept = [differing(group, criteria) for group in groups]
    items = drawn(kept, count, seed=seed)
    return Annotation(
        kind="pair" if len(items[0].replies) > 1 else "single",
        criteria=tuple(criteria),
        items=items,
        seed=seed,
        told={"of": of, "criteria": ",".join(each.name for each in criteria), "items": count, "seed": seed},
        same=sum(map(len, groups)) - sum(map(len, kept)),
    )


def differing(candidates: Sequence[Item], criteria: Sequence[Criterion]) -> list[Item]:
    """Without pairs that a rater could not tell apart."""
    shown = any(criterion.strategy for criterion in criteria)
    return [
        item
        for item in candidates
        if len({(reply.strategy if shown else None, reply.text.strip()) for reply in item.replies}) == len(item.replies)
    ]


def drawn(groups: Sequence[Sequence[Item]], count: int, *, seed: int) -> tuple[Item, ...]:
    """`count` items, as evenly from the groups and their dialogues as can be, else at random.

    Groups take turns, item by item, in an order drawn anew for each round; the others go on where one has no more. None
    is drawn that would give another one away, so there may be fewer. Raises InputError where there is none.
    """
    dice = random.Random(f"{seed}/items")
    left = [_piles(dice.sample(group, len(group))) for group in groups]
    own, every = [Counter[str]() for _ in groups], Counter[str]()  # how many are drawn of each dialogue
    found: list[list[Item]] = [[] for _ in groups]
    while every.total() < count and any(left):
        for place in dice.sample(range(len(groups)), len(groups)):
            if every.total() == count or not left[place]:
                continue
            dialogue = min(left[place], key=lambda id: (own[place][id], every[id]))
            item = left[place][dialogue][0]
            found[place].append(item)
            own[place][dialogue] += 1
            every[dialogue] += 1
            for piles in left:
                if rest := [other for other in piles.pop(dialogue, ()) if not gives_away(item, other)]:
                    piles[dialogue] = rest
    if not any(found):
        raise InputError("expected replies to annotate that differ, found none")
    return tuple(item for group in found for item in group)


def gives_away(one: Item, other: Item) -> bool:
    """Whether a rater who sees both learns something of a reply.

    That is so where they share a reply to the same words, as pairs of one turn do, or where the conversation of one
    goes on with a reply of the other, which must then be a preferred one.
    """
    if one.history.id != other.history.id:
        return False
    short, long = sorted((one, other), key=lambda item: len(item.history.turns))
    texts = [turn.text for turn in short.history.turns]
    after = [turn.text for turn in long.history.turns]
    if after[: len(texts)] != texts:
        return False
    went_on = after[len(texts) : len(texts) + 1] or [reply.text for reply in long.replies]
    return any(reply.text in went_on for reply in short.replies)


def _piles(items: Sequence[Item]) -> dict[str, list[Item]]:
    """The items of each dialogue, in their order."""
    piles: dict[str, list[Item]] = {}
    for item in items:
        piles.setdefault(item.history.id, []).append(item)
    return piles


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]
