"""`cso push`: what the hub gets, what it never gets, and what is said where it will not have it."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

import hub as hub_server
from cli import KEY
from cli import cso as cso_apart
from cli import cso_here as cso
from cso.corpora import read_corpus
from cso.extract import extract
from cso.extract.write import Origin, write_preferences
from cso.files import write_text
from cso.hub import prepare
from cso.hub.card import completed
from cso.hub.contents import MODEL
from cso.settings import Settings, settings_from
from cso.store import Run
from cso.taxonomy import load_taxonomy
from cso.train import merge_adapter, train
from cso.train.card import model_card
from extract_trees import ABC, end, tree
from golden_trees import NAMES, golden_tree
from hub import READER, TOKEN, Fault, Hub
from small_training import furthest, save_model, settings, weights

pytestmark = pytest.mark.slow
datasets = pytest.importorskip("datasets")
huggingface_hub = pytest.importorskip("huggingface_hub")

ESC8 = load_taxonomy("esc8")
ADDRESS = "http://10.1.2.3:8000/v1"
DATASET = [
    "README.md",
    "esc_pro.json",
    "figures/strategy_by_stage.png",
    "figures/strategy_by_stage.svg",
    "kto.parquet",
    "pairs.parquet",
    "sft.parquet",
    "statistics.json",
]
VIEWS = ("pairs", "kto", "sft")
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


def grown(folder: Path, settings: Settings, seeds: Sequence[Any]) -> Run:
    """A run with preferences, as if searched and extracted, and with what others must not see."""
    run = Run.create(folder, settings, ESC8)
    run.save_seeds(seeds)
    trees = [golden_tree(name) for name in NAMES[:4]]
    made = asyncio.run(extract(trees, settings.extract, taxonomy=ESC8))
    write_preferences(run.preferences, trees, made, settings.extract, Origin(taxonomy=ESC8))
    write_text(run.preferences / "settings.yaml", (run.folder / "settings.yaml").read_text())
    write_text(run.answers_path("d1"), f'{{"text": "{KEY}"}}\n')
    write_text(run.preferences / "notes.txt", KEY)
    return run


def own_settings() -> Settings:
    player = {"base_url": ADDRESS, "model": "some/model", "api_key_env": "VERY_PRIVATE"}
    return settings_from({"cast": {"kind": "llm", "default": player}}, source="test")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, to be copied: of the bundled corpus alone, and of a user's own dialogues on endpoints."""
    folder = tmp_path_factory.mktemp("runs")
    grown(folder / "bundled", Settings(), read_corpus("bundled", ESC8).dialogues[:3])
    grown(folder / "own", own_settings(), [golden_tree(name).seed for name in NAMES[:4]])
    return folder


@pytest.fixture
def bundled_run(runs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(runs / "bundled", tmp_path / "bundled"))


@pytest.fixture
def own_run(runs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(runs / "own", tmp_path / "own"))


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody is logged in, and no hub but one that a test makes can be reached."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{port}")


@pytest.fixture(scope="module")
def with_models(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled run with a model of all weights, which is evaluated, and an adapter, which is folded in."""
    folder = tmp_path_factory.mktemp("models")
    run = Run.open(Path(shutil.copytree(runs / "bundled", folder / "run")))
    base = save_model(folder / "secret-base")
    for name, tuning in (("dpo", "full"), ("lora", "lora")):
        train(run.view("dpo"), run.model(name), settings(base, tuning=tuning, epochs=1, tokens=2000), taxonomy=ESC8)
    merge_adapter(run.model("lora"))
    for model, more in (("dpo", ()), ("dpo", ("--baseline", "example")), ("lora/merged", ())):
        told = ("--choose", "score", "--set", "evaluate.write=false", "--set", "evaluate.per_stage=2", *more)
        done = cso("evaluate", run.folder, "--model", model, "--set", "evaluate.draws=20", *told)
        assert done.returncode == 0, done.stderr
    return run.folder


@pytest.fixture
def model_run(with_models: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(with_models, tmp_path / "run"))


def use(hub: Hub, monkeypatch: pytest.MonkeyPatch, token: str | None = TOKEN) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.address)
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as there:
        use(there, monkeypatch)
        yield there


def everything(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def front(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


def test_the_hub_gets_exactly_the_folder_that_was_written(bundled_run: Path, hub: Hub) -> None:
    done = cso("push", bundled_run, "me/preferences")
    assert done.returncode == 0, done.stderr
    assert f"pushed: {hub.address}/datasets/me/preferences" in done.stdout
    assert "never pushed, though beside it: kto.jsonl, notes.txt, pairs.jsonl, settings.yaml, sft.jsonl" in done.stdout
    there = hub.repositories["dataset", "me/preferences"]
    assert not there.private
    assert hub.names("dataset", "me/preferences") == DATASET
    folder = bundled_run / "hub" / "preferences"
    assert {name: content for (_, name), content in there.files.items()} == {
        name: (folder / name).read_bytes() for name in DATASET
    }
    assert there.commits == ["preferences of cso"]
    assert cso("push", bundled_run, "me/preferences").returncode == 0  # and again, into what is there


def test_endpoint_and_token_are_those_of_the_hub_s_own_client(
    bundled_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hub() as there:
        monkeypatch.setenv("HF_ENDPOINT", there.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        done = cso_apart("push", bundled_run, "me/preferences", "--private", "--revision", "second/try")
        assert done.returncode == 0, done.stderr
        assert there.repositories["dataset", "me/preferences"].private
        assert there.names("dataset", "me/preferences", "second/try") == DATASET
        assert there.names("dataset", "me/preferences") == []
        assert TOKEN not in done.stdout + done.stderr


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client's own
def test_large_files_go_by_the_protocol_for_large_files(bundled_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    with Hub(large=(".parquet",)) as there:
        use(there, monkeypatch)
        assert cso("push", bundled_run, "me/preferences").returncode == 0
        assert len(there.stored) == len(VIEWS)
        assert there.names("dataset", "me/preferences") == DATASET


def test_every_view_loads_by_its_name_with_the_types_of_its_columns(bundled_run: Path, tmp_path: Path) -> None:
    assert cso("push", bundled_run, "me/preferences", "--dry-run").returncode == 0
    folder = bundled_run / "hub" / "preferences"
    assert datasets.get_dataset_config_names(str(folder)) == list(VIEWS)
    for view in VIEWS:
        rows = datasets.load_dataset(str(folder), view, split="train", cache_dir=str(tmp_path / "cache"))
        told = [json.loads(line) for line in (bundled_run / f"preferences/{view}.jsonl").read_text().splitlines()]
        assert rows.to_list() == told
        schema = pq.read_schema(folder / f"{view}.parquet")
        assert schema.field("prompt").type == MESSAGES
        assert schema.field("weight").type == pa.float64()
        assert schema.field("chosen_e" if view == "pairs" else "e").type == pa.int64()
    default = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert "rejected" in default.column_names


def test_a_view_without_rows_is_not_offered_to_be_loaded(tmp_path: Path) -> None:
    trees = [tree(end("A", 0.9))]
    made = asyncio.run(extract(trees, Settings().extract, taxonomy=ABC))
    write_preferences(tmp_path / "p", trees, made, Settings().extract, Origin(taxonomy=ABC))
    assert datasets.get_dataset_config_names(str(tmp_path / "p")) == ["sft"]
    rows = datasets.load_dataset(str(tmp_path / "p"), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(rows) == 1


def test_the_dataset_s_card_has_the_metadata_that_the_hub_reads(bundled_run: Path) -> None:
    assert cso("push", bundled_run, "me/preferences", "--dry-run").returncode == 0
    card = huggingface_hub.DatasetCard.load(bundled_run / "hub/preferences/README.md")
    known = card.data.to_dict()
    assert known["license"] == "cc-by-4.0"  # seeds and cast are the bundled corpus, nobody else's words are in it
    assert known["language"] == ["en"]
    assert known["task_categories"] == ["text-generation"]
    assert known["size_categories"] == ["n<1K"]
    assert {"chain-of-strategy", "preference", "dialogue"} <= set(known["tags"])
    assert "licensed under CC BY 4.0" in " ".join(card.text.split())
    assert (
        "not for use with people in distress" in " ".join(card.text.split()) or "Nothing that is trained" in card.text
    )


def test_no_licence_and_no_language_is_claimed_for_what_is_a_user_s_own(own_run: Path) -> None:
    done = cso("push", own_run, "me/preferences", "--dry-run")
    assert done.returncode == 0, done.stderr
    folder = own_run / "hub/preferences"
    assert "its card names no licence" in done.stdout
    assert not {"license", "language"} & front(folder).keys()
    assert "CC BY" not in (folder / "README.md").read_text()
    told = ("--license", "mit", "--language", "de", "--language", "fr")
    again = cso("push", own_run, "me/preferences", "--dry-run", *told)
    assert again.returncode == 0, again.stderr
    assert "names no licence" not in again.stdout
    assert (front(folder)["license"], front(folder)["language"]) == ("mit", ["de", "fr"])


def test_seeds_of_a_user_s_own_beside_bundled_ones_are_not_claimed_either(bundled_run: Path) -> None:
    run = Run.open(bundled_run)
    run.save_seeds([*run.load_seeds(), golden_tree(NAMES[0]).seed])
    assert cso("push", bundled_run, "me/preferences", "--dry-run").returncode == 0
    folder = bundled_run / "hub/preferences"
    assert not {"license", "language"} & front(folder).keys()
    assert "of the bundled corpus of cso" in " ".join((folder / "README.md").read_text().split())


def test_addresses_keys_and_answers_never_leave(own_run: Path) -> None:
    assert ADDRESS.encode() in everything(own_run / "preferences")
    assert cso("push", own_run, "me/preferences", "--dry-run").returncode == 0
    pushed = everything(own_run / "hub")
    for secret in (ADDRESS, KEY, "VERY_PRIVATE", str(own_run)):
        assert secret.encode() not in pushed


def test_what_a_user_wrote_in_the_card_stays(own_run: Path) -> None:
    path = own_run / "preferences/README.md"
    text = path.read_text().replace("pretty_name: Strategy preferences", "pretty_name: Grief\nlicense: mit")
    path.write_text(text + "\nWith thanks to all.\n")
    assert cso("push", own_run, "me/preferences", "--dry-run").returncode == 0
    folder = own_run / "hub/preferences"
    assert (front(folder)["pretty_name"], front(folder)["license"]) == ("Grief", "mit")
    assert "With thanks to all." in (folder / "README.md").read_text()


def test_a_dry_run_lists_files_and_asks_nobody(bundled_run: Path, hub: Hub) -> None:
    done = cso("push", bundled_run, "me/preferences", "--dry-run")
    size = (bundled_run / "hub/preferences/pairs.parquet").stat().st_size
    assert f"{size:,} bytes" in done.stdout
    assert "nothing was uploaded" in done.stdout
    assert hub.requests == []


def always(*, status: int | str, at: str) -> Fault:
    return lambda method, path: status if at in path else None  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("token", "fault", "words"),
    [
        (None, None, "not logged in; `hf auth login`, or set HF_TOKEN"),
        ("hf_wrong", None, "did not accept the token (status 401)"),
        (READER, None, "this token may not write me/preferences (status 403)"),
        (TOKEN, always(status=404, at="/api/repos/create"), "has no me/preferences, or does not show it"),
        (TOKEN, always(status=500, at="/api/repos/create"), "failed (status 500)"),
        (TOKEN, always(status=403, at="/commit/"), "may not write me/preferences (status 403)"),
        (TOKEN, always(status="cut", at="/api/repos/create"), "cannot be reached, or broke off"),
        (TOKEN, always(status="cut", at="/api/validate-yaml"), "cannot be reached, or broke off"),
    ],
    ids=["nobody", "wrong token", "reader", "missing", "broken", "late refusal", "cut", "cut at once"],
)
def test_a_refusal_is_one_line(
    bundled_run: Path, token: str | None, fault: Fault | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hub(fault=fault or (lambda method, path: None)) as there:
        use(there, monkeypatch, token)
        done = cso("push", bundled_run, "me/preferences")
    assert done.returncode == 2
    assert words in done.stderr
    assert "\n" not in done.stderr
    assert not token or token not in done.stderr


def test_a_hub_that_is_not_there_is_one_line_and_no_traceback(
    bundled_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    done = cso_apart("push", bundled_run, "me/preferences")
    assert done.returncode == 2
    assert "http://127.0.0.1:9 cannot be reached" in done.stderr
    assert done.stderr.count("\n") == 1
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    offline = cso_apart("push", bundled_run, "me/preferences")
    assert offline.returncode == 2
    assert "HF_HUB_OFFLINE" in offline.stderr
    assert offline.stderr.count("\n") == 1


def test_an_upload_that_is_cut_off_goes_on(bundled_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cuts = iter(["cut"])
    with Hub(fault=lambda method, path: next(cuts, None) if "/commit/" in path else None) as there:  # type: ignore[arg-type]
        use(there, monkeypatch)
        assert cso("push", bundled_run, "me/preferences").returncode == 0
        assert there.names("dataset", "me/preferences") == DATASET


def test_a_licence_that_the_hub_does_not_know_leaves_no_empty_repository(bundled_run: Path, hub: Hub) -> None:
    done = cso("push", bundled_run, "me/preferences", "--license", "my own")
    assert done.returncode == 2
    assert "refuses the card" in done.stderr
    assert "\n" not in done.stderr
    assert hub.repositories == {}


def test_what_is_to_be_private_is_not_put_where_everybody_reads(bundled_run: Path, hub: Hub) -> None:
    hub.repositories["dataset", "me/preferences"] = hub_server.Repository(private=False)
    done = cso("push", bundled_run, "me/preferences", "--private")
    assert done.returncode == 2
    assert "it is there already and is public" in done.stderr
    assert hub.names("dataset", "me/preferences") == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("RUN", "me/too/deep"), "expected a repository as OWNER/NAME"),
        (("RUN", "me/--"), "expected a repository as OWNER/NAME"),
        (("RUN", "me/m", "--model", "dpo"), "not trained yet, or not to the end"),
        (("RUN", "me/m", "--model", "../models/dpo"), "not trained yet"),
        (("RUN", "me/m", "--merged"), "expected --model NAME with them"),
        (("RUN", "me/m", "--dataset", "a b"), "expected a repository as OWNER/NAME"),
        (("NEW", "me/m"), "nothing to push, no preferences; `cso extract"),
        (("NOWHERE", "me/m"), "no such run"),
    ],
)
def test_mistakes_are_named(bundled_run: Path, tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    new = Run.create(tmp_path / "new", Settings(), ESC8)
    new.save_seeds([])
    places = {"RUN": bundled_run, "NEW": new.folder, "NOWHERE": tmp_path / "nowhere"}
    done = cso("push", *(places.get(each, each) for each in arguments), "--dry-run")
    assert done.returncode == 2
    assert words in done.stderr
    assert "\n" not in done.stderr


def test_preferences_that_are_empty_or_damaged_are_not_pushed(bundled_run: Path) -> None:
    numbers = bundled_run / "preferences/statistics.json"
    whole = numbers.read_text()
    numbers.write_text(json.dumps({"rows": dict.fromkeys(VIEWS, 0)}))
    assert "the preferences are empty" in cso("push", bundled_run, "me/p").stderr
    numbers.write_text("{")
    assert "expected statistics as cso writes them" in cso("push", bundled_run, "me/p").stderr
    numbers.write_text(whole)
    (bundled_run / "preferences/kto.parquet").unlink()
    assert "expected kto.parquet, which the card names" in cso("push", bundled_run, "me/p").stderr
    (bundled_run / "preferences/README.md").write_text("no YAML")
    assert "expected a card that begins with YAML" in cso("push", bundled_run, "me/p").stderr


def test_the_client_of_the_hub_comes_with_an_extra(bundled_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cso.cli.options.find_spec", lambda name: None)
    done = cso("push", bundled_run, "me/preferences")
    assert done.returncode == 2
    assert "pushing to a hub needs huggingface_hub: pip install 'chain-of-strategy[train]'" in done.stderr


def test_a_folder_that_is_written_over_another_keeps_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "model/checkpoints").mkdir(parents=True)
    for name in ("config.json", "model-00001-of-00002.safetensors", "a.bin", "checkpoints/model.safetensors"):
        (tmp_path / "model" / name).write_text(name)
    first = prepare(tmp_path / "model", tmp_path / "out", MODEL, "card")
    assert list(first.sizes) == ["README.md", "config.json", "model-00001-of-00002.safetensors"]
    assert first.left_out == ("a.bin", "checkpoints/")
    (tmp_path / "model/config.json").unlink()
    prepare(tmp_path / "model", tmp_path / "out", MODEL, "card")
    assert not (tmp_path / "out/config.json").exists()


def test_what_is_told_goes_over_the_card_and_what_is_known_under_it(tmp_path: Path) -> None:
    card = "---\nlicense: mit\ntags: [a]\n---\n\nWords.\n"
    told, known = {"license": "apache-2.0"}, {"language": ["en"], "tags": ["b"]}
    text = completed(card, told=told, known=known, sections=["## More"], source=tmp_path)
    assert yaml.safe_load(text.split("---\n")[1]) == {"license": "apache-2.0", "language": ["en"], "tags": ["a"]}
    assert text.endswith("---\n\nWords.\n\n## More\n")


def test_a_model_goes_with_its_card_and_nothing_of_this_machine(model_run: Path, hub: Hub) -> None:
    done = cso("push", model_run, "me/supporter", "--model", "dpo", "--license", "mit", "--dataset", "me/preferences")
    assert done.returncode == 0, done.stderr
    assert "never pushed, though beside it: lock, training.json" in done.stdout
    there = hub.repositories["model", "me/supporter"]
    names = hub.names("model", "me/supporter")
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json", "taxonomy.yaml"} <= set(names)
    for secret in (str(model_run.parent), str(model_run), "/secret-base", KEY):
        assert not [name for (_, name), content in there.files.items() if secret.encode() in content]


def test_a_pushed_model_loads_as_it_was_trained(model_run: Path) -> None:
    assert cso("push", model_run, "me/supporter", "--model", "dpo", "--dry-run").returncode == 0
    folder = model_run / "hub/dpo"
    loaded = AutoModelForCausalLM.from_pretrained(folder)
    known = weights(model_run / "models/dpo")
    assert furthest({name: loaded.state_dict()[name] for name in known}, known) == 0
    assert AutoTokenizer.from_pretrained(folder).chat_template


def test_the_model_s_card_has_the_metadata_that_the_hub_reads(model_run: Path) -> None:
    told = ("--license", "mit", "--dataset", "me/preferences", "--dry-run")
    assert cso("push", model_run, "me/supporter", "--model", "dpo", *told).returncode == 0
    card = huggingface_hub.ModelCard.load(model_run / "hub/dpo/README.md")
    known = card.data.to_dict()
    assert (known["license"], known["language"], known["datasets"]) == ("mit", ["en"], ["me/preferences"])
    assert (known["library_name"], known["pipeline_tag"]) == ("transformers", "text-generation")
    assert {"chain-of-strategy", "dpo"} <= set(known["tags"])
    assert "base_model" not in known  # a folder of this machine is nothing that others could look up
    scores = json.loads((model_run / "evaluation/dpo/scores.json").read_text())
    found = {result.metric_name: result for result in card.data.eval_results}
    assert len(found) == len(card.data.eval_results)  # the baseline's scores are not this model's
    best = found["Q, macro F1 of strategies"]
    assert best.metric_value == pytest.approx(scores["strategies"]["Q"]["value"], abs=1e-4)
    dialogues = scores["dialogues"]
    assert best.dataset_name == f"12 supporter turns of {dialogues} held-out dialogues (dpo, likeliest tag)"
    assert "## Evaluation" in card.text
    assert "Trained on words of the seed dialogues" in card.text


def test_scores_of_other_weights_are_not_claimed(model_run: Path) -> None:
    path = model_run / "models/dpo/model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    done = cso("push", model_run, "me/supporter", "--model", "dpo", "--dry-run")
    assert "evaluation left out, since it is not whole, or not of these weights" in done.stdout
    assert "model-index" not in front(model_run / "hub/dpo")


def test_an_adapter_of_a_local_model_is_pushed_folded_in_or_not_at_all(model_run: Path) -> None:
    alone = cso("push", model_run, "me/supporter", "--model", "lora", "--dry-run")
    assert alone.returncode == 2
    assert "which only this machine has" in alone.stderr
    done = cso("push", model_run, "me/supporter", "--model", "lora", "--merged", "--dry-run")
    assert done.returncode == 0, done.stderr
    folder = model_run / "hub/lora-merged"
    known = huggingface_hub.ModelCard.load(folder / "README.md").data
    assert known.library_name == "transformers"
    assert [result.dataset_name for result in known.eval_results if "merged" in result.dataset_name]
    loaded = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    merged = weights(model_run / "models/lora/merged")
    assert furthest({name: loaded[name] for name in merged}, merged) == 0
    assert "secret-base" not in (folder / "config.json").read_text()
    shutil.rmtree(model_run / "models/lora/merged")
    assert "--merge` folds" in cso("push", model_run, "me/supporter", "--model", "lora", "--merged").stderr


def test_an_adapter_of_a_model_on_the_hub_names_it(model_run: Path) -> None:
    path = model_run / "models/lora/adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": "some/base"}))
    told = settings("some/base", tuning="lora")
    write_text(model_run / "models/lora/README.md", model_card(told, []))
    done = cso("push", model_run, "me/supporter", "--model", "lora", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "adapter_model.safetensors" in done.stdout
    known = front(model_run / "hub/lora")
    assert (known["base_model"], known["base_model_relation"], known["library_name"]) == (
        "some/base",
        "adapter",
        "peft",
    )


def test_no_token_and_no_path_gets_into_a_model_s_card(tmp_path: Path) -> None:
    arguments = {"hub_token": KEY, "logging_dir": str(tmp_path / "logs"), "warmup_steps": 3}
    text = model_card(settings(save_model(tmp_path / "base"), arguments=arguments), [])
    assert KEY not in text
    assert str(tmp_path) not in text
    assert "warmup_steps: 3" in text


def test_a_model_s_card_speaks_of_distress_only_where_the_task_is_support(tmp_path: Path) -> None:
    for taxonomy, words in ((ESC8, 1), (replace(ESC8, task="You teach."), 0)):
        assert model_card(settings(tmp_path), [], taxonomy=taxonomy).count("people in distress") == words
