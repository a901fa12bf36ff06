"""`cso extract`: from the trees of a run to a preference dataset, in the same run directory."""

from __future__ import annotations

from pathlib import Path

import typer
