"""`cso study embedded`: the method in a world whose best strategies are known, from a base biased on purpose."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock
from rich.console import Console

from cso.cli.extract import extract_command
from cso.cli.options import assignment
from cso.cli.search import search
from cso.cli.variants import TITLES, Variant, cso_random, variant
from cso.corpora import read_corpus
from cso.corpora.jsonl import write_dialogues
from cso.corpus_cast import STAND_IN_NOTICE, World
from cso.corpus_cast.simulation import simulate
from cso.errors import InputError
from cso.files import read_jsonl
from cso.settings import dump_settings, load_settings
from cso.store import Run
from cso.taxonomy import load_taxonomy

BASE, SEEDS, TEST = 2500, 300, 420  # dialogues; the test's have more than 3,000 supporter turns
LEANING = (1.5, 0.5, 0.0, 1.0)  # of the base's supporters, to the first strategies: log-odds beside the world's own
EPOCHS = 3  # of the base: after one it knows little but the turn's number and the strategies so far
WANDER = 0.1  # share of the base's turns with a strategy drawn evenly
CONTRASTED = 25  # iterations of a search with contrasts: with them about four fifths of the calls of 100 without
JUDGE_SELECTED, CONTRAST = "CSO, judge_selected", "CSO, contrast"  # variants that learn from runs of their own
BOTH = "train.parameters.sft_weight=4"  # of a mean over tokens, so a tag's share in it is small
STRATEGY = "train.target=strategy"
SETTINGS = (
    "extract.balance=weights",
    "train.tuning=full",
    "evaluate.choose=score",
    "evaluate.write=false",
)


@dataclass(frozen=True, slots=True)
class Laboratory:
    """Where a study of the simulated world has what it needs besides its run."""

    bases: Path  # models that training begins from, one for each seed; told apart by what shapes them
    held_out: Path  # dialogues
    seeds: Path  # dialogues
    others: Mapping[str, Path]  # runs on the same seeds that some variants learn from, by the variant's name

    @classmethod
    def beside(cls, folder: Path) -> Laboratory:
        """That of the run in `folder`."""
        from cso.train.tiny import VERSION  # here, because it takes seconds to import

        told = hashlib.sha256(repr((VERSION, BASE, LEANING, WANDER, EPOCHS)).encode()).hexdigest()[:8]
        made = folder.parent / f"{folder.name}-world"
        others = {JUDGE_SELECTED: made / "judge_selected", CONTRAST: made / "contrast"}
        return cls(made / f"bases-{told}", made / "test.jsonl", made / "seeds.jsonl", others)

    def begin(self, screen: Console, seed: int) -> str:
        """What has a training with `seed` begin from the base of that seed, which is made where it is not there yet.

        How biased a base comes out differs from one to the next, so that one alone would tell little of others.
        """
        base = self.bases / f"{seed}"
        self.bases.mkdir(parents=True, exist_ok=True)
        with FileLock(self.bases / "lock"):  # other studies in the same world begin from them as well
            if not base.exists():
                _make_base(screen, base, seed)
        return assignment("train.model.name", base)


def prepare(
    screen: Console, folder: Path, laboratory: Laboratory, said: list[str], others: Collection[str] = ()
) -> None:
    """Make the run in `folder` with trees and preferences, and the dialogues of `laboratory`; what is there stays.

    `others`: the variants with runs of their own whose runs are made too: JUDGE_SELECTED, whose search rates what it
    selects, and CONTRAST, of fewer iterations and with contrasts, which takes fewer calls in all.

    Seeds begin as dialogues of the bundled train part, the held-out ones as those of the test part. In both the
    supporter follows the world's best strategy; bases learn from biased ones. Raises InputError where `folder` is
    something else.
    """
    _check_own(folder, laboratory)
    esc8 = load_taxonomy("esc8")
    train, test = (read_corpus(part, esc8).dialogues for part in ("bundled", "bundled:test"))
    if not laboratory.held_out.exists():
        screen.print(STAND_IN_NOTICE)
        world = World.fit(train, esc8)
        write_dialogues(simulate(world, train, esc8, count=SEEDS, seed=2, prefix="seed"), laboratory.seeds)
        write_dialogues(simulate(world, test, esc8, count=TEST, seed=4, prefix="test"), laboratory.held_out)
    shaping = [*SETTINGS, *(each for each in said if each.startswith(("search.", "extract.")))]
    grow(laboratory.seeds, folder, shaping, random=True)
    if JUDGE_SELECTED in others:
        grow(laboratory.seeds, laboratory.others[JUDGE_SELECTED], [*shaping, "search.judge_selected=true"])
    if CONTRAST in others:
        few = min(CONTRASTED, load_settings(None, shaping).search.iterations)
        fewer = [*shaping, f"search.iterations={few}"]
        grow(laboratory.seeds, laboratory.others[CONTRAST], fewer, contrast=True)


def _check_own(folder: Path, laboratory: Laboratory) -> None:
    if not folder.exists():
        return
    own = {row["id"] for row in read_jsonl(laboratory.seeds)} if laboratory.seeds.exists() else set[str]()
    others = (folder / "settings.yaml").exists() and any(seed.id not in own for seed in Run.open(folder).load_seeds())
    if others or not folder.is_dir():
        raise InputError(
            f"{folder}: expected a folder that is not there yet, or this study's own run, which is on dialogues that "
            f"it makes; found {'a run on other dialogues' if others else 'a file'}"
        )


def grow(seeds: Path, place: Path, said: list[str], *, random: bool = False, contrast: bool = False) -> None:
    """Trees and preferences of a study in `place`; what is there under the same settings stays.

    Raises OtherRun where the trees there were grown otherwise.
    """
    search(str(seeds), str(place), None, said)
    extracted = place / "preferences" / "settings.yaml"
    if not extracted.exists() or extracted.read_text(encoding="utf-8") != dump_settings(Run.open(place).settings):
        extract_command(place, random=random, contrast=contrast)


def variants(run: Run, laboratory: Laboratory) -> list[Variant]:
    """SFT, each objective on the pairs evened out by weights, strategies alone, and DPO on other pairs.

    And controls: SFT on what the pairs choose, each reply with the mean of its pairs' weights or with none, and
    ESC-Pro-Random by ORPO.
    """
    sft, cso, drawn = variant(run, "SFT", "sft"), variant(run, "CSO", "dpo"), cso_random(run, "dpo")
    chosen = replace(sft, name="SFT, chosen", source=cso.source)
    return [
        sft,
        cso,
        drawn,
        *(variant(run, f"CSO, {title}", TITLES[title]) for title in ("IPO", "SimPO", "ORPO", "KTO")),
        replace(drawn, name="CSO-Random, ORPO", objective="orpo"),
        chosen,
        replace(chosen, name="SFT, chosen, not balanced", weighted=False),
        replace(cso, name="CSO, DPO + SFT", said=(BOTH,)),
        *(replace(each, name=f"{each.name}, strategy", said=(STRATEGY,)) for each in (sft, cso, drawn)),
        replace(cso, name="CSO, not balanced", weighted=False),
        *(variant(Run(place, run.settings, run.taxonomy), name, "dpo") for name, place in laboratory.others.items()),
    ]


def _make_base(screen: Console, base: Path, seed: int) -> None:
    from cso.train.tiny import make_tiny  # here, because it takes seconds to import

    esc8 = load_taxonomy("esc8")
    train = read_corpus("bundled", esc8).dialogues
    leaning = dict(zip(esc8.names, LEANING, strict=False))
    learned = simulate(
        World.fit(train, esc8), train, esc8, count=BASE, wander=WANDER, leaning=leaning, seed=1, prefix="base"
    )
    screen.print(f"making base {seed} from {BASE} simulated dialogues, which takes minutes")
    draft = base.with_name(f"{seed}.tmp")
    make_tiny(learned, esc8, draft, epochs=EPOCHS, seed=seed)
    draft.replace(base)
