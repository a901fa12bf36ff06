"""Writes the reference of settings from their classes: names, defaults, and the remark behind each in the source."""

from __future__ import annotations

import ast
import html
import inspect
import io
import json
import tokenize
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

MARK = "<!-- settings -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs calls this for every page."""
    return markdown.replace(MARK, "\n".join(reference())) if MARK in markdown else markdown


def reference() -> Iterator[str]:
    """A section for each group of settings, in the order of `Settings`."""
    from cso.settings import Settings  # here, so that a build without this page needs no cso

    yield from group("", Settings)


def group(prefix: str, kind: type[BaseModel]) -> Iterator[str]:
    """The settings of a class, then the groups inside it."""
    fields, remarks = fields_of(kind)
    inner = {name: held for name in fields if (held := group_of(kind, name))}
    yield f"## {prefix.rstrip('.') or 'The first level'}\n"
    yield f"{inspect.getdoc(kind) or ''}\n"
    yield "| setting | default | |\n|---|---|---|"
    for name, field in fields.items():
        if name not in inner:
            remark = remarks.get(field.lineno) or remarks.get(field.end_lineno or 0, "")
            yield f"| `{prefix}{name}` | {as_yaml(field.value)} | {html.escape(remark)} {choices(field)} |"
        elif isinstance(field.value, ast.Call) and field.value.keywords:
            told = ", ".join(f"`{each.arg}` {as_yaml(each.value)}" for each in field.value.keywords)
            yield f"| `{prefix}{name}` | | begins with {told} |"
    yield ""
    for name, held in inner.items():
        if prefix == "cast." and name != "default" and held is inner.get("default"):
            continue  # four more of the same
        yield from group(f"{prefix}{name}.", held)


def fields_of(kind: type[BaseModel]) -> tuple[dict[str, ast.AnnAssign], dict[int, str]]:
    """The fields of a class as they are written, and the remarks by line."""
    text = inspect.getsource(kind)
    tree = ast.parse(text)
    fields = {ast.unparse(node.target): node for node in ast.walk(tree) if isinstance(node, ast.AnnAssign)}
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    remarks = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
    return {name: node for name, node in fields.items() if name in kind.model_fields}, remarks


def group_of(kind: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The class of a field that holds a group of settings."""
    annotation = kind.model_fields[name].annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def as_yaml(value: ast.expr | None) -> str:
    """A default as one would write it in a file; nothing for None, which is the same as not setting it."""
    try:
        content: Any = None if value is None else ast.literal_eval(value)
    except ValueError:
        return f"`{ast.unparse(value)}`" if value else ""
    return "" if content is None else f"`{content if isinstance(content, str) else json.dumps(content)}`"


def choices(field: ast.AnnAssign) -> str:
    """The words that a setting can be, where it lists them."""
    annotation = field.annotation
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal":
        words = ast.unparse(annotation.slice).strip("()").split(",")
        return f"({', '.join(f'`{word.strip()[1:-1]}`' for word in words)})"
    return ""
