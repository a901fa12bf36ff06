"""The folder that a preference dataset is written to."""

from __future__ import annotations

import asyncio
import json
import os
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from cso.dialogue import Dialogue
from cso.errors import StoreError
from cso.extract import Preferences, extract
from cso.extract import write as write_module
from cso.extract.rows import KTO_COLUMNS, PAIR_COLUMNS, SFT_COLUMNS, Columns
from cso.extract.write import Origin, Written, write_preferences
from cso.files import write_json_list, write_jsonl, write_text
from cso.settings import ExtractSettings
from cso.taxonomy import Strategy, Taxonomy, load_taxonomy
from cso.tree import Tree
from extract_trees import ABC, end, idle, on, tree
from golden_trees import NAMES, golden_tree

SETTINGS = ExtractSettings()
HOSTILE = (
    "{braces} {{ jinja }} {% raw %} </script><b>&amp; | a pipe | \\ \"quoted\" 'single'",
    "שלום עולם مرحبا \u202eabc\u202c 👩‍👩‍👧 \u2028 line and \u0000 nul\r\n\ttab",
    "half a pair \ud83d and </end/> (Strategy) $x^2$",
    "word " * 10_000,
)


class Supporter:
    async def __call__(self, history: Dialogue, strategy: Strategy, *, sample: int = 0) -> str:
        return f"{strategy.name} for {len(history.turns)}"


def made(trees: list[Tree], taxonomy: Taxonomy, *, random: bool = False) -> Preferences:
    return asyncio.run(extract(trees, SETTINGS, taxonomy=taxonomy, supporter=Supporter() if random else None))


def written(folder: Path, trees: list[Tree], taxonomy: Taxonomy = ABC, *, random: bool = False) -> Written:
    return write_preferences(folder, trees, made(trees, taxonomy, random=random), SETTINGS, Origin(taxonomy=taxonomy))


def jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def parquet(path: Path) -> list[dict[str, Any]]:
    return pq.read_table(path).to_pylist()


@pytest.fixture(scope="module")
def golden_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden") / "preferences"
    written(folder, [golden_tree(name) for name in NAMES], load_taxonomy("esc8"), random=True)
    return folder


def test_the_folder_holds_every_view(golden_folder: Path) -> None:
    assert sorted(str(path.relative_to(golden_folder)) for path in golden_folder.rglob("*") if path.is_file()) == [
        "README.md",
        "esc_pro.json",
        "figures/strategy_by_stage.png",
        "figures/strategy_by_stage.svg",
        *(f"{name}.{ext}" for name in ("kto", "pairs", "random", "sft") for ext in ("jsonl", "parquet")),
        "statistics.json",
    ]


@pytest.mark.parametrize(
    ("name", "columns"), [("pairs", PAIR_COLUMNS), ("random", PAIR_COLUMNS), ("kto", KTO_COLUMNS), ("sft", SFT_COLUMNS)]
)
def test_parquet_and_jsonl_hold_the_same_rows_and_columns(golden_folder: Path, name: str, columns: Columns) -> None:
    rows = jsonl(golden_folder / f"{name}.jsonl")
    assert rows == parquet(golden_folder / f"{name}.parquet")
    assert len(rows) > 100
    assert all(list(row) == list(columns) for row in rows)


def test_rows_have_the_conversational_shape_that_trainers_read(golden_folder: Path) -> None:
    def roles(messages: list[dict[str, str]]) -> list[str]:
        assert all(set(message) == {"role", "content"} for message in messages)
        return [message["role"] for message in messages]

    for name, replies in (("pairs", ["chosen", "rejected"]), ("kto", ["completion"]), ("sft", ["completion"])):
        for row in jsonl(golden_folder / f"{name}.jsonl"):
            prompt = roles(row["prompt"])
            assert prompt[0] == "system"
            assert prompt[-1] == "user"
            assert all(one != other for one, other in pairwise(prompt))
            assert all(roles(row[reply]) == ["assistant"] for reply in replies)
    assert {type(row["label"]) for row in jsonl(golden_folder / "kto.jsonl")} == {bool}


def test_a_reply_opens_with_its_strategy_in_brackets(golden_folder: Path) -> None:
    for row in jsonl(golden_folder / "pairs.jsonl"):
        assert row["chosen"][0]["content"].startswith(f"({row['chosen_strategy']}) ")
        assert row["rejected"][0]["content"].startswith(f"({row['rejected_strategy']}) ")


def test_a_column_of_nulls_keeps_its_type(tmp_path: Path) -> None:
    written(tmp_path, [tree(end("A", 0.9), end("B", 0.1))])
    schema = pq.read_schema(tmp_path / "pairs.parquet")
    assert schema.field("emotion").type == pa.string()
    assert schema.field("chosen_e").type == pa.int64()
    assert schema.field("margin").type == pa.float64()


def test_a_dataset_of_no_pairs_can_be_written_and_read(tmp_path: Path) -> None:
    written(tmp_path, [tree(end("A", 0.1))])
    assert jsonl(tmp_path / "pairs.jsonl") == parquet(tmp_path / "pairs.parquet") == []
    assert json.loads((tmp_path / "esc_pro.json").read_text()) == []


@pytest.mark.parametrize("text", HOSTILE, ids=("markup", "scripts", "half a pair", "long"))
def test_hostile_text_comes_out_unharmed(tmp_path: Path, text: str) -> None:
    grown = tree(end("A", 0.9, text=text), end("B", 0.1, text=f"other {text}"), opening=text, id=text)
    written(tmp_path, [replace(grown, seed=replace(grown.seed, situation=text, scene=text))])
    (row,) = jsonl(tmp_path / "pairs.jsonl")
    assert row["prompt"][1]["content"] == row["dialogue"] == row["situation"] == row["scene"] == text
    assert row["chosen"][0]["content"] == f"(A) {text}"
    assert row["rejected"][0]["content"] == f"(B) other {text}"
    whole = text.replace("\ud83d", "\ufffd")
    assert parquet(tmp_path / "pairs.parquet")[0]["chosen"][0]["content"] == f"(A) {whole}"
    (entry,) = json.loads((tmp_path / "esc_pro.json").read_text(encoding="utf-8"))
    assert entry["messages"][1]["negative"] == [{"strategy": "B", "content": f"other {text}"}]


def test_esc_pro_has_a_dialogue_for_each_valid_path_in_the_published_layout(tmp_path: Path) -> None:
    grown = tree(on("A", 0.9, end("B", 0.9), end("C", 0.8)), on("B", 0.1), idle("C"))
    written(tmp_path, [grown])
    entries = json.loads((tmp_path / "esc_pro.json").read_text())
    negative = [{"strategy": "B", "content": "B says"}]
    opening = [
        {"role": "user", "content": "I am sad"},
        {"role": "assistant", "content": "A says", "strategy": "A", "negative": negative},
        {"role": "user", "content": "go on"},
    ]
    about = {"id": "d1", "description": "A hard day", "scene": "Work", "iter": 7}
    assert entries == [
        about | {"messages": [*opening, {"role": "assistant", "content": text, "strategy": s, "negative": []}]}
        for s, text in (("B", "B ends"), ("C", "C ends"))
    ]


def test_a_greeting_opens_the_published_layout_without_negatives(tmp_path: Path) -> None:
    written(tmp_path, [tree(end("A", 0.9), end("B", 0.1), greeting="Hello")])
    ((greeting, _, reply),) = [entry["messages"] for entry in json.loads((tmp_path / "esc_pro.json").read_text())]
    assert greeting == {"role": "assistant", "content": "Hello", "strategy": None, "negative": []}
    assert [negative["content"] for negative in reply["negative"]] == ["B ends"]


def test_the_cards_front_matter_names_every_parquet_file(golden_folder: Path) -> None:
    _, front, body = (golden_folder / "README.md").read_text().split("---\n", 2)
    about = yaml.safe_load(front)
    assert "license" not in about
    assert [config["config_name"] for config in about["configs"]] == ["pairs", "kto", "sft", "random"]
    assert [config.get("default", False) for config in about["configs"]] == [True, False, False, False]
    for config in about["configs"]:
        (file,) = config["data_files"]
        assert (golden_folder / file["path"]).is_file()
        assert file["split"] == "train"
    assert about["size_categories"] == ["n<1K"]
    assert "(figures/strategy_by_stage.png)" in body


def test_the_card_shows_the_numbers_of_the_statistics_file(golden_folder: Path) -> None:
    numbers = json.loads((golden_folder / "statistics.json").read_text())
    body = (golden_folder / "README.md").read_text()
    assert numbers["rows"]["pairs"] == 211
    assert numbers["trees"] == {"all": 8, "with_valid_path": 8, "failed": 0}
    assert "| `pairs` | 211 |" in body
    assert f"| utterances | {numbers['table5']['seed']['utterances']} | 185 | 185 | 450 | 822 |" in body
    for row in numbers["strategies"]:
        assert f"| {row['strategy']} | {row['chosen']} | {row['rejected']} |" in body


def test_strategy_names_and_notes_cannot_break_the_cards_tables(tmp_path: Path) -> None:
    odd = Taxonomy("odd", (Strategy("A|<b>$x$", "a"), Strategy("B", "b")))
    trees = [tree(end("A|<b>$x$", 0.9), end("B", 0.1))]
    notes = {"cast": "a | b\n## not a heading"}
    write_preferences(tmp_path, trees, made(trees, odd), SETTINGS, Origin(taxonomy=odd, notes=notes))
    body = (tmp_path / "README.md").read_text()
    assert "| A\\|&lt;b&gt;$x$ | 1 | 0 | 1.00 | 0.00 |" in body
    assert "| cast | a \\| b ## not a heading |" in body
    assert "A|&lt;b&gt;$x$" in (tmp_path / "figures/strategy_by_stage.svg").read_text()


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    trees = [golden_tree("golden_04"), golden_tree("golden_06")]
    for folder in ("one", "two"):
        written(tmp_path / folder, trees, load_taxonomy("esc8"), random=True)
    for file in (tmp_path / "one").rglob("*.*"):
        assert file.read_bytes() == (tmp_path / "two" / file.relative_to(tmp_path / "one")).read_bytes(), file.name


def test_the_svg_keeps_words_as_words_and_no_date(golden_folder: Path) -> None:
    text = (golden_folder / "figures/strategy_by_stage.svg").read_text()
    assert re.search(r"<text[^>]*>Reframe Negative Thoughts</text>", text)
    assert "dc:date" not in text


def test_a_dataset_written_over_another_leaves_no_file_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trees = [tree(end("A", 0.9), end("B", 0.1), idle("C"))]
    written(tmp_path, trees, random=True)
    assert (tmp_path / "random.jsonl").is_file()
    monkeypatch.setattr(write_module, "find_spec", lambda name: None)
    result = written(tmp_path, trees)
    assert not result.figures
    assert not list(tmp_path.glob("random.*"))
    assert not list(tmp_path.glob("figures/*"))
    assert "figures/" not in (tmp_path / "README.md").read_text()
    assert all(path.is_file() for path in result.files)


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [{"a": 1}])

    def broken() -> Any:
        yield {"a": 2}
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError):
        write_jsonl(path, broken())
    assert jsonl(path) == [{"a": 1}]
    assert os.listdir(tmp_path) == ["rows.jsonl"]


def test_a_folder_that_cannot_be_written_is_a_store_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(StoreError, match=r"taken.pairs\.jsonl: cannot be written"):
        written(tmp_path / "taken", [tree(end("A", 0.9))])


def test_a_full_disk_is_a_store_error_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StoreError, match="No space left on device"):
        write_text(tmp_path / "README.md", "words")
    assert os.listdir(tmp_path) == []


def test_a_json_list_is_written_entry_by_entry(tmp_path: Path) -> None:
    for entries in ([], [{"a": "é"}], [{"a": 1}, {"b": 2}]):
        write_json_list(tmp_path / "list.json", entries)
        assert json.loads((tmp_path / "list.json").read_text(encoding="utf-8")) == entries
