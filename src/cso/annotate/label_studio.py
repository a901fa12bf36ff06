"""Label Studio: tasks and a labelling configuration to import there, and what is exported there as JSON.

Tasks are as blind as pages. All raters of a project see the same tasks, so each item has one side for all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from pydantic import AwareDatetime, BaseModel, TypeAdapter, ValidationError

from cso.annotate.agreement import Rating
from cso.annotate.items import LABEL_STUDIO, Annotation, Item, Said
from cso.annotate.key import Key
from cso.annotate.marks import categories
from cso.errors import InputError
from cso.evaluate.judging import HIGHEST
from cso.taxonomy import Speakers

_CHOICES = {"A is better": "A", "Tie": "tie", "B is better": "B"}
_TYPES = ("choices", "rating", "textarea")  # of regions that the configuration makes


def tasks(annotation: Annotation, speakers: Speakers) -> list[dict[str, Any]]:
    """Tasks to import, in the order of a rater's sheet."""
    sheet = annotation.sheet(LABEL_STUDIO)
    items = {item.id: item for item in annotation.items}
    return [
        {
            "data": {
                "annotation": annotation.id,
                "item": name,
                **_data(items[name], annotation, speakers, swapped=name in sheet.swapped),
            }
        }
        for name in sheet.order
    ]


def config(annotation: Annotation) -> str:
    """The labelling interface, as XML."""
    pair = annotation.kind == "pair"
    said = [("A", "Reply A"), ("B", "Reply B")] if pair else [("A", "The reply")]
    lines = ["<View>", '  <Header value="The conversation so far"/>']
    lines += [
        '  <Paragraphs name="conversation" value="$conversation" layout="dialogue" nameKey="author" textKey="text"/>'
    ]
    lines += ['  <View style="display: flex; gap: 2em">']
    for side, title in said:
        lines += [f'    <View style="flex: 1"><Header value={quoteattr(title)}/>']
        lines += [f'      <Text name="reply_{side}" value="$reply_{side}" valueType="text"/></View>']
    lines += ["  </View>"]
    if annotation.shows_strategies:
        lines += ['  <Text name="strategies" value="$strategies" valueType="text"/>']
    for criterion in annotation.criteria:
        name = quoteattr(criterion.name)
        lines += [f'  <Header value={quoteattr(f"{criterion.name}: {criterion.definition}")} size="5"/>']
        if pair:
            lines += [
                f'  <Choices name={name} toName="reply_A" choice="single-radio" showInline="true" required="true">'
            ]
            lines += [f"    <Choice value={quoteattr(choice)}/>" for choice in _CHOICES]
            lines += ["  </Choices>"]
        else:
            lines += [f'  <Rating name={name} toName="reply_A" maxRating="{HIGHEST}" required="true"/>']
    lines += ['  <TextArea name="comment" toName="reply_A" placeholder="Comment, if you like" maxSubmissions="1"/>']
    return "\n".join([*lines, "</View>"]) + "\n"


def _data(item: Item, annotation: Annotation, speakers: Speakers, *, swapped: bool) -> dict[str, Any]:
    replies = item.replies[::-1] if swapped else item.replies
    data: dict[str, Any] = {
        "conversation": [{"author": speakers.name(turn.speaker), "text": turn.text} for turn in item.history.turns],
        **{f"reply_{side}": reply.text for side, reply in zip("AB", replies, strict=False)},
    }
    if annotation.shows_strategies:
        data["strategies"] = _strategies(replies)
    return data


def _strategies(replies: tuple[Said, ...]) -> str:
    if len(replies) == 1:
        return f"Intended strategy: {replies[0].strategy or 'none named'}"
    named = (f"{side}: {reply.strategy or 'none named'}" for side, reply in zip("AB", replies, strict=True))
    return f"Intended strategies: {'; '.join(named)}"


class _TaskData(BaseModel):
    annotation: str
    item: str


class _Person(BaseModel):
    id: int
    email: str = ""


class _Region(BaseModel):
    from_name: str = ""  # relations have no name and no value
    type: str
    value: dict[str, Any] = {}


class _Labelled(BaseModel):
    id: int | None = None
    completed_by: int | str | _Person | None = None
    was_cancelled: bool = False
    result: list[_Region]
    created_at: AwareDatetime | None = None
    updated_at: AwareDatetime | None = None


class _Task(BaseModel):
    data: _TaskData
    annotations: list[_Labelled]

    def by_rater(self) -> Iterator[tuple[str, _Labelled]]:
        """What was not skipped; those who are not named are numbered, in the order in which they began."""
        unnamed = 0
        for labelled in sorted(self.annotations, key=lambda each: each.id or 0):
            by = labelled.completed_by
            unnamed += by is None
            name = f"unnamed-{unnamed}" if by is None else (by.email or by.id) if isinstance(by, _Person) else by
            if not labelled.was_cancelled:
                yield f"label-studio:{name}", labelled


_TASKS = TypeAdapter(list[_Task])


def annotation_of(task: object) -> str | None:
    """The annotation that a task names; None if it is no task of ours."""
    match task:
        case {"data": {"annotation": str(name)}}:
            return name
        case _:
            return None


def exported(path: Path, content: list[Any], key: Key) -> tuple[list[Rating], list[str]]:
    """The ratings of an export, each annotator as a rater, and what is to be said of it. Raises InputError.

    Skipped tasks have no ratings; tasks of other projects are left out, unless there are no others.
    """
    own = [task for task in content if annotation_of(task) == key.annotation]
    try:
        found = _TASKS.validate_python(own or content)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"{path}: expected Label Studio's export of these tasks as JSON (not JSON-MIN), found at "
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from error
    for task in found:
        if task.data.annotation != key.annotation:
            raise InputError(
                f"{path}: belongs to annotation {task.data.annotation}, the key to {key.annotation}; give its own key"
            )
    said = Counter[str]()
    if own:
        said["tasks of other projects are left out"] = len(content) - len(own)
    ratings = [
        _rating(path, task.data.item, rater, labelled, key, said)
        for task in found
        for rater, labelled in task.by_rater()
    ]
    return ratings, [f"{path}: {what}: {count}" for what, count in said.items() if count]


def _rating(path: Path, item: str, rater: str, labelled: _Labelled, key: Key, said: Counter[str]) -> Rating:
    """What one annotator said of a task; what is odd about it is counted in `said`."""
    swapped = item in key.label_studio.swapped
    marks: dict[str, object] = {}
    comment = ""
    said["annotations without annotator, told apart by their order in a task"] += labelled.completed_by is None
    for region in labelled.result:
        before = marks.get(region.from_name)
        match region.type, region.value:
            case "choices", {"choices": [str(choice)]} if choice in _CHOICES:
                marks[region.from_name] = _CHOICES[choice]
            case "rating", {"rating": rating}:
                marks[region.from_name] = rating
            case "textarea", {"text": [*texts]}:
                comment = " ".join(map(str, texts))
            case kind, _ if kind not in _TYPES:
                said["regions that are no mark and no comment are left out"] += 1
            case kind, value:
                raise InputError(
                    f"{path}: item {item}: {region.from_name}: expected one of {', '.join(_CHOICES)}, a rating or a "
                    f"comment, found {kind} {str(value)[:60]}; use the configuration of config.xml"
                )
        twice = before is not None and before != marks[region.from_name]
        said["criteria marked twice in one annotation, differently; the last mark counts"] += twice
    known = categories(path, item, marks, key, swapped=swapped)
    return Rating(rater, item, known, swapped, labelled.updated_at or labelled.created_at, comment)
