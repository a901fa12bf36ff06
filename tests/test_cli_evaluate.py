"""`cso evaluate`, `compare`, `run`, `study` and `report` as a user types them."""

from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path

import pytest

from cli import cso as cso_apart
from cli import cso_here as cso
from cso.cli import embedded
from cso.cli.evaluate import show_difference
from cso.cli.options import console, loadable
from cso.corpora import read_corpus
from cso.evaluate.intervals import Difference
from cso.settings import Settings
from cso.store import Run
from cso.taxonomy import dump_taxonomy, load_taxonomy
from server import Call, Reply, Server, completion, failure
from small_training import furthest, save_model, save_pairs, weights

pytestmark = pytest.mark.slow
SMALL = ("--set", "evaluate.per_stage=4", "--set", "evaluate.draws=50")
SCORED = ("--choose", "score", "--set", "evaluate.write=false")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with pairs, as if searched and extracted."""
    there = Run.create(tmp_path / "run", Settings(), load_taxonomy("esc8"))
    there.save_seeds([])
    there.preferences.mkdir()
    save_pairs(there.preferences / "pairs.jsonl", trees=8)
    save_pairs(there.preferences / "sft.jsonl", trees=8)
    return there.folder


class Texts(html.parser.HTMLParser):
    """The words of a page, and what could be fetched from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        addresses = [value or "" for name, value in attrs if name in ("src", "href")]
        self.outside += [each for each in addresses if not each.startswith(("#", "data:"))] + [tag] * (tag == "img")

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_two_models_are_scored_compared_and_reported(run: Path, model: Path) -> None:
    one = cso("evaluate", run, "--model", model, *SCORED, *SMALL, "--name", "one")
    assert one.returncode == 0, one.stderr
    assert "on 24 turns" in one.stdout
    again = cso("evaluate", run, "--model", model, *SCORED, *SMALL, "--name", "one")
    assert "holds this evaluation already, done" in again.stdout
    written = cso("evaluate", run, "--model", model, *SMALL, "--set", "evaluate.max_tokens=4", "--name", "two")
    assert written.returncode == 0, written.stderr
    assert "no reply had a readable strategy" in written.stdout  # its words are noise
    compared = cso("compare", run, "one", "two")
    assert compared.returncode == 0, compared.stderr
    assert "one - two" in compared.stdout
    assert "unreadable  -100.0" in compared.stdout
    reported = cso("report", run)
    assert reported.returncode == 0, reported.stderr
    page = Texts()
    page.feed((run / "report.html").read_text(encoding="utf-8"))
    assert page.outside == []
    scores = json.loads((run / "evaluation" / "one" / "scores.json").read_text())
    q = {name: 100 * scores["strategies"]["Q"][name] for name in ("value", "low", "high")}
    shown = " ".join(" ".join(page.words).split())
    assert f"{q['value']:.1f} [{q['low']:.1f}, {q['high']:.1f}]" in shown


def test_differences_are_printed_in_percentage_points_like_the_scores(capsys: pytest.CaptureFixture[str]) -> None:
    found = {"Q": Difference(0.0319, 0.009, 0.06, 0.0071), "B": Difference(-0.256, -0.45, 0.087, 0.00001)}
    show_difference(console(), "cso", "sft", found)
    said = [re.split(r"  +", line.strip()) for line in capsys.readouterr().out.splitlines()]
    assert ["Q", "+3.2", "[+0.9, +6.0]", "0.007"] in said
    assert ["B", "-0.26", "[-0.45, +0.09]", "<0.001"] in said


def test_an_endpoint_that_dies_half_way_loses_nothing(run: Path) -> None:
    def script(call: Call) -> Reply:
        return failure(401) if call.number in (9, 10) else completion("(Affirmation) You are strong.")

    with Server(script) as server:
        told = ("evaluate", run, "--model", "some-model", "--base-url", server.base_url, *SMALL)
        stopped = cso_apart(*told, "--set", "limits.concurrency=1")
        assert stopped.returncode == 2
        assert "Traceback" not in stopped.stderr
        asked = len(server.bodies)
        done = cso_apart(*told)
        assert done.returncode == 0, done.stderr
        assert len(server.bodies) == asked + 24 - 9
    rows = [json.loads(line) for line in (run / "evaluation/some-model/replies.jsonl").read_text().splitlines()]
    assert {(row["strategy"], row["text"]) for row in rows} == {("Affirmation", "You are strong.")}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "/nowhere/at/all"), "expected `tiny`, a folder"),
        (("--model", "a" * 5000), "expected `tiny`, a folder"),
        (("--model", "cso"), "the run has no models yet"),
        (("--model", "MODEL", "--corpus", "/nowhere.json"), "expected a readable file with dialogues"),
        (("--model", "MODEL", "--corpus", "EMPTY"), "expected dialogues, found an empty list"),
        (("--model", "MODEL", "--split", "dev"), "expected train or test"),
        (("--model", "MODEL", "--set", "evaluate.write=false"), "read from the reply unless"),
        (("--model", "MODEL", "--baseline", "magic"), "evaluate.baseline"),
        (("--model", "OTHER"), "was trained to choose from esconv8"),
        (("--model", "m", "--base-url", "http://127.0.0.1:9", "--choose", "score"), "gives no probabilities of tags"),
    ],
)
def test_mistakes_are_named(run: Path, model: Path, tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    other = save_model(tmp_path / "other")
    (other / "taxonomy.yaml").write_text(dump_taxonomy(load_taxonomy("esconv8")), encoding="utf-8")
    (tmp_path / "empty.json").write_text("[]", encoding="utf-8")
    places = {"MODEL": model, "OTHER": other, "EMPTY": tmp_path / "empty.json"}
    done = cso("evaluate", run, *(places.get(each, each) for each in arguments))
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_seeds_of_the_run_are_no_test(run: Path, model: Path) -> None:
    there = Run.open(run)
    seen = read_corpus("bundled:test", there.taxonomy).dialogues
    there.save_seeds(seen[:30])
    some = cso("evaluate", run, "--model", model, *SCORED, *SMALL)
    assert "left out, since they are seeds of this run: 30 dialogues" in some.stdout
    there.save_seeds(seen)
    assert "found none" in cso("evaluate", run, "--model", model, *SCORED, *SMALL).stderr


def test_an_evaluation_whose_files_were_damaged_is_made_anew_without_asking(run: Path, model: Path) -> None:
    told = ("evaluate", run, "--model", model, "--name", "m", *SCORED, *SMALL)
    assert cso(*told).returncode == 0
    replies, scores = run / "evaluation/m/replies.jsonl", run / "evaluation/m/scores.json"
    whole = replies.read_text(), scores.read_text()
    answers = (run / "evaluation/m/answers.jsonl").read_bytes()
    for path, damaged in ((replies, "\n".join(whole[0].splitlines()[:5])), (scores, "{"), (scores, '{"format": 1}')):
        path.write_text(damaged)
        done = cso(*told)
        assert done.returncode == 0, done.stderr
        assert "already, done" not in done.stdout
        assert (replies.read_text(), scores.read_text()) == whole
    assert (run / "evaluation/m/answers.jsonl").read_bytes() == answers
    scores.write_text('{"format": 1}')
    assert cso("report", run).returncode == 0
    assert "evaluation/m/scores.json" in (run / "report.html").read_text()


def test_requests_without_an_answer_are_counted_and_asked_again(run: Path) -> None:
    refused = {"some": True, "all": True}

    def script(call: Call) -> Reply:
        if refused["all"] or (refused["some"] and call.number % 2):
            return failure(400, "too sad")
        return completion("(Affirmation) You are strong.")

    with Server(script) as server:
        told = ("evaluate", run, "--model", "m", "--base-url", server.base_url, *SMALL)
        silent = cso(*told)
        assert silent.returncode == 2
        assert "no request was answered" in silent.stderr
        assert "too sad" in silent.stderr
        refused["all"] = False
        half = cso(*told)
        assert half.returncode == 1
        assert "requests have no answer and count as unreadable" in half.stdout
        assert "requests of m have no answer and count as wrong" in cso("compare", run, "m", "m").stdout
        refused["some"] = False
        whole = cso(*told)
        assert whole.returncode == 0, whole.stderr
        assert "have no answer" not in whole.stdout


def test_a_model_whose_weights_are_not_all_there_is_refused(run: Path, tmp_path: Path) -> None:
    broken = save_model(tmp_path / "broken")
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(config | {"num_hidden_layers": config["num_hidden_layers"] + 1}))
    done = cso("evaluate", run, "--model", broken, *SCORED, *SMALL)
    assert done.returncode == 2
    assert "found none that fit" in done.stderr


def test_a_run_says_what_is_wrong_before_it_searches(tmp_path: Path, model: Path) -> None:
    cut = save_model(tmp_path / "cut")
    (cut / "model.safetensors").write_bytes((cut / "model.safetensors").read_bytes()[:-20])
    for wrong, words in (
        (("--test", tmp_path / "nofile.json"), "expected a readable file with dialogues"),
        (("--recipe", "magic"), "magic"),
        (("--set", "train.parameters.magic=1"), "magic"),
        (("--set", "train.model.name=/nowhere"), "expected `tiny`, a folder"),
        (("--set", "train.model.name=qwen"), "a name on the hub as OWNER/NAME"),
        (("--set", f"train.model.name={cut}"), "model.safetensors: "),
        (("--set", "train.arguments.foo=1"), "has no such argument"),
        (("--set", "train.model.attention=flex_attention"), "trains on a GPU only"),
        (("--set", "evaluate.choose=free"), "evaluate.write=false"),
    ):
        done = cso("run", "--out", tmp_path / "run", "--set", f"train.model.name={model}", *wrong)
        assert done.returncode == 2
        assert words in done.stderr
    assert not (tmp_path / "run").exists()


def test_toxicity_is_rated_by_group_offline_and_by_an_endpoint(run: Path) -> None:
    Run.open(run).save_seeds(read_corpus("bundled", load_taxonomy("esc8")).dialogues[:5])
    screened = cso("toxicity", run, "--set", "evaluate.draws=50")
    assert screened.returncode == 0, screened.stderr
    for words in (
        "seed seekers",
        "seed supporters",
        "chosen",
        "share, %",
        "rejected minus chosen",
        "profanity",
        "a screen",
    ):
        assert words in screened.stdout
    groups = json.loads((run / "toxicity/words.json").read_text())["groups"]
    assert groups.keys() == {"seed seekers", "seed supporters", "seekers", "chosen", "rejected"}

    scores = {"results": [{"category_scores": {"harassment": 0.25}}]}
    with Server(lambda call: Reply(json.dumps(scores).encode())) as server:
        told = ("toxicity", run, "--backend", "moderation", "--base-url", server.base_url)
        done = cso(*told)
        assert done.returncode == 0, done.stderr
        assert server.bodies[0].keys() == {"model", "input"}
        asked = len(server.bodies)
        assert cso(*told).returncode == 0
        assert len(server.bodies) == asked  # all remembered
    found = json.loads((run / "toxicity/moderation-omni-moderation-latest.json").read_text())
    assert found["groups"]["chosen"]["harassment"]["value"] == 0.25
    assert "expected --file" in cso("toxicity", run, "--backend", "file").stderr
    assert "expected --model" in cso("toxicity", run, "--backend", "guard").stderr
    forgotten = cso("toxicity", run, "--model", "owner/guard", "--base-url", "http://127.0.0.1:9/v1")
    assert "--model: is for --backend moderation, guard, classifier; found --backend words" in forgotten.stderr


def test_a_study_trains_each_variant_with_each_seed_once(run: Path, model: Path) -> None:
    told = ("study", "volume", run, "--seeds", "2", *SMALL, "--set", "evaluate.choose=score")
    sets = ("evaluate.write=false", f"train.model.name={model}", "train.tuning=full", "train.tokens=2000")
    assignments = [part for each in sets for part in ("--set", each)]
    done = cso(*told, *assignments)
    assert done.returncode == 0, done.stderr
    results = json.loads((run / "studies/volume/results.json").read_text())
    trainings = {name: row["trainings"] for name, row in results["variants"].items()}
    assert trainings == {"base": 1, "CSO, 25%": 2, "CSO, 50%": 2, "CSO, 75%": 2, "CSO, 100%": 2}
    again = cso(*told, *assignments)
    assert again.stdout.count("holds this training already") == 8
    assert json.loads((run / "studies/volume/results.json").read_text()) == results
    assert "no random.jsonl" in cso("study", "ablation", run, *assignments).stderr
    more = ("study", "volume", run, "--seeds", "3", *SMALL, "--set", "evaluate.choose=score", *assignments)
    part = cso(*more, "--variant", "CSO, 50%")
    assert part.returncode == 0, part.stderr
    trainings = json.loads((run / "studies/volume/results.json").read_text())["variants"]
    assert {name: row["trainings"] for name, row in trainings.items()} == {"base": 1, "CSO, 50%": 3}
    assert cso(*told, *assignments, "--variant", "CSO, 50%").returncode == 0
    assert json.loads((run / "studies/volume/results.json").read_text()) == results, "what is there is shown as well"
    refused = cso(*told, *assignments, "--variant", "SFT").stderr
    assert "--variant: the study volume has CSO, 25%; CSO, 50%; CSO, 75%; CSO, 100%; found SFT" in " ".join(
        refused.split()
    )
    variants = results["variants"]
    quarter = cso(*told, *assignments, "--against", "CSO, 25%")
    assert quarter.returncode == 0, quarter.stderr
    held = json.loads((run / "studies/volume/results.json").read_text())["variants"]
    assert [row["means"] for row in held.values()] == [row["means"] for row in variants.values()]
    here, there = held["base"]["less CSO, 25%"]["Q"], variants["CSO, 25%"]["less base"]["Q"]
    assert here["value"] == pytest.approx(-there["value"])
    refused = cso(*told, *assignments, "--against", "SFT").stderr
    assert "--against: the study volume has base; CSO, 25%; CSO, 50%; CSO, 75%; CSO, 100%; found SFT" in refused


def test_the_study_of_rounds_spends_on_two_what_it_spends_on_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, count in (("BASE", 8), ("SEEDS", 4), ("TEST", 4)):
        monkeypatch.setattr(embedded, name, count)
    sets = ("search.iterations=3", "train.tokens=1500", "evaluate.per_stage=2", "evaluate.draws=20")
    told = ("study", "rounds", tmp_path / "run", "--seeds", "1", *(part for each in sets for part in ("--set", each)))
    done = cso(*told)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "run/studies/rounds"
    results = json.loads((folder / "results.json").read_text())
    assert list(results["variants"]) == ["base", "One round", "Round 1 of 2", "Two trainings", "Two rounds"]
    assert Run.open(folder / "round 2-0").settings.cast.policy.model == str(folder / "models/Round 1 of 2-0")
    spent = {
        each: json.loads((folder / f"models/{each}-0/training.json").read_text())
        for each in results["variants"]
        if each != "base"
    }
    tokens = {each: row["settings"]["tokens"] for each, row in spent.items()}
    assert tokens == {"One round": 1500, "Round 1 of 2": 750, "Two trainings": 750, "Two rounds": 750}
    first = str(folder / "models/Round 1 of 2-0")
    assert (
        spent["Two rounds"]["settings"]["model"]["name"] == spent["Two trainings"]["settings"]["model"]["name"] == first
    )
    guided, extracted = Run.open(folder / "round 2-0"), folder / "round 2-0/preferences/settings.yaml"
    before = extracted.stat().st_mtime_ns
    done = cso(*told, "--restart", "--set", "train.learning_rate=0.01")  # another model guides, so all is made anew
    assert done.returncode == 0, done.stderr
    assert Run.open(guided.folder).wording != guided.wording
    assert extracted.stat().st_mtime_ns > before


def test_a_simulated_study_leaves_a_run_of_other_dialogues_alone(run: Path) -> None:
    Run.open(run).save_seeds(read_corpus("bundled", load_taxonomy("esc8")).dialogues[:2])
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for name in ("embedded", "rounds"):
        refused = cso("study", name, run)
        assert refused.returncode == 2
        assert "found a run on other dialogues" in refused.stderr
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert not run.with_name("run-world").exists()


def test_settings_that_one_training_of_a_study_could_not_have_are_refused_before_the_first(
    run: Path, model: Path
) -> None:
    told = ("study", "main", run, *SMALL, "--set", f"train.model.name={model}", "--set", "train.parameters.gamma=1")
    refused = cso(*told)
    assert refused.returncode == 2
    assert "dpo has beta, sft_weight; found gamma" in refused.stderr
    assert not (run / "studies").exists()
    only = cso(*told, "--variant", "SFT", "--set", "train.arguments.max_steps=none")
    assert "train.arguments.max_steps: expected a number" in only.stderr  # SFT has no parameters to be told


def test_a_path_is_no_model_of_the_run(run: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run / "models" / "own").mkdir(parents=True)
    monkeypatch.chdir(model)
    assert loadable(".", Run.open(run)) == "."
    assert loadable("own", Run.open(run)) == str(run / "models" / "own")


def test_a_variant_that_a_simulated_study_lacks_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    refused = cso("study", "embedded", tmp_path / "run", "--variant", "CSO, SimPO", "--variant", "CSO, PPO")
    assert refused.returncode == 2
    assert refused.stderr.endswith("; found CSO, PPO")
    assert list(tmp_path.iterdir()) == []


def test_each_seed_of_a_simulated_study_has_a_base_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "BASE", 4)
    laboratory = embedded.Laboratory(tmp_path, tmp_path, tmp_path, {})
    said = [laboratory.begin(console(), seed) for seed in (0, 1, 0)]
    assert said == [f'train.model.name="{tmp_path / name}"' for name in ("0", "1", "0")]
    assert furthest(weights(tmp_path / "0"), weights(tmp_path / "1")) > 0


def test_the_whole_method_is_one_command_and_its_second_round_is_guided_by_the_first_one_s_model(
    model: Path, tmp_path: Path
) -> None:
    """Settings are from a file, and some of them are told otherwise."""
    content = {
        "search": {"iterations": 100},
        "train": {"model": {"name": str(model)}, "tuning": "full", "tokens": 2000, "parameters": {"beta": 0.2}},
        "evaluate": {"choose": "score", "write": False, "per_stage": 2},
    }
    (tmp_path / "settings.yaml").write_text(json.dumps(content))
    told = (tmp_path / "settings.yaml", "--limit", "3", "--rounds", "2", "--set", "search.iterations=4")
    done = cso("run", "--out", tmp_path / "here", *told)
    assert done.returncode == 0, done.stderr
    parameters = [
        json.loads((tmp_path / "here/models" / name / "training.json").read_text())["settings"]["parameters"]
        for name in ("sft", "cso")
    ]
    assert parameters == [{}, {"beta": 0.2}]
    for name in ("base", "sft", "cso"):
        assert (tmp_path / "here" / "evaluation" / name / "scores.json").exists()
    assert "cso - sft" in done.stdout
    assert (tmp_path / "here" / "report.html").exists()
    assert "round 2 - round 1" in done.stdout
    second = Run.open(tmp_path / "here/rounds/2")
    assert second.settings.cast.policy.model == str(tmp_path / "here/models/cso")
    card = (second.preferences / "README.md").read_text(encoding="utf-8")
    assert "a stand-in for language models; strategist played by cso, trained by cso" in card
    assert second.settings.cast.policy.plays == ("strategist",)  # the embedded model has no sentences to say
    assert json.loads((second.model("cso") / "training.json").read_text())["settings"]["model"]["name"] == str(
        tmp_path / "here/models/cso"
    )
    (tmp_path / "here").rename(tmp_path / "there")  # it can be moved, and goes on from what is there
    again = cso("run", "--out", tmp_path / "there", *told)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("already") == (1 + 2 + 3) + (1 + 1 + 2)  # trees, trainings, evaluations


def test_the_help_of_settings_fits_every_command() -> None:
    for name in ("search", "evaluate", "train"):
        assert "settings.yaml of a run" in " ".join(cso(name, "--help").stdout.split())
