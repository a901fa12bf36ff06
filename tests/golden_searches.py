"""The golden searches: eight searches done by an independent implementation, with the cast they asked."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from stand_in import END, STRATEGIES, StandIn, render

from cso.dialogue import Dialogue, Speaker, Turn
from cso.rating import Rating
from cso.search.cast import Cast, Utterance
from cso.settings import RewardSettings, SearchSettings
from cso.taxonomy import Strategy, Taxonomy
from cso.tree import Root, Tree, node_to_json

FOLDER = Path(__file__).parent / "golden"
NAMES = sorted(path.stem for path in FOLDER.glob("golden_*.json"))
TAXONOMY = Taxonomy("golden", tuple(Strategy(name, f"To answer by {name}.") for name in STRATEGIES))


class Asked:
    """A cast made of the stand-in, and the distinct questions it was asked."""

    def __init__(self, **settings: Any) -> None:
        self.stand_in = StandIn(**settings)
        self.questions: set[tuple[str, str, str | None, int]] = set()
        self.cast = Cast(self.seeker, self.supporter, self.strategist, self.judge)

    def _hear(self, role: str, history: Dialogue, sample: int, strategy: str | None = None) -> str:
        show = role in ("strategist", "judge")
        chat = render([(str(turn.speaker), turn.text, turn.strategy) for turn in history.turns], show)
        self.questions.add((role, chat, strategy, sample))
        return chat

    async def seeker(self, history: Dialogue, *, sample: int = 0) -> Utterance:
        text = self.stand_in.seeker(self._hear("seeker", history, sample), sample)
        return Utterance(text.removesuffix(END).strip(), text.endswith(END))

    async def supporter(self, history: Dialogue, strategy: Strategy, *, sample: int = 0) -> str:
        chat = self._hear("supporter", history, sample, strategy.name)
        return self.stand_in.supporter(chat, strategy.name, sample)

    async def strategist(self, history: Dialogue, *, sample: int = 0) -> dict[str, float]:
        return self.stand_in.strategist(self._hear("strategist", history, sample), sample)

    async def judge(self, history: Dialogue, *, sample: int = 0) -> Rating:
        return Rating(*self.stand_in.judge(self._hear("judge", history, sample), sample))

    def counts(self) -> dict[str, int]:
        return dict(Counter(role for role, *_ in self.questions))


def golden(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def seed_of(content: dict[str, Any]) -> Dialogue:
    seed = content["seed_dialogue"]
    turns = (Turn(Speaker(turn["speaker"]), turn["text"], turn.get("strategy")) for turn in seed["turns"])
    return Dialogue(seed["id"], tuple(turns), situation=seed["situation"], scene=seed["scene"])


def settings_of(content: dict[str, Any], **more: Any) -> SearchSettings:
    known = {key: value for key, value in content["settings"].items() if key in SearchSettings.model_fields}
    reward = RewardSettings(alpha=content["settings"]["alpha"], bias=content["settings"]["bias"])
    return SearchSettings(**known, reward=reward, **more)


def produced(tree: Tree) -> dict[str, Any]:
    """The tree in the golden files' form, without what was asked and what was extracted."""
    rows: list[dict[str, Any]] = []
    for node in tree.nodes:
        path = [step.state.strategy for step in tree.path(node.id) if not isinstance(step.state, Root)]
        rows.append({"path": path, **node_to_json(node)})
    return {"nodes": rows, "iterations": tree.iterations, "ends": tree.ends}
