"""A run directory keeps what it is given, and refuses what would spoil it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import string
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cso.corpora import read_corpus
from cso.dialogue import Dialogue, Speaker, Turn, dialogue_from_json, dialogue_to_json
from cso.errors import InputError, StoreError
from cso.files import locked, parse_yaml, write_text
from cso.search import grow_tree
from cso.settings import Settings, dump_settings, load_settings, settings_from
from cso.store import Run, file_name
from cso.taxonomy import dump_taxonomy, load_taxonomy, parse_taxonomy
from cso.tree import Failure, Tree
from golden_searches import TAXONOMY, Asked, golden, seed_of, settings_of

HOSTILE = 'braces {strategy} {{ x }} </end/> <script>alert("x")</script> \u202eעברית 🙂 a\nb\u2028c \ud800'


def golden_tree(name: str = "golden_06") -> Tree:
    content = golden(name)
    return asyncio.run(grow_tree(seed_of(content), Asked(**content["stand_in"]).cast, TAXONOMY, settings_of(content)))


@pytest.mark.parametrize(
    ("said", "digest"),
    [
        ([], "fabccd8405a2fcd0"),
        (["cast.kind=llm", "cast.default.model=m", "search.judge_selected=true"], "0849ea1908650a27"),
    ],
)
def test_trees_from_before_later_settings_are_still_of_their_run(said: list[str], digest: str, tmp_path: Path) -> None:
    """The digests are those that version 0.1.0 wrote first."""
    seed = read_corpus("bundled", load_taxonomy("esc8")).dialogues[0]
    run = Run.create(tmp_path / "run", load_settings(None, said), load_taxonomy("esc8"))
    run.save_tree(Tree(seed, ()))
    assert json.loads(run.tree_path(seed.id).read_text("utf-8"))["grown_from"] == digest


def test_a_tree_comes_back_as_it_was_stored(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", Settings(), TAXONOMY)
    tree = replace(golden_tree(), failure=Failure("refused", "none, really"))
    run.save_tree(tree)
    assert list(Run.open(tmp_path / "run").trees()) == [tree]


def test_a_tree_that_grows_can_be_looked_at_until_it_is_done(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", Settings(), TAXONOMY)
    tree = golden_tree()
    run.save_growing(tree)
    assert [run.read_tree(path) for path in run.growing()] == [(tree, True)]
    assert list(run.trees()) == []
    run.save_tree(tree)
    assert run.growing() == []


def test_a_tree_from_before_backups_were_kept_is_read(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", Settings(), TAXONOMY)
    tree = golden_tree()
    run.save_tree(tree)
    path = run.tree_path(tree.seed.id)
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["backups"]
    path.write_text(json.dumps(content), encoding="utf-8")
    assert list(run.trees()) == [replace(tree, backups=())]
    assert run.has_tree(tree.seed)


def test_what_people_write_survives_the_file(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", Settings(), TAXONOMY)
    tree = golden_tree()
    turns = (Turn(Speaker.SEEKER, HOSTILE), Turn(Speaker.SUPPORTER, HOSTILE * 1000, TAXONOMY.names[0]))
    tree = replace(tree, seed=Dialogue(HOSTILE, turns, situation=HOSTILE))
    run.save_tree(tree)
    assert next(iter(Run.open(tmp_path / "run").trees())).seed == tree.seed


@given(st.text(min_size=1), st.text(min_size=1))
def test_every_id_has_a_file_of_its_own_inside_the_folder(one: str, other: str) -> None:
    name = file_name(one)
    assert "/" not in name
    assert "\\" not in name
    assert name.strip(".") != ""
    assert len(name.encode()) < 200
    assert set(name) <= set(string.ascii_letters + string.digits + " ()+,=@%-_.~")
    assert (name == file_name(other)) == (one == other)


@pytest.mark.parametrize("nasty", ["..", ".", "../../etc/passwd", "a/b", "a\\b", "x" * 1000, "\0", "CON?*|"])
def test_a_nasty_id_stays_inside_the_run(tmp_path: Path, nasty: str) -> None:
    run = Run.create(tmp_path / "run", Settings(), TAXONOMY)
    assert run.tree_path(nasty).resolve().parent == (tmp_path / "run" / "trees").resolve()
    assert run.answers_path(nasty).resolve().parent == (tmp_path / "run" / "answers").resolve()


def test_a_run_in_which_nothing_was_answered_takes_other_settings(tmp_path: Path) -> None:
    Run.create(tmp_path / "run", Settings(), TAXONOMY)
    Run.create(tmp_path / "run", load_settings(None, ["cast.kind=llm", "cast.default.model=m"]), TAXONOMY)
    assert Run.open(tmp_path / "run").settings.cast.default.model == "m"


def test_the_same_settings_go_on_and_others_are_named(tmp_path: Path) -> None:
    Run.create(tmp_path / "run", Settings(), TAXONOMY).save_tree(golden_tree())
    Run.create(tmp_path / "run", load_settings(None, ["limits.concurrency=3", "search.speculate=4"]), TAXONOMY)
    changed = load_settings(None, ["search.iterations=7"])
    with pytest.raises(StoreError, match=r"search.iterations: 100 there, 7 now.*--regrow"):
        Run.create(tmp_path / "run", changed, TAXONOMY)
    assert Run.create(tmp_path / "run", changed, TAXONOMY, replace=True).settings.search.iterations == 7


def test_another_taxonomy_under_the_same_name_is_told(tmp_path: Path) -> None:
    Run.create(tmp_path / "run", Settings(), TAXONOMY).save_tree(golden_tree())
    other = replace(TAXONOMY, strategies=TAXONOMY.strategies[1:])
    with pytest.raises(StoreError, match="its strategies are not those there"):
        Run.create(tmp_path / "run", Settings(), other)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match="not empty and holds no run"):
        Run.create(tmp_path, Settings(), TAXONOMY)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    Run.create(tmp_path / "run", Settings(), TAXONOMY)
    path = tmp_path / "run" / "settings.yaml"
    path.write_text(path.read_text().replace("format: 1", "format: 2"))
    with pytest.raises(StoreError, match="expected a run of format 1, found 2"):
        Run.open(tmp_path / "run")


def test_numbers_and_dates_are_what_people_mean_by_them() -> None:
    told = load_settings(None, ["train.arguments.weight_decay=1e-2", "train.arguments.run_name='1e-2'"])
    assert told.train.arguments == {"weight_decay": 0.01, "run_name": "1e-2"}
    assert settings_from(parse_yaml(dump_settings(told)), source="test") == told
    with pytest.raises(InputError, match="not valid YAML: day is out of range"):
        load_settings(None, ["train.arguments.run_name=2025-02-30"])


def test_a_tree_counts_only_for_its_own_seed_and_settings(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", Settings(), TAXONOMY)
    tree = golden_tree()
    assert not run.has_tree(tree.seed)
    run.save_tree(tree)
    assert run.has_tree(tree.seed)
    assert not run.has_tree(replace(tree.seed, situation="another"))
    assert not Run(run.folder, load_settings(None, ["search.iterations=7"]), TAXONOMY).has_tree(tree.seed)
    run.save_tree(replace(tree, failure=Failure("empty", "broken")))
    assert not run.has_tree(tree.seed)


def test_trees_grown_under_other_settings_are_not_of_this_run(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", Settings(), TAXONOMY)
    run.save_tree(golden_tree())
    changed = load_settings(None, ["search.iterations=7"])
    assert list(Run.create(tmp_path / "run", changed, TAXONOMY, replace=True).trees()) == []


@pytest.mark.parametrize(
    ("row", "damage"),
    [
        (1, {"q": "high"}),
        (1, {"q": float("nan")}),
        (1, {"q": 1e999}),
        (1, {"parent": 9999}),
        (3, {"parent": 3}),
        (3, {"parent": 4}),
        (0, {"parent": 0}),
        (2, {"id": 7}),
        (1, {"strategy": "Scold"}),
        (1, {"strategy": []}),
        (1, {"prior": None}),
        (1, {"rating": [1, 2, 3, 40]}),
    ],
)
def test_a_damaged_node_is_told_and_its_tree_counts_as_missing(
    tmp_path: Path, row: int, damage: dict[str, Any]
) -> None:
    run = Run.create(tmp_path / "run", Settings(), TAXONOMY)
    tree = golden_tree()
    run.save_tree(tree)
    path = run.tree_path(tree.seed.id)
    content = json.loads(path.read_text())
    content["nodes"][row] |= damage
    path.write_text(json.dumps(content))
    assert not run.has_tree(tree.seed)
    with pytest.raises(StoreError, match="remove it, and it is"):
        list(run.trees())


@pytest.mark.parametrize("damage", [{"iterations": None}, {"ends": "x"}, {"backups": [[-1, 0.5]]}, {"backups": [[0]]}])
def test_a_damaged_head_is_told(tmp_path: Path, damage: dict[str, Any]) -> None:
    run = Run.create(tmp_path / "run", Settings(), TAXONOMY)
    tree = golden_tree()
    run.save_tree(tree)
    path = run.tree_path(tree.seed.id)
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    with pytest.raises(StoreError, match="remove it, and it is"):
        list(run.trees())


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"format": 1}', '{"format": 9}', "[" * 100_000])
def test_a_broken_tree_file_is_named(tmp_path: Path, broken: str) -> None:
    run = Run.create(tmp_path / "run", Settings(), TAXONOMY)
    path = run.tree_path("x")
    path.parent.mkdir()
    path.write_text(broken)
    with pytest.raises(StoreError, match=r"trees/x\.json"):
        list(run.trees())


def test_two_processes_cannot_work_in_one_run(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from cso.files import locked\nwith locked(Path(sys.argv[1])): pass"
    with locked(tmp_path):
        other = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert "another process is at work there" in other.stderr
    again = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert again.returncode == 0


def test_a_symlink_stays_and_what_it_points_to_is_written(tmp_path: Path) -> None:
    target, link, dangling = tmp_path / "there" / "file", tmp_path / "link", tmp_path / "dangling"
    write_text(target, "old")
    link.symlink_to(target)
    dangling.symlink_to("new")
    write_text(link, "new")
    write_text(dangling, "new")
    assert link.is_symlink()
    assert dangling.is_symlink()
    assert target.read_text() == (tmp_path / "new").read_text() == "new"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["dangling", "file", "link", "new", "there"]


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_text(pipe, "said")
    assert os.read(reader, 10) == b"said"
    os.close(reader)
    assert pipe.is_fifo()


def test_a_name_as_long_as_the_file_system_takes_is_written(tmp_path: Path) -> None:
    path = tmp_path / f"{'𝒜' * 60}.html"  # 245 bytes
    write_text(path, "long")
    assert path.read_text() == "long"


def test_a_full_disk_is_a_store_error_and_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run.create(tmp_path / "run", Settings(), TAXONOMY)
    tree = golden_tree()
    run.save_tree(tree)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        run.save_tree(replace(tree, failure=Failure("empty", "newer")))
    assert next(run.trees()).failure is None
    assert [path.name for path in run.tree_path(tree.seed.id).parent.iterdir()] == [f"{tree.seed.id}.json"]


def test_settings_and_taxonomies_come_back_from_their_files(tmp_path: Path) -> None:
    told = load_settings(
        None, ["search.iterations=3", "cast.judge.model=m", "cast.judge.price=[1, 2]", "extract.min_margin=0"]
    )
    Run.create(tmp_path / "run", told, load_taxonomy("esc8"))
    there = Run.open(tmp_path / "run")
    assert there.settings == told
    assert there.taxonomy == load_taxonomy("esc8")
    assert parse_taxonomy(dump_taxonomy(TAXONOMY), source="x") == TAXONOMY


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ("search.iteration=3", "search.iteration: there is no such setting (did you mean search.iterations?)"),
        ("seach.iterations=3", "seach: there is no such setting (did you mean search?)"),
        ("iterations=3", "iterations: there is no such setting (did you mean search.iterations?)"),
        ("search.iterations=-1", "search.iterations: Input should be greater than or equal to 0, found -1"),
        ("search.iterations=many", "found 'many'"),
        ("search", "expected KEY=VALUE"),
        ("taxonomy.name=x", "taxonomy"),
        ("search.ends=[", "not valid YAML"),
        ("cast.kind=human", "cast.kind"),
        ("search.exploration=.nan", "search.exploration"),
        ("cast.default.base_url=[a, 3]", "cast.default.base_url.1: Input should be a valid string"),
    ],
)
def test_a_setting_that_does_not_exist_or_fit_is_named(said: str, complaint: str) -> None:
    with pytest.raises(InputError, match=re.escape(complaint)):
        load_settings(None, [said])


def test_a_role_takes_from_default_what_it_leaves_open() -> None:
    cast: dict[str, Any] = {"default": {"model": "m", "max_tokens": 9}, "judge": {"model": "j"}}
    told = settings_from({"cast": cast}, source="test").cast
    assert (told.player("judge").model, told.player("judge").max_tokens) == ("j", 9)
    assert (told.player("seeker").model, told.player("seeker").temperature) == ("m", 0.7)
    assert told.player("judge").temperature == 0.0


def test_a_dialogue_comes_back_from_its_json() -> None:
    seed = golden_tree("golden_03").seed
    assert dialogue_from_json(json.loads(json.dumps(dialogue_to_json(seed)))) == seed


@pytest.mark.parametrize(
    "said",
    [
        "cast.default.api_key=sk-secret",
        "cast.default.api_key_env=sk-secret",
        "cast.default.base_url=http://me:sk-secret@host/v1",
    ],
)
def test_a_secret_among_the_settings_is_refused_and_not_repeated(said: str) -> None:
    with pytest.raises(InputError) as caught:
        load_settings(None, [said])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("left", [["lock"], ["lock", ".settings.yaml.1.tmp"], ["lock", "taxonomy.yaml"]])
def test_a_run_that_died_before_it_had_begun_can_begin_again(tmp_path: Path, left: list[str]) -> None:
    for name in left:
        (tmp_path / name).write_text("half")
    Run.create(tmp_path, Settings(), TAXONOMY)
    assert Run.open(tmp_path).taxonomy == TAXONOMY


def test_other_prompts_under_the_same_settings_are_told(tmp_path: Path) -> None:
    Run.create(tmp_path / "run", Settings(), TAXONOMY, "one").save_tree(golden_tree())
    with pytest.raises(
        StoreError, match=r"the words of prompts or rubric, or the model of cast\.policy and how it is asked, are"
    ):
        Run.create(tmp_path / "run", Settings(), TAXONOMY, "other")


def test_a_role_with_a_model_of_its_own_has_no_price_of_another() -> None:
    cast: dict[str, Any] = {"default": {"model": "m", "price": [1, 2]}, "judge": {"model": "j"}}
    told = settings_from({"cast": cast}, source="test").cast
    assert (told.player("seeker").price, told.player("judge").price) == ((1, 2), None)


def test_a_later_setting_that_is_taken_back_is_told_as_well(tmp_path: Path) -> None:
    told = load_settings(None, ["search.first_play=judged", "search.settled=15"])
    Run.create(tmp_path / "run", told, TAXONOMY).save_tree(golden_tree())
    with pytest.raises(StoreError, match=r"first_play: judged there, the default now; search\.settled: 15 there"):
        Run.create(tmp_path / "run", Settings(), TAXONOMY)
