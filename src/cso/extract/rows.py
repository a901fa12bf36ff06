"""Rows for training: TRL's conversational formats, with a column for all that is known of where each came from.

- pairs (DPO, IPO, SimPO, ORPO): `prompt`, `chosen`, `rejected`, lists of messages; the two replies have one message.
- labelled replies (KTO): `prompt`, `completion`, `label`.
- demonstrations (SFT): `prompt`, `completion`. With these two columns a trainer's loss covers the completion alone;
  one column `messages` would train the seeker's words and earlier replies as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from cso.dialogue import Dialogue
from cso.extract.judging import DEFAULT_REWARD, margin, own_reward
from cso.extract.pairs import spoken
from cso.extract.paths import Stages
from cso.preference import Labelled, Pair, Reply
from cso.settings import RewardSettings
from cso.taxonomy import Taxonomy
from cso.transcript import Message, prompt, utterance

Value = list[Message] | str | int | float | bool | None
Row = dict[str, Value]
Kind = Literal["messages", "text", "integer", "number", "truth"]
Columns = Mapping[str, Kind]

_ORIGIN: Columns = {
    "dialogue": "text",  # id of the seed dialogue
    "scene": "text",
    "emotion": "text",
    "situation": "text",
    "turn": "integer",  # supporter turns from 1, a greeting not counted
    "stage": "number",  # 0.0 to 1.0, as in Figure 3
    "weight": "number",
}
_REPLY: Columns = {
    "node": "integer",  # id in the tree
    "strategy": "text",
    "prior": "number",
    "q": "number",
    "n": "integer",
    "gold": "truth",  # said by the seed dialogue itself
    "e": "integer",  # the judge's marks of this very turn, 0 to 4, null where it was not asked
    "i": "integer",
    "h": "integer",
    "s": "integer",
    "reward": "number",  # Eq. 2 of the four marks
}

PAIR_COLUMNS: Columns = {
    "prompt": "messages",
    "chosen": "messages",
    "rejected": "messages",
    **_ORIGIN,
    "margin": "number",  # own-turn reward of the chosen reply minus the rejected one's
    **{f"chosen_{name}": kind for name, kind in _REPLY.items()},
    **{f"rejected_{name}": kind for name, kind in _REPLY.items()},
}
SFT_COLUMNS: Columns = {"prompt": "messages", "completion": "messages", **_ORIGIN, **_REPLY}
KTO_COLUMNS: Columns = {"prompt": "messages", "completion": "messages", "label": "truth", **_ORIGIN, **_REPLY}


def pair_row(pair: Pair, taxonomy: Taxonomy, stages: Stages, reward: RewardSettings = DEFAULT_REWARD) -> Row:
    """A pair as a row of `PAIR_COLUMNS`."""
    return {
        "prompt": prompt(pair.history, taxonomy),
        "chosen": [utterance(spoken(pair.chosen))],
        "rejected": [utterance(spoken(pair.rejected))],
        **_origin(pair.history, pair.turn, pair.weight, stages.get((pair.history.id, pair.chosen.node))),
        "margin": margin(pair, reward),
        **{f"chosen_{name}": value for name, value in _reply(pair.chosen, reward).items()},
        **{f"rejected_{name}": value for name, value in _reply(pair.rejected, reward).items()},
    }


def sft_row(row: Labelled, taxonomy: Taxonomy, stages: Stages, reward: RewardSettings = DEFAULT_REWARD) -> Row:
    """A demonstration as a row of `SFT_COLUMNS`."""
    return {
        "prompt": prompt(row.history, taxonomy),
        "completion": [utterance(spoken(row.reply))],
        **_origin(row.history, row.turn, row.weight, stages.get((row.history.id, row.reply.node))),
        **_reply(row.reply, reward),
    }


def kto_row(row: Labelled, taxonomy: Taxonomy, stages: Stages, reward: RewardSettings = DEFAULT_REWARD) -> Row:
    """A labelled reply as a row of `KTO_COLUMNS`."""
    values = sft_row(row, taxonomy, stages, reward) | {"label": row.desirable}
    return {name: values[name] for name in KTO_COLUMNS}


def _origin(history: Dialogue, turn: int, weight: float, stage: float | None) -> Row:
    return {
        "dialogue": history.id,
        "scene": history.scene,
        "emotion": history.emotion,
        "situation": history.situation,
        "turn": turn,
        "stage": stage,
        "weight": weight,
    }


def _reply(reply: Reply, reward: RewardSettings) -> Row:
    e, i, h, s = reply.rating or (None, None, None, None)
    return {
        "node": reply.node,
        "strategy": reply.strategy,
        "prior": reply.prior,
        "q": reply.value,
        "n": reply.visits,
        "gold": reply.gold,
        "e": e,
        "i": i,
        "h": h,
        "s": s,
        "reward": own_reward(reply.rating, reward),
    }
