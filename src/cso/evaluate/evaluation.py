"""`evaluate`: a model's answers to a test set, asked for where they are not known yet, and their scores in a folder."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from cso.dialogue import Dialogue, dialogue_to_json
from cso.errors import InputError, RequestError, StoreError
from cso.evaluate.answering import Answer, Local, Model, Observe, Remote, answer
from cso.evaluate.items import Item
from cso.evaluate.results import load_answers, load_scores, save, score
from cso.files import is_folder, locked
from cso.llm import Answers
from cso.llm.address import address_of
from cso.llm.endpoints import Endpoint
from cso.settings import EvaluateSettings, ModelSettings, RaySettings
from cso.taxonomy import Taxonomy, dump_taxonomy

Say = Callable[[str], None]


def evaluate(
    model: str | ModelSettings,
    asked: Sequence[Item],
    folder: Path,
    taxonomy: Taxonomy,
    settings: EvaluateSettings,
    *,
    endpoint: Endpoint | None = None,
    examples: Sequence[Dialogue] = (),
    ray: RaySettings | None = None,
    say: Say = lambda _: None,
    observe: Observe = lambda _: None,
) -> list[Answer]:
    """A model's answers to `asked`, in that order; replies.jsonl and scores.json in `folder` then hold them.

    `model` is a folder, a name on the Hugging Face hub, or what `endpoint` calls it. Nothing is asked twice: an
    evaluation that was stopped goes on, and one that is done is read. `examples`: dialogues that the baseline "example"
    shows. `ray`: whose actors answer with a model that is not an endpoint's; None: this process does. `observe` is told
    of so many more answers, `rounds(settings)` for each item. Raises InputError, StoreError where `folder` holds
    another model's evaluation, of endpoints EndpointError, RequestError and BudgetSpent, of actors ClusterError.
    """
    if not asked:
        raise InputError("expected items to evaluate on, found none")
    told = ModelSettings(name=model) if isinstance(model, str) else model
    shown = examples if settings.baseline == "example" else ()
    identity = _identity(told, endpoint, asked, shown, taxonomy, settings)

    async def answered() -> tuple[list[Answer], list[str]]:
        async with _opened(told, endpoint, ray, folder, taxonomy, settings, say, observe) as opened:
            return await answer(opened, asked, taxonomy, settings, shown), opened.failed

    with locked(folder):
        if (there := _held(folder, identity, asked, say)) is not None:
            return there
        answers, failed = asyncio.run(answered())
        if failed and not any(each.text or each.strategy for each in answers):
            raise RequestError(f"{told.name}: no request was answered, so there is nothing to score: {failed[0]}")
        if failed:
            say(f"{len(failed)} requests have no answer and count as unreadable; the same command asks them again:")
            say(f"  {failed[0]}")
        scores = score(answers, taxonomy.names, draws=settings.draws, seed=settings.seed)
        save(folder, answers, scores, {**identity, "failed": len(failed)})
    return answers


def short_name(model: str) -> str:
    """The last part of a model's name or folder; of an adapter that was folded in (`merged`), with whose it is."""
    path = Path(model)
    return f"{path.parent.name}-merged" if path.name == "merged" and path.parent.name else path.name


def _identity(
    model: ModelSettings,
    endpoint: Endpoint | None,
    asked: Sequence[Item],
    examples: Sequence[Dialogue],
    taxonomy: Taxonomy,
    settings: EvaluateSettings,
) -> dict[str, object]:
    """All that answers and scores depend on."""
    return {
        "model": short_name(model.name) if endpoint is None and is_folder(model.name) else model.name,
        "version": f"at {address_of(endpoint.base_url)}" if endpoint else _version(model),
        "items": _digest([[dialogue_to_json(item.history), item.strategy, item.text] for item in asked]),
        "examples": _digest([dialogue_to_json(dialogue) for dialogue in examples]),
        "taxonomy": _digest(dump_taxonomy(taxonomy)),
        "settings": settings.model_dump(mode="json", exclude={"token_budget", "executor"}),
    }


def _held(folder: Path, identity: Mapping[str, object], asked: Sequence[Item], say: Say) -> list[Answer] | None:
    """The answers in `folder` if they are those of this evaluation. Raises StoreError where it is another model's.

    Those of another evaluation of the model give way; what was answered stays in answers.jsonl.
    """
    if not (folder / "scores.json").exists():
        return None
    try:
        there, answers = load_scores(folder)["identity"], load_answers(folder)
    except StoreError as error:
        say(f"{error}: made anew from what was answered")
        return None
    if there.get("model") != identity["model"]:
        raise StoreError(f"{folder} holds an evaluation of {there.get('model')}: give this one another --name")
    if there == {**identity, "failed": 0} and [answer.item for answer in answers] == list(asked):
        say(f"{folder} holds this evaluation already, done")
        return answers
    if changed := [name for name in identity if there.get(name) != identity[name]]:
        say(f"{folder} held an evaluation with other {', '.join(changed)}, which this one replaces")
    return None


@asynccontextmanager
async def _opened(
    model: ModelSettings,
    endpoint: Endpoint | None,
    ray: RaySettings | None,
    folder: Path,
    taxonomy: Taxonomy,
    settings: EvaluateSettings,
    say: Say,
    observe: Observe,
) -> AsyncGenerator[Model]:
    remembered = Answers(folder / "answers.jsonl")
    if endpoint is not None:
        async with endpoint.chat(model.name, remembered, "supporter") as chat:
            yield Remote(chat, model.name, settings, observe)
        return
    lengths = settings.model_dump(include={"max_length", "max_tokens", "token_budget"})
    if ray is not None:
        from cso.cluster.evaluating import RayModel  # here, like the next, for Ray need not be there

        with RayModel(model, taxonomy, ray, **lengths) as spread:
            yield Local(spread, remembered, settings, observe)
        return
    from cso.evaluate.local import ADVICE, load_local  # here, like the next, because they take seconds to import
    from cso.train.memory import memory_advice

    with memory_advice(ADVICE):
        loaded = load_local(model, taxonomy, **lengths, say=say)
        yield Local(loaded, remembered, settings, observe)


def _version(model: ModelSettings) -> str:
    from cso.evaluate.local import version  # here, because it takes seconds to import

    return version(model)


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
