"""An adapter folded into the model that it was trained on."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from cso.errors import InputError, StoreError
from cso.files import locked

MERGED, TAXONOMY = "merged", "taxonomy.yaml"


def is_merged(folder: Path) -> bool:
    """Whether the adapter in `folder` has been folded in as it is."""
    made, adapter = folder / MERGED / "config.json", folder / "adapter_model.safetensors"
    return made.exists() and adapter.exists() and made.stat().st_mtime >= adapter.stat().st_mtime


def merge_adapter(folder: Path, *, trust_remote_code: bool = False) -> Path:
    """Save the model of the adapter in `folder` as a plain one, in its subfolder `merged`, which is whole or not there.

    Raises InputError, and StoreError where another process is at work in `folder` or its disk is full.
    """
    from peft import AutoPeftModelForCausalLM  # imported late: only here and for adapters it is needed
    from transformers import AutoTokenizer

    told: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    draft = folder / f"{MERGED}.tmp"
    with locked(folder):
        try:
            model = AutoPeftModelForCausalLM.from_pretrained(folder, is_trainable=False, **told)
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(f"{folder}: expected an adapter whose model is still where it was; {error}") from error
        shutil.rmtree(draft, ignore_errors=True)
        try:
            model.merge_and_unload().save_pretrained(draft)  # pyright: ignore[reportCallIssue]
            AutoTokenizer.from_pretrained(folder, **told).save_pretrained(draft)
            if (folder / TAXONOMY).exists():
                shutil.copy(folder / TAXONOMY, draft)
            shutil.rmtree(folder / MERGED, ignore_errors=True)
            draft.rename(folder / MERGED)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise StoreError(f"{folder / MERGED}: cannot be saved: {error}; free some space, and go on") from error
    return folder / MERGED
