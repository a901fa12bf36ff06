"""Leaves the fields of data classes out of the reference where only a name is told: the signature has them already."""

from __future__ import annotations

from typing import Any

import griffe


class Fields(griffe.Extension):
    """griffe calls this once it has read the package, and made the signatures of data classes from their fields."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        _leave_out(pkg)


def _leave_out(place: griffe.Module | griffe.Class) -> None:
    for name, member in list(place.members.items()):
        if isinstance(member, griffe.Module | griffe.Class):
            _leave_out(member)
        elif isinstance(member, griffe.Attribute) and "dataclass" in place.labels and member.docstring is None:
            del place.members[name]
