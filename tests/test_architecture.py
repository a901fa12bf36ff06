"""The rules that give the layout: who may import whom, and what `import cso` costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cso

PACKAGE = Path(cso.__file__).parent
NOUNS = {
    "files",
    "dialogue",
    "errors",
    "gathering",
    "palette",
    "preference",
    "rating",
    "recipe",
    "settings",
    "shaping",
    "taxonomy",
    "transcript",
    "tree",
}
VERBS: dict[str, set[str]] = {  # each with what it may import besides itself and the nouns
    "corpora": set(),
    "search": set(),
    "chat": {"corpora", "corpora.jsonl", "evaluate.local", "llm.answers", "llm.chat", "train.memory"},
    "llm": set(),
    "roles": {"search.cast", "llm.chat", "llm.answers"},
    "corpus_cast": {"search.cast"},
    "extract": {"search.cast"},
    "store": set(),
    "casting": {
        "corpora",
        "corpus_cast",
        "evaluate.local",
        "llm",
        "llm.endpoints",
        "llm.prices",
        "policy.roles",
        "roles",
        "search",
        "store",
        "train.tiny",
    },
    "policy": {"evaluate.local", "search.cast", "train.memory"},
    "growing": {"casting", "search", "store"},
    "cluster": {"casting", "growing", "store", "evaluate.local", "train.conversation", "train.memory"},
    "train": {"corpora"},
    "pages": set(),
    "hub": set(),
    "report": {"pages"},
    "annotate": {
        "pages",
        "evaluate",
        "evaluate.intervals",
        "evaluate.judging",
        "evaluate.results",
        "evaluate.answering",
    },
    "evaluate": {
        "cluster.evaluating",
        "llm",
        "llm.chat",
        "llm.answers",
        "llm.endpoints",
        "llm.address",
        "roles.ask",
        "roles.marks",
    }.union(
        f"train.{name}"
        for name in (
            "arguments",
            "attention",
            "backbone",
            "conversation",
            "encode",
            "exact",
            "examples",
            "memory",
            "pack",
            "reference",
            "trie",
        )
    ),
}
HEAVY = {
    "numpy",
    "scipy",
    "sklearn",
    "openai",
    "pyarrow",
    "matplotlib",
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "jinja2",
    "ray",
    "typer",
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Names of our own modules that a file imports, without the leading `cso.`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module} if node.module.startswith("cso.") else set()
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("cso")}
    return {name.removeprefix("cso.") for name in found}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_its_place_allows(path: Path) -> None:
    place = path.relative_to(PACKAGE).with_suffix("").parts
    home = place[0]
    if home in ("cli", "__init__", "__main__"):
        return
    allowed = NOUNS if home in NOUNS else NOUNS | VERBS[home]
    for name in imports(path):
        assert name in allowed or name.split(".")[0] in ({home} | NOUNS), f"{'.'.join(place)} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_small_and_an_init_only_imports(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 300
    if path.name == "__init__.py":
        for node in ast.parse(text).body:
            assert isinstance(node, ast.ImportFrom | ast.Import | ast.Assign | ast.Expr)
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno <= 45, f"{node.name} is long"


def test_there_are_no_import_cycles() -> None:
    graph = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): imports(path)
        for path in modules()
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name in graph and name not in done:
            for other in graph[name]:
                visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_import_cso_loads_nothing_heavy() -> None:
    code = f"import cso, sys; print(sorted({HEAVY!r} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_command_line_begins_without_what_only_some_commands_need() -> None:
    slow = HEAVY - {"numpy", "pyarrow", "jinja2", "typer"}
    code = f"import cso.cli.main, sys; print(sorted({slow!r} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_public_names_are_sorted_and_complete() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    imported = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert cso.__all__ == sorted(cso.__all__)
    assert set(cso.__all__) == imported
