"""The worked example of another domain: a tutor in `examples/tutoring/`, without a line of code of its own."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli import answer, cso_here
from cso.corpora import Corpus, read_corpus
from cso.corpus_cast import World
from cso.dialogue import Dialogue, Speaker
from cso.evaluate.items import items
from cso.roles import load_rubric, prompt_text
from cso.search.cast import Strategist
from cso.settings import ROLES as ROLE_NAMES
from cso.settings import Role, load_settings
from cso.store import Run
from cso.taxonomy import load_taxonomy
from cso.train import tiny
from cso.transcript import system_message
from server import Call, Reply, Server

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "tutoring"
TAXONOMY = load_taxonomy(EXAMPLE / "taxonomy.yaml")
RUBRIC = load_rubric(EXAMPLE / "rubric.yaml")
TRAIN, HELD_OUT = EXAMPLE / "dialogues.jsonl", EXAMPLE / "held_out.jsonl"
SUPPORT = re.compile(
    r"support|seeker|emotion|empath|comfort|distress|psycholog|consol|therap|crisis|listener", re.IGNORECASE
)
FIELDS = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)  # of a template: their names are cso's


@pytest.fixture(scope="module")
def train() -> Corpus:
    return read_corpus(TRAIN, TAXONOMY)


@pytest.fixture(scope="module")
def held_out() -> Corpus:
    return read_corpus(HELD_OUT, TAXONOMY)


def turns(file: Path) -> list[list[dict[str, Any]]]:
    """The turns of each dialogue as they stand in the file."""
    return [json.loads(line)["turns"] for line in file.read_text(encoding="utf-8").splitlines()]


def strategies(dialogue: Dialogue) -> list[str]:
    return [turn.strategy for turn in dialogue.turns if turn.strategy is not None]


def here(name: str, folder: Path) -> Path:
    """Settings of the example, copied with paths that hold wherever the tests run."""
    text = (EXAMPLE / name).read_text(encoding="utf-8").replace("examples/tutoring", str(EXAMPLE))
    copy = folder / name
    copy.write_text(text, encoding="utf-8")
    return copy


def test_every_dialogue_is_read_whole(train: Corpus, held_out: Corpus) -> None:
    for corpus, file, least in ((train, TRAIN, 48), (held_out, HELD_OUT, 12)):
        assert len(corpus.dialogues) >= least
        assert corpus.dropped == ()
        assert corpus.trimmed == 0
        for dialogue, written in zip(corpus.dialogues, turns(file), strict=True):
            assert [(turn.speaker, turn.text) for turn in dialogue.turns] == [
                (turn["speaker"], turn["text"]) for turn in written
            ]
            assert dialogue.situation
            assert 5 <= len(strategies(dialogue)) <= 9
            assert dialogue.turns[0].speaker is Speaker.SEEKER


def test_nothing_held_out_is_trained_on(train: Corpus, held_out: Corpus) -> None:
    seen = {turn.text for dialogue in train.dialogues for turn in dialogue.turns}
    new = [turn.text for dialogue in held_out.dialogues for turn in dialogue.turns]
    assert not seen & set(new)
    every = [*train.dialogues, *held_out.dialogues]
    assert len({dialogue.id for dialogue in every}) == len(every)
    assert len({dialogue.situation for dialogue in every}) == len(every)


def test_every_strategy_has_examples_and_none_follows_from_the_place_alone(train: Corpus, held_out: Corpus) -> None:
    assert len(TAXONOMY) == 7
    counts = Counter(name for dialogue in train.dialogues for name in strategies(dialogue))
    assert min(counts[name] for name in TAXONOMY.names) >= 10
    assert {name for dialogue in held_out.dialogues for name in strategies(dialogue)} == set(TAXONOMY.names)
    longest = max(len(strategies(dialogue)) for dialogue in train.dialogues)
    for place in range(longest - 1):
        there = {strategies(dialogue)[place] for dialogue in train.dialogues if len(strategies(dialogue)) > place}
        assert len(there) >= 3


def test_the_words_of_the_learner_tell_more_than_the_move_before(train: Corpus, held_out: Corpus) -> None:
    """Else habit would be all there is to learn. A linear model of words guesses 60 % held out, the last move 39 %."""
    strategist = World.fit(train.dialogues, TAXONOMY).cast().strategist
    after: dict[str, Counter[str]] = {}
    for dialogue in train.dialogues:
        for before, move in pairwise(["", *strategies(dialogue)]):
            after.setdefault(before, Counter())[move] += 1
    asked = items(held_out.dialogues)
    words, habit = 0, 0
    for item in asked:
        scores = asyncio.run(_scores(strategist, item.history))
        words += max(scores, key=scores.__getitem__) == item.strategy
        habit += after[(["", *strategies(item.history)])[-1]].most_common(1)[0][0] == item.strategy
    assert words / len(asked) > 0.55
    assert habit / len(asked) < 0.45


def test_a_trained_tutor_is_told_that_it_tutors() -> None:
    told = system_message(TAXONOMY)["content"]
    assert told.startswith("You tutor a learner in school mathematics")
    assert SUPPORT.search(told) is None


@pytest.mark.parametrize("role", ROLE_NAMES)
def test_no_prompt_speaks_of_emotional_support(role: Role) -> None:
    text = prompt_text(role, EXAMPLE / "prompts")
    assert text != prompt_text(role, None)
    assert SUPPORT.search(FIELDS.sub("", text)) is None


def test_prompts_name_learner_and_tutor_as_the_taxonomy_does() -> None:
    assert (TAXONOMY.speakers.seeker, TAXONOMY.speakers.supporter) == ("Learner", "Tutor")


def test_the_rubric_has_the_strategy_last() -> None:
    assert [criterion.name for criterion in RUBRIC.criteria][-1] == "Strategy"
    words = [word for criterion in RUBRIC.criteria for word in (criterion.name, criterion.question, *criterion.marks)]
    assert SUPPORT.search("\n".join(words)) is None


def test_the_settings_name_files_that_are_there() -> None:
    for name in ("settings.yaml", "embedded.yaml"):
        settings = load_settings(EXAMPLE / name)
        assert load_taxonomy(ROOT / settings.taxonomy) == TAXONOMY
    llm = load_settings(EXAMPLE / "settings.yaml")
    assert llm.cast.kind == "llm"
    assert load_rubric(ROOT / llm.rubric) == RUBRIC
    assert llm.cast.prompts is not None
    assert {file.stem for file in (ROOT / llm.cast.prompts).iterdir()} == set(ROLE_NAMES)
    assert load_settings(EXAMPLE / "embedded.yaml").cast.kind == "corpus"


def test_the_embedded_cast_tutors(tmp_path: Path) -> None:
    """Trees grow and pairs are extracted with no model; what the cast says comes from these dialogues alone."""
    run = tmp_path / "run"
    told = ("--config", here("embedded.yaml", tmp_path), "--set", "search.iterations=15", "--limit", 2)
    done = cso_here("search", TRAIN, "--out", run, *told)
    assert done.returncode == 0, done.stderr
    assert len(list((run / "trees").glob("*.json"))) == 2
    done = cso_here("extract", run)
    assert done.returncode == 0, done.stderr
    pairs = [json.loads(line) for line in (run / "preferences" / "pairs.jsonl").read_text("utf-8").splitlines()]
    assert pairs
    said = {turn["text"] for written in turns(TRAIN) for turn in written}
    for pair in pairs:
        assert pair["prompt"][0]["content"] == system_message(TAXONOMY)["content"]
        for reply in (*pair["chosen"], *pair["rejected"]):
            strategy, _, words = reply["content"].partition(") ")
            assert strategy.removeprefix("(") in TAXONOMY.names
            assert words in said


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_command_searches_trains_and_evaluates_with_a_backbone_of_these_lessons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a cache of its own, one epoch of eight, and little of everything else."""
    monkeypatch.setattr(tiny, "make_tiny", partial(tiny.make_tiny, epochs=1))
    monkeypatch.setenv("CSO_CACHE", str(tmp_path / "cache"))
    run = tmp_path / "run"
    sets = (f"taxonomy={EXAMPLE / 'taxonomy.yaml'}", "search.iterations=15", "train.tokens=3000", "evaluate.draws=20")
    told = ("--seeds", TRAIN, "--test", HELD_OUT, "--out", run, "--limit", 2)
    done = cso_here("run", *told, *(part for each in sets for part in ("--set", each)))
    assert done.returncode == 0, done.stderr
    base = json.loads((run / "evaluation" / "base" / "scores.json").read_text("utf-8"))["identity"]["model"]
    assert (tmp_path / "cache" / base / "model.safetensors").exists()
    assert base.startswith("tiny-")
    assert {path.name for path in (run / "models").iterdir()} == {"sft", "cso"}
    failed = cso_here("evaluate", run, "--model", "cso")  # on the bundled test dialogues
    assert failed.returncode == 2
    assert "strategies of tutoring7, found none; --corpus FILE names others" in " ".join(failed.stderr.split())


def test_an_endpoint_is_asked_in_the_words_of_tutoring(tmp_path: Path) -> None:
    def tutor(call: Call) -> Reply:
        return answer(Call(call.number, {**call.body, "model": f"test-{_role(call)}"}, call.headers))

    config = here("settings.yaml", tmp_path)
    with Server(tutor) as server:
        told = ("--base-url", server.base_url, "--limit", 1, "--set", "search.iterations=4")
        done = cso_here("search", TRAIN, "--out", tmp_path / "run", "--config", config, *told)
        assert done.returncode == 0, done.stderr
        calls = server.calls
    assert {_role(call) for call in calls} == set(ROLE_NAMES)
    asked = [message["content"] for call in calls for message in call.body["messages"]]
    assert [words for words in asked if SUPPORT.search(words)] == []
    assert all(re.search("^Learner: ", call.body["messages"][-1]["content"], re.MULTILINE) for call in calls)
    assert any(re.search("^Tutor: ", words, re.MULTILINE) for words in asked)
    judged = next(call for call in calls if _role(call) == "judge")
    for criterion in RUBRIC.criteria:
        assert f"{criterion.name} ({criterion.name[0]}): {criterion.question}" in judged.body["messages"][-1]["content"]
    [seed] = Run.open(tmp_path / "run").load_seeds()[:1]
    learner = next(call for call in calls if _role(call) == "seeker")
    assert seed.situation in learner.body["messages"][0]["content"]
    assert yaml.safe_load((tmp_path / "run" / "settings.yaml").read_text("utf-8"))["cast"]["kind"] == "llm"


async def _scores(strategist: Strategist, history: Dialogue) -> Mapping[str, float]:
    return await strategist(history)


def _role(call: Call) -> Role:
    """Whose question it is, by how the example's prompts begin."""
    system = call.body["messages"][0]["content"]
    openings: dict[str, Role] = {
        "You play a school pupil": "seeker",
        "You tutor one learner": "supporter",
        "You have taught mathematics": "strategist",
        "You have trained mathematics teachers": "judge",
    }
    return next(role for opening, role in openings.items() if system.startswith(opening))
