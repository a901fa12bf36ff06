"""Packs: the replies of several examples as one trie of tokens, and which of its tokens are scored for which reply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cso.train.trie import Tokens, build_trie


class Pack(NamedTuple):
    """A trie of `n` tokens that scores `C` replies; integer tensors.

    A token is scored from the logits at its parent, so logits are needed at `m` nodes only. `s` nodes are scored, each
    once; `e` entries say which reply each counts for, since replies may share tokens.
    """

    input_ids: Tensor  # [n], depth first
    position_ids: Tensor  # [n], depth in the trie
    end: Tensor  # [n], one past the last node below
    keep: Tensor  # [m], the nodes whose logits are needed, rising
    row: Tensor  # [s], of a scored node: the place of its parent in `keep`
    token: Tensor  # [s], the scored node's token
    node: Tensor  # [e], of an entry: the place of its node among the scored ones
    reply: Tensor  # [e], of an entry: its reply; with prompts scored, C + its reply for tokens of the prompt
    lengths: Tensor  # [C], tokens of each reply; with prompts scored [2C], followed by the prompts' less their first

    @property
    def tokens(self) -> int:
        return len(self.input_ids)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Pack:
        """The same on another device."""
        return Pack(*(tensor.to(device, non_blocking=non_blocking) for tensor in self))


def build_pack(
    sequences: Sequence[tuple[Tokens, Tokens]], *, prompts: bool = False, multiple: int = 1, pad: int = 0
) -> Pack:
    """Lay (prompt, reply) token lists out as one trie.

    No sequences: a pack of one token that scores nothing. With `prompts` the tokens of prompts are scored as well, but
    for the first, which nothing predicts. The length is made a multiple of `multiple` by tokens that see themselves
    only.
    """
    trie = build_trie([prompt + reply for prompt, reply in sequences] or [[pad]])
    begins = [len(prompt) for prompt, _ in sequences]
    paths = trie.paths[: len(sequences)]
    spans = [path[max(begin, 1) :] for begin, path in zip(begins, paths, strict=True)]
    if prompts:
        spans += [path[1:begin] for begin, path in zip(begins, paths, strict=True)]
    scored = sorted({node for span in spans for node in span})
    keep = sorted({trie.parent[node] for node in scored}) or [0]
    row_of = {node: row for row, node in enumerate(keep)}
    place_of = {node: place for place, node in enumerate(scored)}
    size = len(trie)
    filling = range(size, size + -size % multiple)
    return Pack(
        input_ids=_integers([*trie.tokens, *(pad for _ in filling)]),
        position_ids=_integers([*trie.depth, *(0 for _ in filling)]),
        end=_integers([*trie.end, *(node + 1 for node in filling)]),
        keep=_integers(keep),
        row=_integers([row_of[trie.parent[node]] for node in scored]),
        token=_integers([trie.tokens[node] for node in scored]),
        node=_integers([place_of[node] for span in spans for node in span]),
        reply=_integers([index for index, span in enumerate(spans) for _ in span]),
        lengths=_integers([len(span) for span in spans]),
    )


def _integers(values: list[int]) -> Tensor:
    return torch.tensor(values, dtype=torch.long)
