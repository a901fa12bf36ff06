"""The model card: README.md beside the weights, as model hubs read it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from jinja2 import Environment, StrictUndefined

from cso.files import yaml_text
from cso.settings import TrainSettings
from cso.train.metrics import Entry

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


def model_card(settings: TrainSettings, log: Sequence[Entry]) -> str:
    """The card's Markdown, with the beginning of YAML that hubs index."""
    adapter = settings.tuning == "lora"
    metadata: dict[str, object] = {
        "base_model": settings.model.name,
        "library_name": "peft" if adapter else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["chain-of-strategy", settings.objective, settings.tuning, "emotional-support"],
    }
    columns = [name for name in _COLUMNS if any(name in entry for entry in log)]
    environment = Environment(
        undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False, trim_blocks=True, lstrip_blocks=True
    )
    template = resources.files("cso.train").joinpath("card.md.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        metadata=yaml_text(metadata),
        title=f"{settings.model.name.rstrip('/').rsplit('/', 1)[-1]}, {settings.objective}",
        settings=settings,
        tuning="low-rank adapters" if adapter else "all weights",
        loading=_ADAPTER if adapter else _MODEL,
        yaml=yaml_text(settings.model_dump(mode="json")),
        columns=columns,
        table=_table(columns, log),
    )


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
