"""Losses that a GPU may be computing yet: looked at a few at a time, since looking at one waits for the GPU."""

# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import NamedTuple, cast

import torch
from accelerate import Accelerator
from torch import Tensor

from cso.errors import InputError
from cso.train.examples import Example

AT_ONCE = 16  # packs

Refuse = Callable[[Sequence[Example]], None]


class _Pack(NamedTuple):
    loss: Tensor
    each: Tensor  # [B], what each example has of it, times a constant
    examples: Sequence[Example]


class UncheckedLosses:
    """Of all processes, which add packs equally often, and check them at the same moments."""

    def __init__(self, accelerator: Accelerator, refuse: Refuse) -> None:
        """`refuse` is called with the examples of a pack whose loss is not finite, those to blame first."""
        self._accelerator, self._refuse = accelerator, refuse
        self._packs: list[_Pack] = []

    def add(self, loss: Tensor, each: Tensor, examples: Sequence[Example]) -> None:
        """A pack's loss, and what each of its examples has of it: [B]."""
        self._packs.append(_Pack(loss.detach(), each.detach(), examples))
        if len(self._packs) >= AT_ONCE:
            self.check()

    def check(self) -> None:
        """Refuse the first pack, of all processes, whose loss is not finite.

        The process that has it names its examples; the others raise InputError as well, since what they compute next
        is spoilt.
        """
        if not self._packs:
            return
        packs, self._packs = self._packs, []
        spoilt = ~torch.stack([pack.loss for pack in packs]).isfinite()
        everyones = cast(Tensor, self._accelerator.gather(spoilt.int()[None]))  # [processes, packs]
        places = cast(list[list[int]], everyones.T.nonzero().tolist())
        if not places:
            return
        place, process = places[0]
        if process == self._accelerator.process_index:
            sound = map(bool, packs[place].each.isfinite().cpu())
            by_blame = sorted(zip(sound, packs[place].examples, strict=True), key=itemgetter(0))
            self._refuse([example for _, example in by_blame])
        raise InputError(f"the loss is not finite in process {process}, which says where")
