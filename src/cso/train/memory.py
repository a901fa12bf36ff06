"""What a user can do where memory does not suffice."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch

from cso.errors import InputError

_WORDS = ("out of memory", "can't allocate memory", "not enough memory")


@contextmanager
def memory_advice(advice: str) -> Generator[None]:
    """An error for lack of memory, of a GPU or the machine, becomes an InputError with `advice`."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        short = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if not short and not any(words in str(error) for words in _WORDS):
            raise
        raise InputError(f"out of memory: {advice}") from error
