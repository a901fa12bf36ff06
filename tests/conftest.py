"""One thread a test process: two share two cores, and small models only wait for one another's threads."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that take minutes come first: at the end nothing would be left to run beside them."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
