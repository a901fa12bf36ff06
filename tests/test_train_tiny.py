"""The embedded backbone: that of `esc8` stays what it is, and another taxonomy has one of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from cso.casting import embedded_backbone, embedded_dialogues
from cso.corpora import read_corpus
from cso.dialogue import Dialogue, Speaker, Turn
from cso.errors import InputError
from cso.settings import ModelSettings, Settings
from cso.store import Run
from cso.taxonomy import Strategy, Taxonomy, load_taxonomy
from cso.train import tiny
from cso.train.backbone import model_place
from cso.transcript import tag

ESC8 = load_taxonomy("esc8")
TWO = Taxonomy("two", (Strategy("Ask", "Ask."), Strategy("A Much Longer Name Of A Strategy", "Tell.")), task="Teach.")
TALKS = tuple(
    Dialogue(
        f"d{number}",
        (
            Turn(Speaker.SEEKER, f"What is {number} and {number}?"),
            Turn(Speaker.SUPPORTER, "What do you think?", TWO.names[number % 2]),
        ),
    )
    for number in range(4)
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, and backbones of one epoch."""
    monkeypatch.setenv("CSO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tiny, "make_tiny", partial(tiny.make_tiny, epochs=1))
    return tmp_path / "cache"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create(tmp_path / "run", Settings(), TWO)
    run.save_seeds(TALKS)
    return run


def test_each_strategy_of_another_taxonomy_is_one_token(run: Run) -> None:
    said: list[str] = []
    told = embedded_backbone(ModelSettings(), run, said.append)
    assert told.name.startswith("tiny-")
    tokenizer = AutoTokenizer.from_pretrained(model_place(told.name))  # pyright: ignore[reportUnknownMemberType]
    assert [len(tokenizer(tag(name))["input_ids"]) for name in TWO.names] == [1, 1]
    assert embedded_backbone(ModelSettings(), run, said.append) == told
    assert len(said) == 1  # it was made once


def test_other_strategies_and_other_dialogues_have_another_backbone(cache: Path) -> None:
    names = {
        tiny.tiny_for(taxonomy, talks)
        for taxonomy, talks in ((TWO, TALKS), (TWO, TALKS[:2]), (replace(TWO, task="Sell."), TALKS))
    }
    assert len(names) == 3
    assert {path.name for path in cache.iterdir() if path.is_dir()} == names


def test_strategies_of_esc8_have_the_backbone_that_they_had(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder's name is a hash of all that it is made of; what was trained on it goes on from it."""
    made: list[Sequence[Dialogue]] = []

    def make(dialogues: Sequence[Dialogue], taxonomy: Taxonomy, folder: Path) -> None:
        made.append(dialogues)
        folder.mkdir()

    monkeypatch.setattr(tiny, "make_tiny", make)
    renamed = replace(ESC8, name="mine", overused=())
    assert tiny.tiny_for(renamed, TALKS) == "tiny"
    assert made == []
    assert Path(model_place("tiny")).name == "tiny-539ddf1d92db"
    assert made == [read_corpus("bundled", ESC8).dialogues]


def test_a_taxonomy_that_reads_the_bundled_corpus_learns_from_it_and_others_from_the_seeds(run: Run) -> None:
    assert embedded_dialogues(run) == TALKS
    run.taxonomy = load_taxonomy("extes15")
    assert len(embedded_dialogues(run)) == 120


def test_of_many_dialogues_some_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Sequence[Dialogue]] = []

    def make(dialogues: Sequence[Dialogue], taxonomy: Taxonomy, folder: Path) -> None:
        made.append(dialogues)
        folder.mkdir()

    monkeypatch.setattr(tiny, "make_tiny", make)
    many = [replace(TALKS[0], id=str(number)) for number in range(1000)]
    name = tiny.tiny_for(TWO, many)
    assert [len({each.id for each in talks}) for talks in made] == [tiny.MOST]
    assert tiny.tiny_for(TWO, many) == name
    assert len(made) == 1


def test_other_models_are_as_they_are_and_a_backbone_that_is_gone_is_named(run: Run) -> None:
    told = ModelSettings(name="org/tiny-model")
    assert embedded_backbone(told, run) is told
    assert model_place("org/tiny-model") == "org/tiny-model"
    with pytest.raises(InputError, match=r"model tiny-0123456789ab: expected it in .*cache"):
        model_place("tiny-0123456789ab")
