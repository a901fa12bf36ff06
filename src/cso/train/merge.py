"""An adapter folded into the model that it was trained on."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from pathlib import Path

from cso.errors import InputError

MERGED = "merged"


def merge_adapter(folder: Path) -> Path:
    """Save the model of the adapter in `folder` as a plain one, in its subfolder `merged`. Raises InputError."""
    from peft import AutoPeftModelForCausalLM  # imported late: only here and for adapters it is needed
    from transformers import AutoTokenizer

    try:
        model = AutoPeftModelForCausalLM.from_pretrained(folder, is_trainable=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: expected an adapter whose model is still where it was; {error}") from error
    merged = model.merge_and_unload()  # pyright: ignore[reportCallIssue]
    merged.save_pretrained(folder / MERGED)
    AutoTokenizer.from_pretrained(folder).save_pretrained(folder / MERGED)
    return folder / MERGED
