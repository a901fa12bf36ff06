"""The model card: README.md beside the weights, as model hubs read it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import PurePath
from typing import Any

from jinja2 import Environment, StrictUndefined

from cso.files import is_folder, yaml_text
from cso.settings import TrainSettings
from cso.taxonomy import Taxonomy
from cso.train.metrics import Entry
from cso.train.tiny import is_tiny

_COLUMNS = (
    "loss",
    "rewards/margins",
    "rewards/accuracies",
    "logps/accuracies",
    "eval_loss",
    "eval_rewards/margins",
    "eval_rewards/accuracies",
    "eval_logps/accuracies",
)
_ROWS = 12  # of the table; the log has all

_ADAPTER = """\
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

model = AutoPeftModelForCausalLM.from_pretrained("PATH")
tokenizer = AutoTokenizer.from_pretrained("PATH")"""
_MODEL = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("PATH")
tokenizer = AutoTokenizer.from_pretrained("PATH")"""


def model_card(
    settings: TrainSettings, log: Sequence[Entry], *, merged: bool = False, taxonomy: Taxonomy | None = None
) -> str:
    """The card's Markdown, with the beginning of YAML that hubs index. `merged`: of an adapter that is folded in.

    A model in a folder of this machine is named by the folder's last part, and is no `base_model`: nobody else has it.
    """
    adapter = settings.tuning == "lora" and not merged
    base = {"base_model": settings.model.name, "base_model_relation": "adapter" if adapter else "finetune"}
    metadata: dict[str, object] = {
        **(base if on_hub(settings.model.name) else {}),
        "library_name": "peft" if adapter else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["chain-of-strategy", "dialogue", settings.objective, settings.tuning],
    }
    columns = [name for name in _COLUMNS if any(name in entry for entry in log)]
    environment = Environment(
        undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False, trim_blocks=True, lstrip_blocks=True
    )
    template = resources.files("cso.train").joinpath("card.md.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        metadata=yaml_text(metadata),
        title=f"{_last(settings.model.name)}, {settings.objective}",
        model=settings.model.name if on_hub(settings.model.name) else _last(settings.model.name),
        objective=settings.objective,
        tuning=_tuning(settings, merged=merged),
        strategies_alone=settings.target == "strategy",
        loading=_ADAPTER if adapter else _MODEL,
        yaml=yaml_text(_shown(settings)),
        columns=columns,
        table=_table(columns, log),
        supports=taxonomy is None or taxonomy.supports,
    )


def on_hub(name: str) -> bool:
    """Whether a model's name is that of a repository, and not of a folder or of the embedded backbone."""
    return re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) is not None and not is_tiny(name) and not is_folder(name)


def _tuning(settings: TrainSettings, *, merged: bool) -> str:
    if settings.tuning == "full":
        return "all weights"
    return "low-rank adapters, folded in" if merged else "low-rank adapters"


def _shown(settings: TrainSettings) -> dict[str, Any]:
    """Settings as others may read them: no token, and of a path of this machine the last part only."""
    content = settings.model_dump(mode="json")
    content["arguments"] = {key: value for key, value in content["arguments"].items() if key != "hub_token"}
    return _without_paths(content)


def _without_paths(content: Any) -> Any:
    match content:
        case {} as fields:
            return {key: _without_paths(value) for key, value in _items(fields)}
        case str() if not on_hub(content) and ("/" in content or "\\" in content):
            return _last(content)
        case _:
            return content


def _items(fields: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(fields.items())


def _last(path: str) -> str:
    return PurePath(path.replace("\\", "/")).name or path


def _table(columns: Sequence[str], log: Sequence[Entry]) -> list[list[str]]:
    """A row a step, the measures on training and held-out examples of that step together; at most `_ROWS`, spread."""
    steps: dict[int, dict[str, float]] = {}
    for entry in log:
        known = {name: entry[name] for name in columns if entry.get(name) is not None}
        if known:
            steps.setdefault(int(entry["step"]), {}).update(known)
    rows = sorted(steps.items())
    every = -(-len(rows) // _ROWS)
    shown = rows[::-1][:: max(1, every)][::-1]  # the last one always
    return [[str(step), *(f"{row[name]:.4g}" if name in row else "" for name in columns)] for step, row in shown]
