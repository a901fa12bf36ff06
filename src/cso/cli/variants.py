"""What a study trains: an objective on a file of preferences, on all of it or a part."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cso.errors import InputError
from cso.files import read_jsonl
from cso.settings import Objective, Settings
from cso.store import Run, file_name

TITLES: Mapping[str, Objective] = {  # as Tables 9 to 11 name them
    "SFT": "sft",
    "DPO": "dpo",
    "IPO": "ipo",
    "SimPO": "simpo",
    "ORPO": "orpo",
    "KTO": "kto",
}
SHARES = (0.25, 0.5, 0.75, 1.0)  # of the dialogues, Figure 4


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to train: on the first of a file's dialogues, or on some, with or without the weights of its pairs."""

    name: str
    objective: Objective
    source: Path
    share: float = 1.0
    weighted: bool = True
    dialogues: frozenset[str] | None = None  # ids; None: all
    said: tuple[str, ...] = ()  # settings of its own
    maker: str = ""  # the command that makes the file

    def require(self) -> None:
        """Raises InputError where the run lacks the preferences for it."""
        if not self.source.exists():
            raise InputError(f"{self.source.parent}: no {self.source.name}; `{self.maker}` makes it")

    def text(self) -> str | None:
        """What the file holds for this variant; None where that is the file itself. Raises InputError."""
        if self.share == 1 and self.weighted and self.dialogues is None:
            return None
        rows = [row for row in read_jsonl(self.source) if self.dialogues is None or row["dialogue"] in self.dialogues]
        order = list(dict.fromkeys(row["dialogue"] for row in rows))
        kept = set(order[: max(1, round(self.share * len(order)))])
        dropped = () if self.weighted else ("weight",)
        return "".join(
            json.dumps({key: value for key, value in row.items() if key not in dropped}, ensure_ascii=False) + "\n"
            for row in rows
            if row["dialogue"] in kept
        )


def trained_in(study: Path, name: str, seed: int) -> Path:
    """Where a study keeps the model of a variant."""
    return study / "models" / file_name(f"{name}-{seed}")


def variants_of(name: str, run: Run, settings: Settings) -> list[Variant]:
    """What a study of the paper trains."""
    chosen = settings.train.objective if settings.train.objective != "sft" else "dpo"
    match name:
        case "main":
            return [variant(run, "SFT", "sft"), variant(run, "CSO", chosen)]
        case "ablation":
            return [variant(run, "SFT", "sft"), cso_random(run, chosen), variant(run, "CSO", chosen)]
        case "volume":
            whole = variant(run, "CSO", chosen)
            return [replace(whole, name=f"CSO, {share:.0%}", share=share) for share in SHARES]
        case "objectives":
            return [variant(run, title, objective) for title, objective in TITLES.items()]
        case _:
            raise ValueError(name)


def variant(run: Run, name: str, objective: Objective) -> Variant:
    return Variant(name, objective, run.view(objective), maker=f"cso extract {run.folder}")


def cso_random(run: Run, objective: Objective) -> Variant:
    """CSO on ESC-Pro-Random."""
    source = run.preferences / "random.jsonl"
    return Variant("CSO-Random", objective, source, maker=f"cso extract {run.folder} --random")


def preferences(run: Run, objective: Objective) -> Path:
    """The view of the run's preferences that an objective takes. Raises InputError."""
    whole = variant(run, objective, objective)
    whole.require()
    return whole.source
