"""Training from end to end: what a step means, going on after a stop, what is saved, and what is refused."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from peft import AutoPeftModelForCausalLM
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
    Trainer,
)

import cso.train.flex as flex
from cso.errors import InputError, StoreError
from cso.evaluate.local import load_local
from cso.settings import ModelSettings, PackingSettings
from cso.taxonomy import load_taxonomy
from cso.train import OBJECTIVES, merge_adapter, read_examples, train
from cso.train.backbone import load_backbone, model_place
from cso.train.batch import Examples, Known, make_batch
from cso.train.dataset import load_dataset
from cso.train.encode import Encoded
from cso.train.examples import Example
from cso.train.flex import can_attend
from cso.train.objectives import make_objective
from cso.train.reference import score_all as score_all_examples
from cso.train.trainer import PackTrainer
from cso.train.unchecked import UncheckedLosses
from small_training import furthest, rows, save_model, save_pairs, settings, tokenizer, weights


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pairs(tmp_path_factory.mktemp("pairs") / "pairs.jsonl")


SIDES = ("chosen", "rejected")
WIDER: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


def losses(log: Any) -> list[float]:
    return [entry["loss"] for entry in log if "loss" in entry]


@pytest.mark.parametrize("tuning", ["full", "lora"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_gets_better_at_what_it_minimises(
    objective: str, tuning: str, model: Path, pairs: Path, tmp_path: Path
) -> None:
    rate = 3e-3 if tuning == "full" else 3e-2
    told = settings(model, objective=objective, tuning=tuning, learning_rate=rate, batch_size=30, epochs=4)
    log = train(pairs, tmp_path / "out", told).log
    assert losses(log)[-1] < losses(log)[0] - 1e-3


def test_preferred_replies_become_likelier_than_rejected_ones_where_the_strategy_tells(
    model: Path, tmp_path: Path
) -> None:
    """Affirmation is always chosen, Share Information always rejected: held-out dialogues show it."""
    told = [row | {"chosen": said("Affirmation", row), "rejected": said("Share Information", row)} for row in rows(10)]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in told))
    log = train(path, tmp_path / "out", settings(model, epochs=6, validation=0.3)).log
    measured = [entry for entry in log if "eval_loss" in entry]
    assert measured[0]["step"] == 0
    assert measured[0]["eval_loss"] == pytest.approx(0.693147, abs=1e-5)
    assert measured[-1]["eval_rewards/accuracies"] == 1.0
    assert measured[-1]["eval_logps/accuracies"] == 1.0
    assert measured[-1]["eval_rewards/margins"] > 0.1


def said(strategy: str, row: dict[str, Any]) -> list[dict[str, str]]:
    words = row["chosen"][0]["content"].split(") ")[1]
    return [{"role": "assistant", "content": f"({strategy}) {words}"}]


@pytest.mark.parametrize("objective", ["dpo", "kto"])
def test_the_reference_is_asked_only_for_examples_that_come(
    objective: str, model: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    real = score_all_examples

    def score_all(examples: Sequence[Encoded], *args: Any, **options: Any) -> Tensor:
        asked.append(len(examples))
        return real(examples, *args, **options)

    monkeypatch.setattr("cso.train.reference.score_all", score_all)
    log = train(pairs, tmp_path / "out", settings(model, objective=objective, batch_size=4, tokens=1)).log
    assert [entry["step"] for entry in log if "loss" in entry] == [1]
    assert {each for each in asked if each} == {4}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_with_strategies_as_target_the_words_of_replies_change_nothing(
    objective: str, model: Path, tmp_path: Path
) -> None:
    told = settings(model, objective=objective, target="strategy")
    found: list[dict[str, Tensor]] = []
    for name, words in (("one", "I hear you."), ("other", "What would help you to sleep tonight?")):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(by_words(row, words)) + "\n" for row in rows()))
        found.append(weights(train(path, tmp_path / name, told).folder))
    assert furthest(*found) == 0
    assert furthest(found[0], weights(model)) > 0


def by_words(row: dict[str, Any], words: str) -> dict[str, Any]:
    """The row with other words in both replies."""
    sides = {side: [{"role": "assistant", "content": f"({row[f'{side}_strategy']}) {words}"}] for side in SIDES}
    return row | sides


@pytest.mark.parametrize(
    ("chosen", "complaint"),
    [
        ("I hear you.", "pairs.jsonl row 1: .*expected replies that open with a strategy in brackets, found 'I hear"),
        ("(Affirmation) Well done.", r"expected replies by differing strategies, found \(Affirmation\), \(Affirm"),
    ],
)
def test_with_strategies_as_target_replies_must_name_two(
    chosen: str, complaint: str, model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"prompt": "I am sad", "chosen": chosen, "rejected": "(Affirmation) You can."}) + "\n")
    with pytest.raises(InputError, match=complaint):
        train(path, tmp_path / "out", settings(model, target="strategy"))


def test_strategies_as_target_are_those_of_the_taxonomy(model: Path, tmp_path: Path) -> None:
    """What stands in brackets may be no strategy, and may be written otherwise."""
    esc8, path = load_taxonomy("esc8"), tmp_path / "pairs.jsonl"
    told = settings(model, target="strategy")
    for chosen, complaint in (("(smiles) I see.", "a strategy of esc8"), ("[affirmation ] Good.", "differing")):
        path.write_text(json.dumps({"prompt": "I am sad", "chosen": chosen, "rejected": "(Affirmation) No."}) + "\n")
        with pytest.raises(InputError, match=complaint):
            train(path, tmp_path / "out", told, taxonomy=esc8)


def test_a_strategy_that_is_good_in_one_reply_and_bad_in_another_is_neither(model: Path, tmp_path: Path) -> None:
    rows_of_one_prompt = [("I am sad", "(Affirmation) a", True), ("I am sad", "(Affirmation) b", False)]
    others = [(f"I am {each}", f"(Affirmation) {each}", each == "tired") for each in ("tired", "cross")]
    path = tmp_path / "kto.jsonl"
    columns = ("prompt", "completion", "label")
    rows = [dict(zip(columns, each, strict=True)) for each in [*rows_of_one_prompt, *others]]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = settings(model, objective="kto", target="strategy")
    found = load_dataset(path, make_objective("kto", {}), tokenizer(), told, None, lambda _: None)
    assert [each.example.source for each in found.training] == ["kto.jsonl row 3", "kto.jsonl row 4"]


def test_gradients_too_large_to_be_numbers_are_refused(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row | {"weight": 1e25}) + "\n" for row in rows()))
    with pytest.raises(InputError, match=r"the gradient is not finite at step 1.*weights of the preferences"):
        train(path, tmp_path / "out", settings(model))


def test_attention_that_flex_attention_cannot_compute_is_refused(model: Path, pairs: Path, tmp_path: Path) -> None:
    told = settings(model).model_copy(update={"model": ModelSettings(name=str(model), attention="flex_attention")})
    backbone = load_backbone(settings(model), tokenizer(), torch.device("cpu"))
    assert not can_attend(backbone.base), "heads of 8 numbers"
    assert can_attend(LlamaForCausalLM(LlamaConfig(**WIDER)))
    assert not can_attend(LlamaForCausalLM(LlamaConfig(**WIDER, attention_dropout=0.1)))
    with pytest.raises(InputError, match="flex_attention"):
        train(pairs, tmp_path / "out", told)
    query = torch.zeros(1, 2, 128, 16)
    with pytest.raises(TypeError, match="BlockMask"):  # or it would see what comes later
        flex.attend(torch.nn.Module(), query, query, query, None, scaling=1.0)


def steps_of(budget: int) -> dict[str, Any]:
    return {"packing": PackingSettings(token_budget=budget), "arguments": {"optim": "sgd"}, "learning_rate": 0.5}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_step_is_the_mean_over_its_examples_however_many_packs_it_takes(
    objective: str, model: Path, pairs: Path, tmp_path: Path
) -> None:
    one = train(pairs, tmp_path / "one", settings(model, objective=objective, **steps_of(4096)))
    many = train(pairs, tmp_path / "many", settings(model, objective=objective, **steps_of(64)))
    moved = furthest(weights(one.folder), weights(model))
    assert furthest(weights(one.folder), weights(many.folder)) < 1e-4 * moved
    assert losses(one.log) == pytest.approx(losses(many.log), rel=1e-5)


class Stopped(Exception):
    pass


@pytest.mark.parametrize("tuning", ["full", "lora"])
@pytest.mark.parametrize("objective", ["dpo", "kto"])
def test_going_on_after_a_stop_comes_to_the_very_same_weights(
    objective: str, tuning: str, model: Path, pairs: Path, tmp_path: Path
) -> None:
    told = settings(model, objective=objective, tuning=tuning, arguments={"save_steps": 2})
    whole = train(pairs, tmp_path / "whole", told)

    def stop(entry: Any, steps: int) -> None:
        if entry["step"] == 5:
            raise Stopped

    with pytest.raises(Stopped):
        train(pairs, tmp_path / "stopped", told, observe=stop)
    notes: list[str] = []
    gone_on = train(pairs, tmp_path / "stopped", told, say=notes.append)
    assert any("checkpoint-4" in note for note in notes)
    assert furthest(weights(whole.folder), weights(gone_on.folder)) == 0
    assert losses(gone_on.log) == losses(whole.log)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("trainer_state.json", cut),
        ("config.json", cut),
        ("optimizer.pt", cut),
        ("optimizer.pt", flip),
        ("model.safetensors", cut),
        ("optimizer.pt", Path.unlink),
        ("rng_state.pth", Path.unlink),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_passed_over(
    file: str, damage: Callable[[Path], None], model: Path, pairs: Path, tmp_path: Path
) -> None:
    told = settings(model, arguments={"save_steps": 2})
    whole = train(pairs, tmp_path / "whole", told)
    (whole.folder / "README.md").unlink()  # as if it had not been finished
    newest = max((whole.folder / "checkpoints").iterdir(), key=lambda path: int(path.name.split("-")[1]))
    damage(newest / file)
    (newest.parent / "checkpoint-of-mine").mkdir()
    before = weights(whole.folder)
    notes: list[str] = []
    again = train(pairs, tmp_path / "whole", told, say=notes.append)
    assert any("going on from" in note and newest.name not in note for note in notes)
    assert furthest(before, weights(again.folder)) == 0


def test_the_first_of_a_few_steps_moves_the_weights(model: Path, pairs: Path, tmp_path: Path) -> None:
    trained = train(pairs, tmp_path / "out", settings(model, epochs=1, batch_size=99))
    assert len(losses(trained.log)) == 1
    assert furthest(weights(model), weights(trained.folder)) > 1e-3


def test_a_disk_that_is_full_in_the_midst_of_a_checkpoint_is_one_line(
    model: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 1057920 vs 1057808")

    monkeypatch.setattr(Trainer, "_save_checkpoint", full)
    with pytest.raises(StoreError, match=r"checkpoint-1 is not whole .*; free some space, and go on"):
        train(pairs, tmp_path / "out", settings(model, arguments={"save_steps": 1}))


def test_weights_that_are_not_finite_are_not_kept_to_go_on_from(
    model: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = settings(model, arguments={"save_steps": 1, "logging_steps": 1000, "max_grad_norm": 0})
    measured = PackTrainer.compute_loss

    def spoilt(*args: Any, **named: Any) -> Tensor:
        return measured(*args, **named) * math.inf  # its value has been looked at, its gradient is not finite

    monkeypatch.setattr(PackTrainer, "compute_loss", spoilt)
    with pytest.raises(InputError, match=r"the weights are not finite after step 1; lower train.learning_rate"):
        train(pairs, tmp_path / "out", told)
    assert not list((tmp_path / "out" / "checkpoints").glob("checkpoint-*"))


def test_a_training_that_is_done_is_left_as_it_is(model: Path, pairs: Path, tmp_path: Path) -> None:
    first = train(pairs, tmp_path / "out", settings(model))
    written = (first.folder / "model.safetensors").stat().st_mtime_ns
    again = train(pairs, tmp_path / "out", settings(model))
    assert (again.folder / "model.safetensors").stat().st_mtime_ns == written
    assert again.log == first.log


def test_a_model_that_has_been_moved_is_the_same_model(pairs: Path, tmp_path: Path) -> None:
    here = save_model(tmp_path / "here")
    train(pairs, tmp_path / "out", settings(here))
    there = here.rename(tmp_path / "there")
    copied = Path(shutil.copytree(there, tmp_path / "copied", copy_function=shutil.copyfile))  # with times of its own
    for place in (there, copied):
        notes: list[str] = []
        train(pairs, tmp_path / "out", settings(place), say=notes.append)
        assert any("done" in note for note in notes)
    weights_there = there / "model.safetensors"
    weights_there.write_bytes(weights_there.read_bytes()[:-1] + b"\1")
    with pytest.raises(StoreError, match="model: "):
        train(pairs, tmp_path / "out", settings(there))


def test_another_training_does_not_go_on_from_this_one(model: Path, pairs: Path, tmp_path: Path) -> None:
    train(pairs, tmp_path / "out", settings(model))
    with pytest.raises(StoreError, match=r"learning_rate: 0.003 there, 0.001 now"):
        train(pairs, tmp_path / "out", settings(model, learning_rate=1e-3))
    with pytest.raises(StoreError, match="examples"):
        train(save_pairs(tmp_path / "others.jsonl", seed=9), tmp_path / "out", settings(model))
    restarted = train(pairs, tmp_path / "out", settings(model, learning_rate=1e-3), restart=True)
    assert losses(restarted.log)


def test_a_folder_that_holds_something_else_is_not_touched(model: Path, pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(StoreError, match="is not empty and holds no training"):
        train(pairs, tmp_path, settings(model), restart=True)
    assert (tmp_path / "thesis.tex").exists()


def test_a_training_that_was_refused_leaves_its_name_to_another(model: Path, pairs: Path, tmp_path: Path) -> None:
    told = settings(model)
    other = told.model.model_copy(update={"attention": "flex_attention"})
    with pytest.raises(InputError, match="attention"):
        train(pairs, tmp_path / "out", told.model_copy(update={"model": other}))
    assert losses(train(pairs, tmp_path / "out", settings(model)).log)


def test_a_secret_for_the_hub_is_not_kept(model: Path, pairs: Path, tmp_path: Path) -> None:
    train(str(pairs), tmp_path / "out", settings(model, arguments={"hub_token": "hf_secret"}))
    assert "hf_secret" not in (tmp_path / "out/training.json").read_text()


def test_a_training_that_was_killed_before_it_began_is_begun(model: Path, pairs: Path, tmp_path: Path) -> None:
    (tmp_path / ".training.json.4711.tmp").write_text("{")
    assert losses(train(pairs, tmp_path, settings(model)).log)


def test_what_is_saved_loads_with_plain_transformers(model: Path, pairs: Path, tmp_path: Path) -> None:
    folder = train(pairs, tmp_path / "out", settings(model)).folder
    loaded = AutoModelForCausalLM.from_pretrained(folder)
    assert furthest(dict(loaded.state_dict()), weights(folder) | tied(loaded, folder)) == 0
    assert AutoTokenizer.from_pretrained(folder).chat_template == tokenizer().chat_template
    assert not list(folder.glob("*.bin"))
    assert not (folder / "checkpoints").exists()
    assert "pipeline_tag: text-generation" in (folder / "README.md").read_text()
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert {"loss", "rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "tokens"} <= set(
        lines[0]
    )


def tied(model: Any, folder: Path) -> dict[str, torch.Tensor]:
    return {name: value for name, value in model.state_dict().items() if name not in weights(folder)}


def test_an_adapter_loads_with_peft_and_folds_into_the_same_model(model: Path, pairs: Path, tmp_path: Path) -> None:
    folder = train(pairs, tmp_path / "out", settings(model, tuning="lora", learning_rate=0.05)).folder
    ids = torch.arange(1, 40)[None]
    adapter = AutoPeftModelForCausalLM.from_pretrained(folder)
    merged = AutoModelForCausalLM.from_pretrained(merge_adapter(folder))
    base = AutoModelForCausalLM.from_pretrained(model)
    with torch.no_grad():
        one, two, three = (each(input_ids=ids).logits for each in (adapter, merged, base))
    assert torch.allclose(one, two, atol=1e-5)
    assert not torch.allclose(one, three, atol=1e-3)
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(model.resolve()), "wherever one loads it from"
    assert (config["lora_alpha"], config["lora_dropout"]) == (8, 0)
    assert {name.split(".")[-1] for name in config["target_modules"]} == {
        *("q_proj", "k_proj", "v_proj", "o_proj"),
        *("gate_proj", "up_proj", "down_proj"),
    }


def test_histories_that_are_too_long_are_trimmed_and_counted(model: Path, pairs: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    told = settings(model, packing=PackingSettings(max_length=40), epochs=1)
    train(pairs, tmp_path / "out", told, say=notes.append)
    assert any("lost their oldest turns" in note for note in notes)


def test_a_single_pair_can_be_trained_on(model: Path, tmp_path: Path) -> None:
    path = save_pairs(tmp_path / "pairs.jsonl", trees=1, turns=1, rejected=1)
    assert losses(train(path, tmp_path / "out", settings(model)).log)[0] == pytest.approx(0.693147, abs=1e-5)


def test_weights_of_examples_weigh(model: Path, tmp_path: Path) -> None:
    """A pair of weight 2 beside one of weight 0.5 (a mean of 1 is not required): the loss is their weighted mean."""
    told = [row | {"weight": weight} for row, weight in zip(rows(1, 1, 2), (2.0, 0.5), strict=True)]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in told))
    log = train(path, tmp_path / "out", settings(model)).log
    assert losses(log)[0] == pytest.approx(0.693147 * 2.5 / 2, abs=1e-5)


def test_any_argument_of_trainer_can_be_set_such_as_where_it_reports_to(
    model: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "board"))
    told = {"report_to": "tensorboard", "save_strategy": False}  # what YAML makes of `no`
    train(pairs, tmp_path / "out", settings(model, arguments=told))
    assert list((tmp_path / "board").glob("events.*"))


def test_what_tensorboard_is_told_stays_when_checkpoints_go(model: Path, pairs: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    train(pairs, tmp_path / "out", settings(model, arguments={"report_to": "tensorboard"}))
    assert list((tmp_path / "out" / "checkpoints").glob("runs/*/events.*"))
    assert not list((tmp_path / "out" / "checkpoints").glob("checkpoint-*"))


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("bogus", 1, "train.arguments.bogus: transformers.TrainingArguments has no such argument"),
        ("per_device_train_batch_size", 2, r"it is set elsewhere \(train.batch_size\)"),
        ("lr_scheduler_type", "nonsense", "train.arguments: .*nonsense"),
        ("save_strategy", "best", "train.arguments: .*best"),
        ("report_to", "wandb", "train.arguments: .*wandb"),
        ("max_steps", 0, "train.arguments.max_steps: expected 1 or more, or -1 for all steps"),
        ("adam_beta1", 2, "train.arguments: Invalid beta parameter"),
        ("lr_scheduler_kwargs", {"bogus": 1}, "train.arguments: .*bogus"),
    ],
)
def test_arguments_that_trainer_does_not_have_or_that_the_plan_decides_are_refused(
    name: str, value: object, complaint: str, model: Path, pairs: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=complaint):
        train(pairs, tmp_path / "out", settings(model, arguments={name: value}))


# What is refused, before hours are spent


def test_a_model_that_is_not_there(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model .*nowhere: expected `tiny`, a folder with config.json"):
        train(pairs, tmp_path / "out", settings(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"model a+: expected `tiny`, a folder with config.json"):
        train(pairs, tmp_path / "out", settings(Path("a" * 5000)))
    for name in ("no/such/folder", "./nothing"):  # no name on a hub: nobody is asked
        with pytest.raises(InputError, match="found no such folder"):
            model_place(name)
    with pytest.raises(InputError, match="found a file"):
        model_place(str(pairs))
    with pytest.raises(InputError, match="found a folder without config"):
        model_place(str(tmp_path))


def test_a_tokenizer_without_chat_template(pairs: Path, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match="has no chat template; take an instruct model"):
        train(pairs, tmp_path / "out", settings(folder))


def test_a_tokenizer_without_pad_token_is_fine(pairs: Path, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", pad_token_id=None)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    del config["pad_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    assert AutoTokenizer.from_pretrained(folder).pad_token is None
    assert losses(train(pairs, tmp_path / "out", settings(folder)).log)


def test_a_model_with_learned_positions_is_given_no_more_than_it_has(pairs: Path, tmp_path: Path) -> None:
    sizes: Any = {"n_positions": 100, "n_embd": 16, "n_layer": 1, "n_head": 2, "vocab_size": len(tokenizer())}
    GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=1, eos_token_id=1)).save_pretrained(tmp_path / "gpt2")
    tokenizer().save_pretrained(tmp_path / "gpt2")
    notes: list[str] = []
    told = settings(tmp_path / "gpt2", arguments={"max_steps": 1})
    assert losses(train(pairs, tmp_path / "out", told, say=notes.append).log)
    assert any("has learned 100 positions" in note for note in notes)
    loaded = load_local(told.model, load_taxonomy("esc8"), max_length=2048, max_tokens=9)
    asked = [[{"role": "user" if turn % 2 == 0 else "assistant", "content": "I see."} for turn in range(41)]]
    assert [reply for _, reply in loaded.write(loaded.prompts(asked), max_tokens=9)]  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"no room for a prompt .* lower evaluate.max_tokens"):
        load_local(told.model, load_taxonomy("esc8"), max_length=2048, max_tokens=100)


def test_an_encoder_decoder(pairs: Path, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model")
    T5ForConditionalGeneration(
        T5Config(vocab_size=99, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    ).save_pretrained(folder)
    with pytest.raises(InputError, match="expected a causal language model, found an encoder-decoder"):
        train(pairs, tmp_path / "out", settings(folder))


def test_weights_that_only_pickle_could_load(pairs: Path, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model")
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="safetensors"):
        train(pairs, tmp_path / "out", settings(folder))


def test_code_that_comes_with_a_model_is_not_run_unasked(pairs: Path, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.OwnModel"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit('it was run')")
    with pytest.raises(InputError, match="model "):
        train(pairs, tmp_path / "out", settings(folder))


def test_an_adapter_as_the_model(model: Path, pairs: Path, tmp_path: Path) -> None:
    adapter = train(pairs, tmp_path / "adapter", settings(model, tuning="lora", epochs=1)).folder
    with pytest.raises(InputError, match="holds an adapter only; fold it into its model first"):
        train(pairs, tmp_path / "out", settings(adapter))


def test_more_tokens_than_the_model_has_rows(pairs: Path, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", vocab_size=100)
    with pytest.raises(InputError, match=r"its tokenizer has \d+ tokens, the model 100"):
        train(pairs, tmp_path / "out", settings(folder))


def test_flex_attention_without_a_gpu(model: Path, pairs: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    told = settings(model).model_copy(update={"model": ModelSettings(name=str(model), attention="flex_attention")})
    with pytest.raises(InputError, match="flex_attention trains on a GPU only"):
        train(pairs, tmp_path / "out", told)


def test_a_model_whose_attention_ignores_the_mask(
    model: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cso.train.logps.dense_mask", lambda pack, config, dtype: None)
    told = settings(model).model_copy(update={"model": ModelSettings(name=str(model), attention="sdpa")})
    with pytest.raises(InputError, match=r"by itself and .* packed with another"):
        train(pairs, tmp_path / "out", told)


def test_a_loss_that_is_not_finite_stops_with_the_batch_named_and_kept(
    model: Path, pairs: Path, tmp_path: Path
) -> None:
    told = settings(model, learning_rate=1e30, arguments={"warmup_steps": 0, "max_grad_norm": 0})
    with pytest.raises(InputError, match=r"the loss is not finite at pairs.jsonl row \d+"):
        train(pairs, tmp_path / "out", told)
    kept = [json.loads(line) for line in (tmp_path / "out" / "refused_batch.jsonl").read_text().splitlines()]
    assert kept
    assert {"source", "prompt", "replies", "weight", "q"} == set(kept[0])


@pytest.mark.parametrize("trees", [3, 30])  # in a few packs, and in more than are looked at together
def test_a_loss_that_is_not_finite_is_found_though_nothing_is_logged_and_spoils_no_checkpoint(
    trees: int, model: Path, tmp_path: Path
) -> None:
    path = save_pairs(tmp_path / "pairs.jsonl", trees=trees)
    lines = path.read_text().splitlines()
    culprit = len(lines) // 2
    lines[culprit] = json.dumps(json.loads(lines[culprit]) | {"weight": 1e300})  # too large for float32
    path.write_text("\n".join(lines))
    packing = PackingSettings(token_budget=64)
    arguments = {"logging_steps": 1000, "save_steps": 1}
    told = settings(model, packing=packing, batch_size=len(lines), arguments=arguments)
    with pytest.raises(InputError, match="the loss is not finite"):
        train(path, tmp_path / "out", told)
    kept = [json.loads(line) for line in (tmp_path / "out" / "refused_batch.jsonl").read_text().splitlines()]
    assert (kept[0]["source"], kept[0]["weight"]) == (f"pairs.jsonl row {culprit + 1}", 1e300)
    assert len(kept) < 10, "the culprit's pack, not all"
    assert not list((tmp_path / "out" / "checkpoints").glob("checkpoint-*"))


@pytest.mark.parametrize(("process", "named"), [(0, ["second"]), (1, [])])
def test_of_several_processes_the_one_that_has_the_first_such_loss_names_it(process: int, named: list[str]) -> None:
    losses = {0: [1.0, math.nan, math.nan], 1: [1.0, 1.0, math.nan]}
    found: list[str] = []
    accelerator: Any = SimpleNamespace(
        process_index=process,
        gather=lambda _: torch.tensor([[not math.isfinite(loss) for loss in losses[each]] for each in losses]).int(),
    )
    unchecked = UncheckedLosses(accelerator, cast(Any, found.extend))
    for loss, name in zip(losses[process], ["first", "second", "third"], strict=True):
        unchecked.add(torch.tensor(loss), torch.tensor([loss]), cast(Any, [name]))
    with pytest.raises(InputError, match="in process 0"):
        unchecked.check()
    assert found == named


def test_batches_are_moved_without_waiting_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[bool] = []
    move = Tensor.to

    def spy(self: Tensor, *args: Any, non_blocking: bool = False) -> Tensor:
        waits.append(not non_blocking)
        return move(self, *args, non_blocking=non_blocking)

    encoded = Encoded(Example(({"role": "user", "content": "a"},), ("b", "c"), "", "row 1"), [1, 2], [[3], [4]])
    batch = make_batch(Examples([encoded], [Known([0.0, 0.0])]), [0], make_objective("dpo", {}))
    monkeypatch.setattr(Tensor, "to", spy)
    batch.to("meta", non_blocking=False)  # as accelerate asks
    assert waits
    assert not any(waits)


@pytest.mark.parametrize(
    "words", ["CUDA out of memory. Tried to allocate", "DefaultCPUAllocator: can't allocate memory"]
)
def test_out_of_memory_says_what_to_lower(
    words: str, model: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise RuntimeError(words)

    monkeypatch.setattr("cso.train.trainer.reply_logps", fails)
    with pytest.raises(InputError, match=r"lower train.packing.token_budget"):
        train(pairs, tmp_path / "out", settings(model))


def test_strategies_of_another_taxonomy(model: Path, pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="taxonomy"):
        train(pairs, tmp_path / "out", settings(model), taxonomy=load_taxonomy("esconv8"))


@pytest.mark.parametrize("objective", ["plackett_luce", "q_margin"])
def test_objectives_by_q_need_q(objective: str, model: Path, tmp_path: Path) -> None:
    told = [{key: value for key, value in row.items() if not key.endswith("_q")} for row in rows()]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in told))
    with pytest.raises(InputError, match="_q"):
        train(path, tmp_path / "out", settings(model, objective=objective))


def test_kto_needs_two_dialogues(model: Path, tmp_path: Path) -> None:
    path = save_pairs(tmp_path / "pairs.jsonl", trees=1)
    with pytest.raises(InputError, match="at least two dialogues"):
        train(path, tmp_path / "out", settings(model, objective="kto"))


def test_examples_made_in_python_train_as_those_of_a_file(model: Path, pairs: Path, tmp_path: Path) -> None:
    examples: list[Example] = read_examples(pairs, "pairs")
    one = train(examples, tmp_path / "one", settings(model))
    two = train(pairs, tmp_path / "two", settings(model))
    assert furthest(weights(one.folder), weights(two.folder)) == 0


def test_kto_can_hold_out_a_single_dialogue(model: Path, pairs: Path, tmp_path: Path) -> None:
    log = train(pairs, tmp_path / "out", settings(model, objective="kto", validation=0.2)).log
    assert next(entry["eval_loss"] for entry in log if "eval_loss" in entry) == pytest.approx(0.5, abs=1e-5)


def test_a_limit_of_steps_is_kept_and_logged(model: Path, pairs: Path, tmp_path: Path) -> None:
    log = train(pairs, tmp_path / "out", settings(model, epochs=50, arguments={"max_steps": 2})).log
    assert len(losses(log)) == 2


def test_a_loss_that_is_not_finite_on_what_is_held_out_names_what_is_held_out(
    model: Path, pairs: Path, tmp_path: Path
) -> None:
    told = settings(model, learning_rate=1e30, batch_size=99, validation=0.8, arguments={"warmup_steps": 0})
    with pytest.raises(InputError, match="not finite"):
        train(pairs, tmp_path / "out", told)
    kept = [json.loads(line) for line in (tmp_path / "out" / "refused_batch.jsonl").read_text().splitlines()]
    rows_there = {example.source: list(example.replies) for example in read_examples(pairs, "pairs")}
    assert all(rows_there[row["source"]] == row["replies"] for row in kept)


def test_examples_must_be_of_the_objective_s_kind(model: Path, pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected pairs, found an example of 1 replies"):
        train(read_examples(pairs, "demonstrations"), tmp_path / "out", settings(model))


def test_an_unknown_place_to_report_to_is_refused_before_training(model: Path, pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train.arguments: "):
        train(pairs, tmp_path / "out", settings(model, arguments={"report_to": "bogus"}))
