"""A check before training: that the model computes the same for packed replies as for replies one by one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cso.errors import InputError
from cso.train.backbone import Backbone
from cso.train.encode import Encoded
from cso.train.pack import build_pack
from cso.train.trie import Tokens

FLOAT32 = (1e-3, 1e-3)  # differences that rounding explains: in nats, and as a share
BFLOAT16 = (0.5, 0.02)


def check_packing(backbone: Backbone, examples: Sequence[Encoded], name: str) -> None:
    """Score two replies that differ as one pack and one by one. Raises InputError where a model cannot be packed."""
    sequences = _two_sequences(examples)
    packed = map(float, backbone.score(build_pack(sequences, multiple=backbone.multiple)))
    single = [float(backbone.score(build_pack([one], multiple=backbone.multiple))[0]) for one in sequences]
    least, share = BFLOAT16 if backbone.bf16 else FLOAT32
    for together, alone in zip(packed, single, strict=True):
        if not (math.isfinite(alone) and math.isfinite(together)):
            found = together if math.isfinite(alone) else alone
            raise InputError(f"model {name}: a reply has log-probability {found}: its weights are not sound numbers")
        if not abs(together - alone) <= least + share * abs(alone):
            raise InputError(
                f"model {name}: a reply has log-probability {alone:.4f} by itself and {together:.4f} packed with "
                f"another. Its attention does not follow the mask and positions it is given, so it cannot be trained "
                f"here; another train.model.attention (eager) may mend it"
            )


def _two_sequences(examples: Sequence[Encoded]) -> list[tuple[Tokens, Tokens]]:
    """The first reply to the shortest prompt that has several, or to the shortest of all where none has; and one that
    differs: of the same example, else of another, else its own tokens reversed.
    """
    shortest = min(examples, key=lambda example: (len(example.replies) < 2, len(example.prompt)))
    first = (shortest.prompt, shortest.replies[0])
    others = [(shortest.prompt, reply) for reply in shortest.replies[1:]]
    others += sorted(((each.prompt, each.replies[0]) for each in examples), key=lambda each: len(each[0]))
    others.append((shortest.prompt, shortest.replies[0][::-1]))
    return [first, next((other for other in others if [*other[0], *other[1]] != [*first[0], *first[1]]), others[-1])]
