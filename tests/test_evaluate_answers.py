"""From dialogues to test items, from replies to strategies, and how models are asked."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from cso.corpora import read_corpus
from cso.dialogue import Dialogue, Speaker, Turn
from cso.errors import InputError
from cso.evaluate import (
    Endpoint,
    Local,
    answer,
    drawn,
    evaluate,
    items,
    load_answers,
    load_scores,
    save,
    score,
    short_name,
)
from cso.evaluate.local import LocalModel, load_local
from cso.evaluate.writing import drawn_tokens
from cso.llm import Answers
from cso.settings import EvaluateSettings, ModelSettings
from cso.taxonomy import Taxonomy, dump_taxonomy, load_taxonomy
from cso.transcript import Message, prompt, read_reply, tag, utterance
from server import Call, Reply, Server, completion, failure
from small_training import save_model

ESC8 = load_taxonomy("esc8")
SOME = items(read_corpus("bundled:test", ESC8).dialogues)[:24]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    folder = save_model(tmp_path_factory.mktemp("model"))
    return load_local(ModelSettings(name=str(folder)), ESC8, max_length=2048, say=lambda _: None)


def test_items_are_the_labelled_turns_that_answer_a_seeker() -> None:
    seeker, supporter = Speaker.SEEKER, Speaker.SUPPORTER
    dialogue = Dialogue(
        "d",
        (
            Turn(supporter, "Hello", "Affirmation"),  # answers nobody
            Turn(seeker, "Hi"),
            Turn(supporter, "Why?", "Affirmation"),
            Turn(seeker, "So"),
            Turn(supporter, "Mm"),  # has no label
            Turn(seeker, "Yes"),
            Turn(supporter, "Good", "Share Information"),
        ),
    )
    found = items([dialogue])
    assert [(item.id, item.strategy, item.text, item.stage) for item in found] == [
        ("d/3", "Affirmation", "Why?", 2),
        ("d/7", "Share Information", "Good", 5),
    ]
    assert found[0].history.turns == dialogue.turns[:2]


def test_items_are_drawn_evenly_over_stages_and_always_alike() -> None:
    everything = items(read_corpus("bundled:test", ESC8).dialogues)
    some = drawn(everything, per_stage=10, seed=3)
    assert [sum(item.stage == stage for item in some) for stage in range(6)] == [10] * 6
    assert some == drawn(everything, per_stage=10, seed=3)
    assert some != drawn(everything, per_stage=10, seed=4)
    assert drawn(everything, per_stage=None, seed=0) == everything


@pytest.mark.parametrize(
    ("text", "strategy", "words"),
    [
        ("(Affirmation) What happened?", "Affirmation", "What happened?"),
        ("  [affirmation]: What happened?", "Affirmation", "What happened?"),
        ("**(Affirmation)** What?", "Affirmation", "What?"),
        ("(Emotional validation (EV)) You are sad.", "Emotional Validation", "You are sad."),
        ("(Affirmation)", "Affirmation", ""),
        ("Affirmation: What happened?", None, "Affirmation: What happened?"),
        ("(Cheering up) Come on!", None, "(Cheering up) Come on!"),
        ("I think (Affirmation) fits.", None, "I think (Affirmation) fits."),
        ("", None, ""),
        ("((((", None, "(((("),
    ],
)
def test_a_strategy_is_read_where_a_reply_opens_with_one_and_never_guessed(
    text: str, strategy: str | None, words: str
) -> None:
    assert read_reply(text, ESC8) == (strategy, words)


def test_what_a_model_is_taught_to_say_is_read_back() -> None:
    for item in SOME:
        said = utterance(Turn(Speaker.SUPPORTER, item.text, item.strategy))["content"]
        assert read_reply(said, ESC8) == (item.strategy, item.text)


def test_scored_tags_are_as_likely_as_the_model_says_of_each_alone(model: LocalModel) -> None:
    asked = [prompt(item.history, ESC8) for item in SOME[:5]]
    prompts = model.prompts(asked)
    found = dict(model.choose(prompts, ESC8))
    base, tokenizer = model.backbone.base, model.backbone.tokenizer
    base.set_attn_implementation("eager")
    for place, each in enumerate(prompts):
        chances = found[place]
        logps = []
        for name in ESC8.names:
            ids = tokenizer(each.text + tag(name), add_special_tokens=False, return_tensors="pt")["input_ids"]
            with torch.no_grad():
                scores = base(input_ids=ids).logits[0].log_softmax(-1)
            begin = len(each.tokens)
            places = range(begin, ids.shape[1])
            logps.append(sum(float(scores[place - 1, ids[0, place]]) for place in places))
        assert chances == pytest.approx(torch.tensor(logps).softmax(-1).tolist(), abs=1e-5)
        assert sum(chances) == pytest.approx(1)
    base.set_attn_implementation("paths")


def test_replies_in_batches_are_those_written_one_by_one(model: LocalModel) -> None:
    prompts = model.prompts([prompt(item.history, ESC8) for item in SOME[:6]])
    together = dict(model.write(prompts, max_tokens=8))
    alone = {place: dict(model.write([each], max_tokens=8))[0] for place, each in enumerate(prompts)}
    assert together == alone


def test_a_reply_goes_on_from_its_opening(model: LocalModel) -> None:
    asked = model.prompts([prompt(item.history, ESC8) for item in SOME[:3]])
    openings = [tag(name) for name in ESC8.names[:3]]
    found = dict(model.write(asked, openings, max_tokens=6))
    base, tokenizer = model.backbone.base, model.backbone.tokenizer
    base.set_attn_implementation("eager")
    for place, (each, opening) in enumerate(zip(asked, openings, strict=True)):
        ids = tokenizer(each.text + opening, add_special_tokens=False, return_tensors="pt")["input_ids"]
        out = base.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False)  # type: ignore[operator]
        assert found[place] == opening + str(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))
    base.set_attn_implementation("paths")


def test_drawn_replies_do_not_depend_on_what_they_are_written_with(model: LocalModel) -> None:
    asked = model.prompts([prompt(item.history, ESC8) for item in SOME[:6]])
    told: dict[str, Any] = {"max_tokens": 8, "temperature": 1.0}
    together = dict(model.write(asked, seed=3, **told))
    assert together == {place: dict(model.write([each], seed=3, **told))[0] for place, each in enumerate(asked)}
    assert together == dict(replace(model, token_budget=1).write(asked, seed=3, **told))
    assert together != dict(model.write(asked, seed=4, **told))


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    logits = torch.tensor([0.7, 0.2, 0.0, 0.1]).log()
    draws = [random.Random(number) for number in range(4000)]
    found = drawn_tokens(logits.expand(4000, 4), 1.0, draws).bincount(minlength=4) / 4000
    assert found.tolist() == pytest.approx([0.7, 0.2, 0.0, 0.1], abs=0.03)
    cold = drawn_tokens(logits.expand(4000, 4), 0.5, draws).bincount(minlength=4) / 4000
    assert cold.tolist() == pytest.approx([0.49 / 0.54, 0.04 / 0.54, 0.0, 0.01 / 0.54], abs=0.03)


def test_a_long_history_loses_its_oldest_turns(model: LocalModel) -> None:
    long = max(SOME, key=lambda item: len(item.history.turns))
    short = replace(model, max_length=320)
    (whole,), (cut,) = (each.prompts([prompt(long.history, ESC8)]) for each in (model, short))
    assert not whole.trimmed
    assert cut.trimmed
    assert len(cut.tokens) <= 320 < len(whole.tokens)
    assert long.history.turns[-1].text in cut.text


def test_a_stopped_evaluation_asks_only_for_what_is_missing(model: LocalModel, tmp_path: Path) -> None:
    told = EvaluateSettings(max_tokens=3, temperature=1.0)
    path = tmp_path / "answers.jsonl"
    whole = asyncio.run(answer(Local(model, Answers(path), told), SOME[:8], ESC8, told, ()))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:5]) + lines[5][:20])  # killed while it wrote the sixth
    again = Answers(path)
    assert asyncio.run(answer(Local(model, again, told), SOME[:8], ESC8, told, ())) == whole
    assert again.new.total() == 3


@pytest.mark.parametrize("baseline", ["plain", "direct-refine", "self-refine", "example"])
def test_baselines_ask_as_often_as_they_say(
    baseline: Literal["plain", "direct-refine", "self-refine", "example"],
) -> None:
    every: list[Sequence[Message]] = []

    class Fake:
        failed: list[str] = []  # noqa: RUF012

        async def write(self, asked: Sequence[Sequence[Message]], openings: Sequence[str] | None = None) -> list[str]:
            every.extend(asked)
            return [f"(Affirmation) reply {len(each)}" for each in asked]

        async def choose(self, asked: Sequence[Sequence[Message]], taxonomy: Taxonomy) -> list[list[float]]:
            raise NotImplementedError

    told = EvaluateSettings(baseline=baseline)
    seeds = read_corpus("bundled", ESC8).dialogues[:3]
    found = asyncio.run(answer(Fake(), SOME[:2], ESC8, told, seeds))
    rounds = {"plain": 1, "example": 1, "direct-refine": 2, "self-refine": 3}[baseline]
    assert len(every) == 2 * rounds
    assert [each.strategy for each in found] == ["Affirmation", "Affirmation"]
    length = len(prompt(SOME[0].history, ESC8))
    assert len(every[-2]) == length + 2 * (rounds - 1)
    assert ("An example:" in every[0][0]["content"]) == (baseline == "example")
    assert ("\nseeker: " in every[0][0]["content"]) == (baseline == "example")
    for each in every:
        roles = [message["role"] for message in each[1:]]
        assert all(one != other for one, other in pairwise(roles))
        assert roles[-1] == "user"


def test_items_without_an_answer_do_not_lose_the_others(tmp_path: Path) -> None:
    """The last item is refused in each of the three rounds: as many refusals as there are items."""

    def script(call: Call) -> Reply:
        refused = SOME[2].history.turns[-1].text in json.dumps(call.body, ensure_ascii=False)
        return failure(400, "no") if refused else completion("(Affirmation) You are strong.")

    with Server(script) as server:
        told = EvaluateSettings(baseline="self-refine", draws=10)
        found = evaluate("m", SOME[:3], tmp_path, ESC8, told, endpoint=Endpoint(server.base_url, None))
    assert [each.strategy for each in found] == ["Affirmation", "Affirmation", None]
    assert load_scores(tmp_path)["identity"]["failed"] == 3


def test_answers_are_those_of_the_address_that_gave_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Affirmation", "Share Information"):
        with Server(lambda _, name=name: completion(f"({name}) Yes.")) as server:
            monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
            told = EvaluateSettings(draws=10)
            found = evaluate("m", SOME[:2], tmp_path, ESC8, told, endpoint=Endpoint(None, None))
        assert [each.strategy for each in found] == [name, name]
        assert load_scores(tmp_path)["identity"]["version"] == f"at {server.base_url}"


def test_an_adapter_that_was_folded_in_goes_by_whose_it_is() -> None:
    names = {short_name(name) for name in ("runs/a/models/dpo/merged", "/b/sft/merged", "Qwen/Qwen2.5", "merged")}
    assert names == {"dpo-merged", "sft-merged", "Qwen2.5", "merged"}


def test_settings_that_cannot_go_together_are_refused(model: LocalModel) -> None:
    for told, words in (
        (EvaluateSettings(write=False), "read from the reply unless"),
        (EvaluateSettings(choose="score", baseline="self-refine"), "expected choose=free"),
    ):
        with pytest.raises(InputError, match=words):
            asyncio.run(answer(Local(model, Answers(), told), SOME[:1], ESC8, told, ()))


def test_a_model_of_other_strategies_is_refused(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model")
    (folder / "taxonomy.yaml").write_text(dump_taxonomy(load_taxonomy("esconv8")), encoding="utf-8")
    with pytest.raises(InputError, match="was trained to choose from esconv8"):
        load_local(ModelSettings(name=str(folder)), ESC8, max_length=2048, say=lambda _: None)


def test_what_is_saved_is_loaded_again(model: LocalModel, tmp_path: Path) -> None:
    told = EvaluateSettings(choose="score", max_tokens=3)
    found = asyncio.run(answer(Local(model, Answers(), told), SOME[:4], ESC8, told, ()))
    save(tmp_path, found, score(found, ESC8.names), {"model": "m"})
    assert load_answers(tmp_path) == found
    assert load_scores(tmp_path)["identity"] == {"model": "m"}
