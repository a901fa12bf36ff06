"""The documentation says what is true: commands, settings, examples, links; and its site needs no network."""

from __future__ import annotations

import ast
import html.parser
import importlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from playwright.sync_api import Page
from typer.testing import CliRunner

from browser import open_page, until
from cso.cli.main import app
from cso.roles.rubric import parse_rubric
from cso.settings import ROLES, Settings, flat, load_settings, settings_from
from cso.taxonomy import parse_taxonomy

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^( *)(```+|~~~+)(.*)\n((?:.*\n)*?)\1\2 *$", re.MULTILINE)
SHELLS = ("sh", "bash", "shell", "console")
ELSEWHERE = re.compile(r"^(?:https?:)?//", re.IGNORECASE)
OWN_TESTS = ("README.md",)  # pages whose Python a test of its own runs
NOT_HERE = re.compile(r"cso\.(?:train|evaluate|chat|cluster)\b|https?://|\bray\b|\btorch\b")  # too slow, or no endpoint


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path, *languages: str) -> list[str]:
    """What the fenced blocks of a page in these languages hold, the fence's own indentation taken away."""
    found = FENCE.findall(path.read_text(encoding="utf-8"))
    return [
        re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)
        for indent, _, told, text in found
        if told.strip().split(" ")[0] in languages
    ]


def commands(text: str) -> list[list[str]]:
    """The words of each `cso` command in a shell block, comments and what stands around it left out."""
    found: list[list[str]] = []
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=";&|()<>")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if not set(word) <= set(";&|()<>"):
                words.append(word)
                continue
            start = next((i for i, each in enumerate(words) if each == "cso"), None)
            if start is not None:
                found.append([each for each in words[start + 1 :] if each != "..."])
            words = []
    return found


SAID = [(path, said) for path in PAGES for text in blocks(path, *SHELLS) for said in commands(text)]


@pytest.mark.parametrize(("path", "said"), SAID, ids=[f"{name(path)}: cso {' '.join(said)}" for path, said in SAID])
def test_every_command_that_is_shown_exists_with_its_options_and_settings(path: Path, said: list[str]) -> None:
    group: Any = typer.main.get_command(app)
    first, *arguments = said
    if first.startswith("-"):
        group.make_context("cso", said, resilient_parsing=True)
        return
    assert first in group.commands, f"{name(path)}: there is no command {first}"
    try:
        told = group.commands[first].make_context(first, arguments).params
    except typer.Exit:  # --help
        return
    load_settings(None, told.get("set_") or ())


def test_the_commands_are_found() -> None:
    text = "X=1 cso run a --set 'b=c d'  # cso nothing\n$ cso view r && cso report r; torchrun -m cso train R ... > f\n"
    assert commands(text) == [["run", "a", "--set", "b=c d"], ["view", "r"], ["report", "r"], ["train", "R"]]
    assert len(SAID) > 40


YAML = [(path, text) for path in PAGES for text in blocks(path, "yaml") if text.startswith("# ")]


@pytest.mark.parametrize(("path", "text"), YAML, ids=[f"{name(path)}: {text.split(chr(10))[0]}" for path, text in YAML])
def test_every_file_that_is_shown_can_be_read(path: Path, text: str) -> None:
    """The first line says what it is."""
    match re.match(r"# (\w+)", text):
        case None:
            pytest.fail(f"what is it? {text[:40]}")
        case kind if kind[1] == "settings":
            settings_from(yaml.safe_load(text), source=name(path))
        case kind if kind[1] == "taxonomy":
            parse_taxonomy(text, source=name(path))
        case kind if kind[1] == "rubric":
            parse_rubric(text, source=name(path))
        case kind:
            pytest.fail(f"nothing reads a {kind[1]}")


def test_settings_taxonomies_and_rubrics_are_shown() -> None:
    kinds = {text.split()[1] for _, text in YAML}
    assert {"settings", "taxonomy", "rubric"} <= {kind.removesuffix(".yaml,") for kind in kinds}


def test_the_recipes_show_what_cso_corpus_says(tmp_path: Path) -> None:
    corpus, taxonomy = (ROOT / "docs/recipes" / file for file in ("own-corpus.md", "own-taxonomy.md"))
    (tmp_path / "mine.jsonl").write_text(blocks(corpus, "json")[0], encoding="utf-8")
    (tmp_path / "three.yaml").write_text(blocks(taxonomy, "yaml")[0], encoding="utf-8")
    for path in (corpus, taxonomy):
        told, shown = commands(blocks(path, *SHELLS)[0])[0], blocks(path, "text")[0]
        done = CliRunner().invoke(app, [str(tmp_path / word) if "." in word else word for word in told])
        said = [line.rstrip() for line in done.output.replace(f"{tmp_path}/", "").splitlines()]
        assert [line for line in shown.splitlines() if line not in said] == [], said


PYTHON = [(path, text) for path in PAGES for text in blocks(path, "python")]


@pytest.mark.slow
@pytest.mark.parametrize("path", dict.fromkeys(path for path, _ in PYTHON), ids=name)
def test_every_name_that_an_example_uses_exists(path: Path) -> None:
    for _, text in [each for each in PYTHON if each[0] == path]:
        tree = ast.parse(text)  # `await` at the top is allowed here
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "cso":
                module = importlib.import_module(node.module or "")
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "cso":
                assert hasattr(importlib.import_module("cso"), node.attr), f"cso.{node.attr}"


RUN = {path: [text for place, text in PYTHON if place == path and not NOT_HERE.search(text)] for path, _ in PYTHON}


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in RUN if RUN[path] and name(path) not in OWN_TESTS], ids=name)
def test_the_examples_of_a_page_run_one_after_another(path: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(RUN[path])],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    promised = re.findall(r"^print\(.*\)  # (.*)$", "\n".join(RUN[path]), re.MULTILINE)
    assert [line for line in promised if line not in done.stdout.splitlines()] == []


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_relative_link_points_to_something(path: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", path.read_text(encoding="utf-8")))
    targets = re.findall(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)", text) + re.findall(
        r"(?:src|href)=\"([^\"]+)\"", text
    )
    inside = [target.split("#")[0] for target in targets if not re.match(r"[a-z]+:|//|#", target)]
    assert [target for target in inside if not (path.parent / target).exists()] == []


class Resources(html.parser.HTMLParser):
    """What a page would load, as opposed to what it links to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {key: value or "" for key, value in attrs}
        if tag == "link" and told.get("rel") not in ("canonical", "next", "prev"):
            self.found.append(told.get("href", ""))
        if tag not in ("a", "link", "area"):
            self.found += [told.get(key, "") for key in ("src", "href", "xlink:href", "data", "poster", "action")]
        self.found += re.findall(r"url\(['\"]?([^'\")]+)", told.get("style", ""))
        self.found += [each.split()[0] for each in told.get("srcset", "").split(",") if each.strip()]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("needs mkdocs (pip install --group docs)")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_no_page_of_the_site_loads_anything_from_a_network(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for path in pages:
        reader = Resources()
        reader.feed(path.read_text(encoding="utf-8"))
        assert [each for each in reader.found if ELSEWHERE.match(each)] == [], path
        assert 'class="mermaid"' not in path.read_text(encoding="utf-8"), "the theme would fetch a script to draw it"
    for path in site.rglob("*.css"):
        loaded = re.findall(r"url\(['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", path.read_text(encoding="utf-8"))
        assert [each for pair in loaded for each in pair if ELSEWHERE.match(each)] == [], path


@pytest.mark.slow
def test_the_site_opens_from_disk_and_its_search_finds(site: Path, page: Page) -> None:
    open_page(page, site / "recipes" / "own-judge.html")
    until(page, "document.querySelector('iframe') !== null")  # what searches is on its way
    page.locator(".md-search__input").click()
    page.keyboard.type("Samaritans")
    until(page, "document.querySelectorAll('.md-search-result__item').length > 0")
    assert "Ethics" in page.locator(".md-search-result").inner_text()


@pytest.mark.slow
@pytest.mark.parametrize("module", ["cso", "cso.extract", "cso.train", "cso.evaluate", "cso.llm"])
def test_the_reference_has_every_public_name(site: Path, module: str) -> None:
    pages = [site / "reference" / f"{page}.html" for page in (module.removeprefix("cso."), "settings")]
    text = "".join(path.read_text(encoding="utf-8") for path in pages)
    shown = set(re.findall(r"doc-object-name[^>]*>(\w+)<", text))
    names = [each for each in importlib.import_module(module).__all__ if not each.endswith("Settings")]
    assert [each for each in names if each not in shown] == []


@pytest.mark.slow
def test_the_reference_has_every_command_and_every_setting(site: Path) -> None:
    shown = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    group: Any = typer.main.get_command(app)
    assert [each for each in group.commands if f'id="cso-{each}"' not in shown] == []
    shown = (site / "reference" / "settings.html").read_text(encoding="utf-8")
    of_roles = tuple(f"cast.{role}." for role in ROLES)  # as those of cast.default
    names = [each for each in flat(Settings().model_dump()) if not each.startswith(of_roles)]
    assert [each for each in names if f"<code>{each}</code>" not in shown] == []


def test_the_numbers_of_the_overview_are_those_of_the_results() -> None:
    overview, results = ((ROOT / "docs" / f"{each}.md").read_text(encoding="utf-8") for each in ("index", "results"))
    rows = [line for line in overview.splitlines() if line.startswith("| ")]
    numbers = [number for row in rows for number in re.findall(r"[\d.]+ \[[^\]]+\]", row)]
    assert len(numbers) == 12
    assert [number for number in numbers if number not in results.replace("**", "")] == []
