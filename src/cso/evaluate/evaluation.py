"""`evaluate`: a model's answers to a test set, asked for where they are not known yet, and their scores in a folder."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from cso.dialogue import Dialogue, dialogue_to_json
from cso.errors import InputError
from cso.evaluate.answering import Answer, Local, Model, Observe, Remote, answer
from cso.evaluate.items import Item
from cso.evaluate.results import load_answers, load_scores, save, score
from cso.files import locked
from cso.llm import Answers
from cso.llm.endpoints import Endpoint
from cso.settings import EvaluateSettings, ModelSettings
from cso.taxonomy import Taxonomy

Say = Callable[[str], None]


def evaluate(
    model: str,
    asked: Sequence[Item],
    folder: Path,
    taxonomy: Taxonomy,
    settings: EvaluateSettings,
    *,
    endpoint: Endpoint | None = None,
    examples: Sequence[Dialogue] = (),
    trust_remote_code: bool = False,
    say: Say = lambda _: None,
    observe: Observe = lambda _: None,
) -> list[Answer]:
    """A model's answers to `asked`, in that order; replies.jsonl and scores.json in `folder` then hold them.

    `model` is a folder, a name on the Hugging Face hub, or what `endpoint` calls it. Nothing is asked twice: an
    evaluation that was stopped goes on, and one that is done is read. `examples`: dialogues that the baseline "example"
    shows. `observe` is told of so many more answers. Raises InputError, StoreError, and of endpoints EndpointError and
    BudgetSpent.
    """
    if not asked:
        raise InputError("expected items to evaluate on, found none")
    local = ModelSettings(name=model, trust_remote_code=trust_remote_code)
    identity = {
        "model": model,
        "version": _version(local) if endpoint is None else f"{model} at {endpoint.base_url}",
        "items": _digest(asked),
        "strategies": list(taxonomy.names),
        "settings": settings.model_dump(mode="json"),
    }

    async def answers_of() -> list[Answer]:
        async with _opened(local, endpoint, folder, taxonomy, settings, say, observe) as opened:
            return await answer(opened, asked, taxonomy, settings, examples)

    with locked(folder):
        if (folder / "scores.json").exists() and load_scores(folder)["identity"] == identity:
            say(f"{folder} holds this evaluation already, done")
            return load_answers(folder)
        answers = asyncio.run(answers_of())
        save(folder, answers, score(answers, taxonomy.names, draws=settings.draws, seed=settings.seed), identity)
    return answers


@asynccontextmanager
async def _opened(
    model: ModelSettings,
    endpoint: Endpoint | None,
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
    from cso.evaluate.local import load_local  # here, because it takes seconds to import

    yield Local(load_local(model, taxonomy, max_length=settings.max_length, say=say), remembered, settings, observe)


def _version(model: ModelSettings) -> str:
    from cso.train.backbone import version_of  # here, because it takes seconds to import

    return version_of(model)


def _digest(asked: Sequence[Item]) -> str:
    content = [[dialogue_to_json(item.history), item.strategy, item.text] for item in asked]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
