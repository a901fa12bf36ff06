"""Recipes are the paper's tables, and a user's own are checked."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import get_args

import pytest

from cso.errors import InputError
from cso.recipe import bundled_recipes, load_recipe
from cso.settings import Objective, Tuning

PAPER = ("llama-3.1-8b-instruct", "qwen2.5-7b-instruct", "gemma-2-9b-it")
OBJECTIVES: tuple[Objective, ...] = ("sft", "dpo", "simpo", "ipo", "kto", "orpo")
TUNINGS: tuple[Tuning, ...] = ("full", "lora")


def test_every_row_of_the_paper_s_tables_is_there() -> None:
    for name in PAPER:
        assert set(load_recipe(name).rows) == set(product(TUNINGS, OBJECTIVES))


# Table 13: epochs, batch size, learning rate, of SFT and of all preference objectives
TABLE_13 = {
    ("llama-3.1-8b-instruct", "full"): ((1, 32, 5e-7), (3, 32, 5e-7)),
    ("llama-3.1-8b-instruct", "lora"): ((3, 32, 1e-6), (3, 32, 1e-6)),
    ("qwen2.5-7b-instruct", "full"): ((1, 32, 5e-7), (3, 32, 6e-7)),
    ("qwen2.5-7b-instruct", "lora"): ((3, 32, 1e-6), (1, 128, 5e-7)),
    ("gemma-2-9b-it", "full"): ((1, 32, 5e-7), (1, 32, 5e-7)),
    ("gemma-2-9b-it", "lora"): ((3, 32, 5e-7), (3, 8, 6e-7)),
}
# Table 14: beta of DPO; beta and gamma of SimPO; beta of IPO; beta and the rejected weight of KTO; beta of ORPO
TABLE_14 = {
    ("llama-3.1-8b-instruct", "full"): (0.7, 3.3, 2.0, 1.0, 0.9, 0.5, 1.3),
    ("llama-3.1-8b-instruct", "lora"): (0.01, 2.0, 0.5, 0.1, 0.01, 1.0, 1.0),
    ("qwen2.5-7b-instruct", "full"): (0.1, 1.5, 3.5, 0.5, 0.07, 0.5, 0.7),
    ("qwen2.5-7b-instruct", "lora"): (0.1, 3.5, 3.0, 0.01, 0.05, 0.5, 2.0),
    ("gemma-2-9b-it", "full"): (0.5, 3.5, 2.0, 1.0, 0.5, 0.6, 0.06),
    ("gemma-2-9b-it", "lora"): (0.1, 1.5, 2.0, 0.2, 0.5, 0.3, 0.02),
}


@pytest.mark.parametrize(("name", "tuning"), TABLE_13)
def test_rows_have_the_numbers_of_the_tables(name: str, tuning: Tuning) -> None:
    rows = load_recipe(name).rows
    for objective in OBJECTIVES:
        row = rows[tuning, objective]
        expected = TABLE_13[name, tuning][0 if objective == "sft" else 1]
        assert (row.epochs, row.batch_size, row.learning_rate) == expected
        assert (row.objective, row.tuning, row.lora.alpha, row.lora.dropout) == (objective, tuning, 8, 0)
        assert row.packing.max_target_length == 512
    dpo, simpo, gamma, ipo, kto, rejected, orpo = TABLE_14[name, tuning]
    assert rows[tuning, "sft"].parameters == {}
    assert rows[tuning, "dpo"].parameters == {"beta": dpo}
    assert rows[tuning, "simpo"].parameters == {"beta": simpo, "gamma": gamma}
    assert rows[tuning, "ipo"].parameters == {"beta": ipo}
    assert rows[tuning, "kto"].parameters == {"beta": kto, "chosen_weight": 1.0, "rejected_weight": rejected}
    assert rows[tuning, "orpo"].parameters == {"beta": orpo}


def test_the_embedded_backbone_has_a_row_for_everything() -> None:
    assert set(load_recipe("tiny").rows) == set(product(TUNINGS, get_args(Objective)))


def test_all_that_come_with_cso_load() -> None:
    assert {load_recipe(name).name for name in bundled_recipes()} == {*PAPER, "tiny"}


def test_a_row_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(InputError, match="has no row for lora plackett_luce; it has full sft, full dpo"):
        load_recipe("gemma-2-9b-it").settings("plackett_luce", "lora")


def test_a_recipe_of_one_s_own_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "model: ./mine\nlora:\n  dpo: {learning_rate: 1.0e-5, lora: {rank: 32}, model: {precision: bf16}}\n"
    )
    row = load_recipe(path).settings("dpo", "lora")
    assert (row.model.name, row.model.precision) == ("./mine", "bf16")
    assert (row.learning_rate, row.lora.rank, row.epochs) == (1e-5, 32, 3)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[]", "expected `model`, `full` and `lora`, found list"),
        ("lora: {dpo: {}}", "expected `model`"),
        ("model: x", "has no rows"),
        ("model: x\nqlora: {}", "has no place for qlora"),
        ("model: x\nfull: {ppo: {}}", "full: expected an objective .*, found ppo"),
        ("model: x\nfull: {dpo: {betta: 1}}", "full, dpo: train.betta: there is no such setting"),
        ("model: x\nfull: {dpo: {epochs: 0}}", "train.epochs"),
        ("model: x\nfull: {dpo: 3}", "expected settings of train, found 3"),
        ("model: [", "not YAML"),
        ("model: x\nfull: 3", "expected rows by objective, found 3"),
        ("model: x\nfull: {dpo: {objective: kto}}", "said above a row, not in it"),
        ("model: x\nfull: {dpo: {model: {name: y}}}", "said above a row, not in it"),
    ],
)
def test_a_recipe_that_cannot_be_read_is_refused(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=complaint):
        load_recipe(path)
