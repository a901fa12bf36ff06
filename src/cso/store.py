"""A run directory: what one run was told, asked and found.

    RUN/settings.yaml          what the run was told (never a key)
    RUN/taxonomy.yaml          the strategies, so that the run can be read without the user's own file
    RUN/seeds.jsonl            the dialogues that trees are grown from, in our own format
    RUN/answers/<id>.jsonl     every answer of a role, before it was used
    RUN/trees/<id>.json        every tree that is done, or that failed, with the reason
    RUN/growing/<id>.json      trees on their way, now and then, to be looked at
    RUN/preferences/           what was extracted
    RUN/models/<name>/         what was trained on it
    RUN/evaluation/<name>/     what a model answered to held-out dialogues, and its scores
    RUN/hub/<name>/            what was sent to the Hugging Face hub
    RUN/rounds/<k>/            runs of later rounds
    RUN/toxicity/              ratings of the run's texts, a file for each backend
    RUN/annotation/<name>/     pages for raters, their key, and what they agree on
    RUN/report.html, figures/  all of it as one page, and its figures
    RUN/studies/<name>/        trainings and evaluations of a study, and its results

Settings and trees say which format they are. Files are there whole or not at all; only answers are appended to. One
process at a time grows trees or extracts; trainings, evaluations and the rest lock a folder of their own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from cso.dialogue import Dialogue, dialogue_from_json, dialogue_to_json
from cso.errors import StoreError
from cso.files import parse_yaml, remove, write_jsonl, write_text
from cso.settings import Objective, Settings, dump_settings, flat, settings_from
from cso.shaping import shaping
from cso.taxonomy import Taxonomy, dump_taxonomy, parse_taxonomy
from cso.tree import Backup, Failure, Node, Root, Tree, node_to_json, nodes_from_json, number

FORMAT = 1
LONGEST_NAME = 120  # characters of an id that a file name keeps


class OtherRun(StoreError):
    """A folder holds a run that was told otherwise about what shapes a tree."""


class Run:
    """The files of one run. Make a new one with `create`, open one that is there with `open`."""

    def __init__(self, folder: Path, settings: Settings, taxonomy: Taxonomy, wording: str = "") -> None:
        """`wording` is a hash of prompts and rubric, whose texts shape trees as well."""
        self.folder = folder
        self.settings = settings
        self.taxonomy = taxonomy
        self.wording = wording

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Raises StoreError where there is no run, or one that this version cannot read."""
        path = folder / "settings.yaml"
        content = _yaml(path)
        if content.get("format", 0) != FORMAT:
            raise StoreError(
                f"{path}: expected a run of format {FORMAT}, found {content.get('format')!r}; "
                f"it was made by another version of cso: use that one, or another directory"
            )
        values = {key: value for key, value in content.items() if key not in ("format", "wording")}
        taxonomy = folder / "taxonomy.yaml"
        told = settings_from(values, source=str(path))
        strategies = parse_taxonomy(_text(taxonomy), source=str(taxonomy))
        return cls(folder, told, strategies, str(content.get("wording", "")))

    @classmethod
    def create(
        cls, folder: Path, settings: Settings, taxonomy: Taxonomy, wording: str = "", *, replace: bool = False
    ) -> Run:
        """A new run, or the one that is there if it was told the same about everything that shapes a tree.

        With `replace`, one that was told otherwise keeps its answers but gets the new settings, and its trees are grown
        again; else that is OtherRun, which names the difference. One without any answer gets the new settings as well.
        """
        if (folder / "settings.yaml").exists():
            there = cls.open(folder)
            differences = _differences(there, settings, taxonomy, wording)
            if differences and there.has_work and not replace:
                raise OtherRun(
                    f"{folder} holds a run with other settings ({'; '.join(differences)}). Give the same ones to go on "
                    f"with it, choose another directory, or let `cso search --regrow` grow its trees anew from what is "
                    f"remembered"
                )
        elif folder.exists() and any(not _of_a_run_begun(entry.name) for entry in folder.iterdir()):
            raise StoreError(f"{folder} is not empty and holds no run: choose another directory")
        run = cls(folder, settings, taxonomy, wording)
        write_text(folder / "taxonomy.yaml", dump_taxonomy(taxonomy))
        header = f"format: {FORMAT}\nwording: '{wording}'\n"
        write_text(folder / "settings.yaml", header + dump_settings(settings))  # last: what makes it a run
        return run

    @property
    def has_work(self) -> bool:
        """Whether anything has been answered or grown."""
        return any(self.folder.glob("trees/*.json")) or any(self.folder.glob("answers/*.jsonl"))

    @property
    def has_seeds(self) -> bool:
        return (self.folder / "seeds.jsonl").exists()

    def save_seeds(self, seeds: Iterable[Dialogue]) -> None:
        write_jsonl(self.folder / "seeds.jsonl", map(dialogue_to_json, seeds))

    def load_seeds(self) -> tuple[Dialogue, ...]:
        """Every dialogue that could be a seed of this run."""
        path = self.folder / "seeds.jsonl"
        try:
            return tuple(dialogue_from_json(json.loads(line)) for line in _text(path).split("\n") if line)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{path}: not dialogues as cso writes them ({error!r})") from error

    def answers_path(self, dialogue_id: str) -> Path:
        folder = self.folder / "answers"
        _make(folder)
        return folder / f"{file_name(dialogue_id)}.jsonl"

    def tree_path(self, dialogue_id: str) -> Path:
        return self.folder / "trees" / f"{file_name(dialogue_id)}.json"

    @property
    def preferences(self) -> Path:
        return self.folder / "preferences"

    def view(self, objective: Objective) -> Path:
        """The preferences that an objective is trained on."""
        return self.preferences / f"{objective if objective in ('sft', 'kto') else 'pairs'}.jsonl"

    def model(self, name: str) -> Path:
        return self.folder / "models" / name

    def evaluation(self, name: str) -> Path:
        return self.folder / "evaluation" / file_name(name)

    def save_tree(self, tree: Tree) -> None:
        self._write_tree(self.tree_path(tree.seed.id), tree)
        remove(self._growing_path(tree.seed.id))

    def save_growing(self, tree: Tree) -> None:
        """A tree on its way, for whoever looks on; nothing is resumed from it."""
        self._write_tree(self._growing_path(tree.seed.id), tree, lasting=False)

    def growing(self) -> list[Path]:
        """The files of trees on their way, also of a search that was cut off; see `read_tree`."""
        return sorted((self.folder / "growing").glob("*.json"))

    def _growing_path(self, dialogue_id: str) -> Path:
        return self.folder / "growing" / f"{file_name(dialogue_id)}.json"

    def _write_tree(self, path: Path, tree: Tree, *, lasting: bool = True) -> None:
        header: dict[str, Any] = {
            "format": FORMAT,
            "grown_from": self._grown_from(tree.seed),
            "dialogue": dialogue_to_json(tree.seed),
            "taxonomy": self.taxonomy.name,
            "iterations": tree.iterations,
            "ends": tree.ends,
            "failure": asdict(tree.failure) if tree.failure else None,
        }
        opening = json.dumps(header, ensure_ascii=False, indent=1).removesuffix("\n}")
        backups = json.dumps([[backup.node, backup.reward] for backup in tree.backups])
        rows = ",\n  ".join(json.dumps(node_to_json(node), ensure_ascii=False) for node in tree.nodes)
        text = f'{opening},\n "backups": {backups},\n "nodes": [\n  {rows}\n ]\n}}\n'
        write_text(path, text, lasting=lasting)

    def read_tree(self, path: Path) -> tuple[Tree, bool]:
        """A tree, and whether it was grown under these settings. Raises StoreError where the file is no tree."""
        content = _json(path)
        tree = _tree(content, path)
        own = content.get("grown_from") == self._grown_from(tree.seed)
        strategies = {node.state.strategy for node in tree.nodes if not isinstance(node.state, Root)}
        if own and not strategies <= set(self.taxonomy.names):
            raise StoreError(f"{path}: has strategies that are not in taxonomy.yaml; remove it, and it is grown again")
        return tree, own

    def has_tree(self, seed: Dialogue) -> bool:
        """Whether a whole tree is there that was grown from this very dialogue under these settings."""
        path = self.tree_path(seed.id)
        if not path.exists():
            return False
        try:
            tree, own = self.read_tree(path)
        except StoreError:
            return False  # damaged: grown again
        return own and tree.failure is None and tree.seed == seed

    def _grown_from(self, seed: Dialogue) -> str:
        """A hash of all that shapes a tree."""
        content = [dialogue_to_json(seed), shaping(self.settings), dump_taxonomy(self.taxonomy), self.wording]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def trees(self) -> Iterator[Tree]:
        """Every tree that was grown under these settings, failed ones too, ordered by file name."""
        for path in sorted((self.folder / "trees").glob("*.json")):
            tree, own = self.read_tree(path)
            if own:
                yield tree


def file_name(dialogue_id: str) -> str:
    """An id as the name of a file: safe everywhere, and another name for every other id."""
    name = quote(dialogue_id, safe=" ()+,=@", errors="surrogatepass")
    name = name.replace(".", "%2E") if name.strip(".") == "" else name
    if len(name) > LONGEST_NAME:
        digest = hashlib.sha256(dialogue_id.encode("utf-8", "surrogatepass")).hexdigest()
        name = f"{name[: LONGEST_NAME - 17]}~{digest[:16]}"
    return name


def _of_a_run_begun(name: str) -> bool:
    """Whether a file may lie there because the process died before the run had begun."""
    return name in ("lock", "taxonomy.yaml") or name.endswith(".tmp")


def _differences(there: Run, settings: Settings, taxonomy: Taxonomy, wording: str) -> list[str]:
    old, new = flat(shaping(there.settings)), flat(shaping(settings))
    differences = [
        f"{key}: {old.get(key, 'the default')} there, {new.get(key, 'the default')} now"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    if dump_taxonomy(there.taxonomy) != dump_taxonomy(taxonomy):
        differences.append(f"taxonomy {taxonomy.name}: its strategies are not those there")
    if there.wording != wording:
        differences.append(
            "the words of prompts or rubric, or the model of cast.policy and how it is asked, are not those there"
        )
    return differences


def _tree(content: Mapping[str, Any], path: Path) -> Tree:
    if content.get("format") != FORMAT:
        raise StoreError(f"{path}: expected a tree of format {FORMAT}, found {content.get('format')!r}")
    try:
        nodes = nodes_from_json(content["nodes"])
        return Tree(
            dialogue_from_json(content["dialogue"]),
            nodes,
            iterations=int(number(content["iterations"])),
            ends=int(number(content["ends"])),
            failure=Failure(**content["failure"]) if content["failure"] else None,
            backups=tuple(_backup(nodes, *pair) for pair in content.get("backups", ())),
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{path}: not a tree as cso writes it ({error!r}); remove it, and it is grown again"
        ) from error


def _backup(nodes: Sequence[Node], node: int, reward: float) -> Backup:
    if node not in range(len(nodes)):
        raise ValueError(f"no node {node!r} to back up from")
    return Backup(node, number(reward))


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number that cso writes")


def _json(path: Path) -> dict[str, Any]:
    try:
        content: object = json.loads(_text(path), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path}: not valid JSON ({error}); remove it, and it is made again") from error
    return cast(dict[str, Any], content) if isinstance(content, dict) else {}


def _yaml(path: Path) -> dict[str, Any]:
    try:
        content: object = parse_yaml(_text(path))
    except ValueError as error:
        raise StoreError(f"{path}: not valid YAML ({error})") from error
    return cast(dict[str, Any], content) if isinstance(content, dict) else {}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise StoreError(
            f"{path.parent}: no such run (it has no {path.name}); `cso search SEEDS --out {path.parent}` makes one"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: cannot be read: {error}") from error


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be made: {error.strerror or error}") from error
