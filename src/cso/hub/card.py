"""The card of a dataset or a model, completed with what is known only when it is published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from cso.errors import InputError
from cso.files import parse_yaml, yaml_text

_FENCE = "---\n"
_FIRST = ("license", "language", "base_model", "base_model_relation", "datasets")  # what readers look for
_STRATEGIES = {  # of scores.json: the kind of metric as hubs know it, what it is, and whether a share
    "Q": ("f1", "Q, macro F1 of strategies", True),
    "Q_W": ("f1", "Q_W, weighted F1 of strategies", True),
    "B": ("preference-bias", "B, preference bias", False),
    "accuracy": ("accuracy", "accuracy of strategies", True),
    "unreadable": ("unreadable", "replies without a readable strategy", True),
}
_TEXTS = {"R-L": ("rouge", "ROUGE-L"), "BLEU-2": ("bleu", "BLEU-2"), "BLEU-4": ("bleu", "BLEU-4")}

Scores = Mapping[str, Any]  # the content of scores.json


@dataclass(frozen=True, slots=True)
class Attribution:
    """What of the bundled corpus is in a dataset or a model, whose licence wants it said."""

    seeds: bool  # seed dialogues are of it
    replies: bool  # the embedded cast took its words from it

    def section(self, opening: str) -> str:
        """`opening` says what the words are to the thing, such as "Trained on"."""
        parts = [("the seed dialogues", self.seeds), ("the replies of the embedded cast", self.replies)]
        what = " and ".join(name for name, given in parts if given)
        return (
            f"## Attribution\n\n{opening} {what}, of the bundled corpus of cso (chain-of-strategy), licensed under\n"
            "CC BY 4.0 (<https://creativecommons.org/licenses/by/4.0/>). It was changed: conversations were searched,\n"
            "cut and put together anew."
        )


def completed(
    text: str, *, told: Mapping[str, object], known: Mapping[str, object], sections: Sequence[str], source: Path
) -> str:
    """A card with more metadata and more sections at its end.

    What is `told` goes over what the card says, what is merely `known` under it. Raises InputError for a card whose
    beginning is not YAML.
    """
    front, body = _parts(text, source)
    merged = {**known, **front, **told}
    ordered = {key: merged[key] for key in (*_FIRST, *merged) if key in merged}
    return f"{_FENCE}{yaml_text(ordered)}{_FENCE}" + "\n\n".join([body.rstrip("\n"), *sections]) + "\n"


def data_files(text: str, source: Path) -> list[str]:
    """The files that a dataset's card names. Raises InputError."""
    configs = _parts(text, source)[0].get("configs")
    try:
        return [str(file["path"]) for config in configs or () for file in config["data_files"]]
    except (KeyError, TypeError) as error:
        raise InputError(f"{source}: expected configs with data_files ({error!r}); extract anew") from error


def names_license(text: str, source: Path) -> bool:
    """Whether a card says by which licence its thing may be used. Raises InputError."""
    return bool(_parts(text, source)[0].get("license"))


def _parts(text: str, source: Path) -> tuple[dict[str, Any], str]:
    pieces = text.split(_FENCE, 2)
    if len(pieces) < 3 or pieces[0]:
        raise InputError(f"{source}: expected a card that begins with YAML between two lines of ---, found none")
    try:
        front: object = parse_yaml(pieces[1])
    except ValueError as error:
        raise InputError(f"{source}: its beginning is not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(front, dict):
        raise InputError(f"{source}: expected `key: value` at its beginning, found {type(front).__name__}")
    return cast(dict[str, Any], front), pieces[2]


def model_index(name: str, evaluations: Mapping[str, Scores]) -> list[dict[str, object]]:
    """The results of evaluations in the form that hubs read. Shares are between 0 and 1."""
    return [{"name": name, "results": [_result(title, scores) for title, scores in evaluations.items()]}]


def _result(title: str, scores: Scores) -> dict[str, object]:
    metrics = [
        {"type": kind, "name": name, "value": round(scores["strategies"][key]["value"], 4)}
        for key, (kind, name, _) in _STRATEGIES.items()
    ]
    metrics += [
        {"type": kind, "name": name, "value": round(_value(scores["texts"][key]), 4)}
        for key, (kind, name) in _TEXTS.items()
        if key in scores["texts"]
    ]
    return {
        "task": {"type": "text-generation", "name": "choice of support strategies"},
        "dataset": {
            "type": "held-out-dialogues",
            "name": f"{scores['items']} supporter turns of {scores['dialogues']} held-out dialogues ({title})",
        },
        "metrics": metrics,
    }


def _value(score: object) -> float:
    match score:
        case {"value": float(value)}:
            return value
        case float(value):
            return value
        case _:
            raise InputError(f"expected a score, found {score!r}; evaluate again")


def results_section(evaluations: Mapping[str, Scores]) -> str:
    """The same for people, with intervals."""
    lines = ["## Evaluation", "", f"| evaluation | turns | dialogues | {' | '.join(_STRATEGIES)} |"]
    lines.append("|---|---:|---:|" + "---:|" * len(_STRATEGIES))
    for title, scores in evaluations.items():
        cells = [_interval(scores["strategies"][key], share=share) for key, (_, _, share) in _STRATEGIES.items()]
        lines.append(f"| {title} | {scores['items']} | {scores['dialogues']} | {' | '.join(cells)} |")
    lines += [
        "",
        "In percent but B, with 95 % intervals over dialogues. Q is the macro F1 of the strategies, Q_W the weighted",
        "one, B the preference bias (0: none), unreadable the share of replies without a readable strategy.",
    ]
    return "\n".join(lines)


def _interval(score: Mapping[str, float], *, share: bool) -> str:
    factor, places = (100, 1) if share else (1, 2)
    value, low, high = (f"{factor * score[key]:.{places}f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"
