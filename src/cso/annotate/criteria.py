"""What raters judge by: the paper's criteria, in words of our own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from cso.errors import InputError
from cso.evaluate.judging import CRITERIA as JUDGED
from cso.evaluate.judging import OF_ANY_TASK as JUDGED_OF_ANY_TASK
from cso.evaluate.judging import SATISFACTION
from cso.taxonomy import Taxonomy

Kind = Literal["pair", "single"]  # two replies compared, or one marked


@dataclass(frozen=True, slots=True)
class Criterion:
    """One question to a rater. `strategy`: it asks about the strategy that a reply was to follow, so that is named."""

    name: str
    definition: str
    strategy: bool = False


CRITERIA = (
    *(Criterion(name, text, strategy=name == "Alignment") for name, text in JUDGED.items()),
    Criterion("Empathy", "It shows that the person's feelings, and the reasons for them, are understood."),
    Criterion("Information", "What it suggests or explains is sound, and of use to this person now."),
    Criterion("Humanoid", "A person could have said it: nothing about it is stiff, ready-made or machine-like."),
    Criterion("Strategy", "The strategy it follows is right for this moment, and carried out well.", strategy=True),
)
OF_ANY_TASK = {
    **JUDGED_OF_ANY_TASK,
    "Empathy": "It shows that this person is understood: what they mean, and why they see it so.",
}
OF_MODELS = SATISFACTION  # Table 3; Satisfaction is their mean and is not asked for
OF_REPLIES = tuple(JUDGED)  # Table 6
OF_PAIRS = ("Empathy", "Information", "Humanoid", "Strategy")  # Table 1


def chosen_criteria(names: Sequence[str], taxonomy: Taxonomy) -> tuple[Criterion, ...]:
    """The criteria of these names, whatever their case, in words that hold for the task. Raises InputError."""
    words = {} if taxonomy.supports else OF_ANY_TASK
    known = {each.name.casefold(): replace(each, definition=words.get(each.name, each.definition)) for each in CRITERIA}
    told = {name: name.strip().casefold() for name in names}
    wrong = [name for name in names if told[name] not in known]
    if wrong or not names:
        mean = "; Satisfaction is computed, not asked for" if "satisfaction" in told.values() else ""
        raise InputError(
            f"criteria: expected some of {', '.join(each.name for each in CRITERIA)}, found "
            f"{', '.join(map(repr, wrong)) or 'none'}{mean}"
        )
    return tuple(dict.fromkeys(known[told[name]] for name in names))
