"""Packed replies have the log-probabilities and gradients that they have one by one, whatever the architecture."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from cso.errors import InputError
from cso.train import attention
from cso.train.attention import BLOCK, Block, Paths, attend, attended
from cso.train.flex import BLOCK as KERNEL_BLOCK
from cso.train.logps import reply_logps
from cso.train.masks import HIDDEN, block_mask, dense_mask
from cso.train.pack import build_pack

VOCABULARY = 40
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
WINDOW = 5  # shorter than the sequences, so that sliding attention matters

MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=WINDOW)),
    "gemma2": lambda: Gemma2ForCausalLM(
        Gemma2Config(**SIZES, sliding_window=WINDOW, query_pre_attn_scalar=8, attn_implementation="eager")  # pyright: ignore[reportCallIssue]
    ),
    "gemma3": lambda: Gemma3ForCausalLM(
        Gemma3TextConfig(
            **SIZES,
            sliding_window=WINDOW,
            query_pre_attn_scalar=8,
            layer_types=["sliding_attention", "full_attention"],
        )
    ),
}


def model_of(name: str) -> PreTrainedModel:
    torch.manual_seed(0)
    model = MODELS[name]()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)  # far from uniform, so that a wrong mask shows
    return model.eval()


def tree(seed: int = 0) -> list[tuple[list[int], list[int]]]:
    """Replies of a tree-shaped conversation, the awkward ones among them."""
    draw = random.Random(seed)

    def words(count: int) -> list[int]:
        return [draw.randrange(3, VOCABULARY) for _ in range(count)]

    opening = words(7)
    first = [words(4), words(3)]
    later = opening + first[0] + words(5)
    other = opening + first[1] + words(6)
    prefix = words(3)
    return [
        (opening, first[0]),
        (opening, first[1]),
        (later, prefix),
        (later, prefix + words(2)),  # the one above begins it
        (later, words(1)),
        (later, words(1)),
        (other, prefix),  # the same reply elsewhere
        (other, prefix),  # and once more
        (words(9), words(4)),  # another tree
    ]


def unpacked(model: PreTrainedModel, prompt: list[int], reply: list[int]) -> Tensor:
    """By the model's own causal attention, on the sequence alone."""
    ids = torch.tensor([prompt + reply])
    logps = model(input_ids=ids, use_cache=False).logits[0].float().log_softmax(-1)
    return sum(
        (logps[len(prompt) + place - 1, token] for place, token in enumerate(reply)), torch.zeros(())
    )  # fmt: skip


@pytest.mark.parametrize("attention", ["the model's own", "paths", "paths in blocks of 3"])
@pytest.mark.parametrize("name", MODELS)
def test_packed_log_probabilities_and_gradients_are_those_of_single_sequences(
    name: str, attention: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(name)
    own = str(model.config._attn_implementation)
    weights = torch.linspace(-1, 1, len(tree()))
    if attention.startswith("paths"):
        model.double()  # rounding differs more between orders of summation than the tolerance below
        model.set_attn_implementation("paths")
        monkeypatch.setattr("cso.train.attention.BLOCK", 3 if attention.endswith("3") else BLOCK)
    packed, _ = reply_logps(model, build_pack(tree()), model)
    (packed * weights).sum().backward()
    model.set_attn_implementation(own)
    gradients = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    model.zero_grad()
    single = torch.stack([unpacked(model, prompt, reply) for prompt, reply in tree()])
    (single * weights).sum().backward()
    assert torch.allclose(packed, single, atol=2e-5, rtol=1e-6)
    expected = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    scale = max(float(gradient.abs().max()) for gradient in expected)
    for ours, theirs in zip(gradients, expected, strict=True):
        assert float((ours - theirs).abs().max()) < 1e-5 * max(1, scale)


def test_queries_are_compared_with_the_keys_on_their_paths_only() -> None:
    pack = build_pack([([1, 2, 3], [4] * 40), ([1, 2, 3], [5] * 40), ([1, 2, 9], [6] * 40)])
    blocks = [(block.start, block.stop, block.keys.tolist()) for block in Paths.of(pack, size=43).blocks]
    assert blocks == [
        (0, 43, list(range(43))),
        (43, 86, [0, 1, 2, *range(43, 86)]),  # the first reply is not on the second's path
        (86, 124, [0, 1, *range(83, 124)]),
    ]


def test_gathered_keys_and_values_are_not_kept_for_the_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    gathered: list[StorageWeakRef] = []

    def spy(block: Block, *tensors: Tensor) -> tuple[Tensor, ...]:
        parts = gather(block, *tensors)
        gathered.extend(StorageWeakRef(each.untyped_storage()) for each in parts[1:])
        return parts

    gather = attention._of  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(attention, "_of", spy)
    paths = Paths.of(build_pack([([1, 2, 3], [4] * 40), ([1, 2, 3], [5] * 40)]), size=16)
    query, key, value = (torch.randn(1, 2, paths.pack.tokens, 4, requires_grad=True) for _ in range(3))
    out, _ = attend(torch.nn.Module(), query, key, value, None, paths=paths, scaling=1.0)
    assert len(gathered) == 2 * len(paths.blocks)
    assert all(each.expired() for each in gathered)
    out.sum().backward()  # and it has them all the same
    assert key.grad is not None


def test_operators_of_a_cpu_are_left_alone_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    called = attention._Attention  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(called, "apply", lambda *_: pytest.fail("there is no such kernel"))
    here = Paths.of(build_pack([([1, 2, 3], [4] * 40)]))
    paths = Paths(here.pack.to("meta"), [block._replace(keys=block.keys.to("meta")) for block in here.blocks])
    query, key, value = (torch.randn(1, 2, paths.pack.tokens, 4, device="meta") for _ in range(3))
    assert attend(torch.nn.Module(), query, key, value, None, paths=paths, scaling=1.0)[0].shape == (1, 43, 2, 4)


def test_gradients_are_those_of_attending_once() -> None:
    ours, once = attended_both_ways(bf16=False)
    for one, other in zip(ours, once, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_in_bfloat16_gradients_are_as_exact_as_those_of_attending_once() -> None:
    _, exact = attended_both_ways(bf16=False)
    for one, other, truth in zip(*attended_both_ways(bf16=True), exact, strict=True):
        assert float((one - truth).norm()) < 1.1 * float((other - truth).norm())


def test_queries_may_lie_in_memory_in_any_order() -> None:
    paths = Paths.of(build_pack([([1, 2, 3], [4] * 40)]))
    query = torch.randn(1, 2, 8, paths.pack.tokens).transpose(2, 3)
    key, value = torch.randn(2, 1, 2, paths.pack.tokens, 8)
    ways = [
        attend(torch.nn.Module(), each, key, value, None, paths=paths, scaling=0.5)[0]
        for each in (query, query.contiguous())
    ]
    assert torch.equal(*ways)


def attended_both_ways(*, bf16: bool) -> list[tuple[Tensor, ...]]:
    """What attention says, and gradients of queries, keys and values: by `attend`, and block by block by autograd."""
    paths = Paths.of(build_pack([([1, 2, 3], [4] * 40), ([1, 2, 3], [5] * 40)]), size=16)
    draw = torch.Generator().manual_seed(0)
    shapes = [(1, heads, paths.pack.tokens, 8) for heads in (4, 2, 2)]
    tensors = [torch.randn(shape, generator=draw).requires_grad_() for shape in shapes]
    weights = torch.randn(1, paths.pack.tokens, 4, 8, generator=draw)

    def once(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        parts = [
            attended(
                query[:, :, block.start : block.stop],
                key[:, :, block.keys],
                value[:, :, block.keys],
                mask,
                scaling=0.5,
            )
            for block, mask in zip(paths.blocks, paths.masks(None, query.dtype), strict=True)
        ]
        return torch.cat(parts, 2).transpose(1, 2)

    def ours(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return attend(torch.nn.Module(), query, key, value, None, paths=paths, scaling=0.5)[0]

    found: list[tuple[Tensor, ...]] = []
    for way in (ours, once):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            query, key, value = tensors
            out = way(query, key, value.to(torch.bfloat16 if bf16 else value.dtype))  # as a linear layer gives it
        found.append((out.detach().float(), *torch.autograd.grad((out * weights).sum(), tensors)))
    return found


def test_gradient_checkpointing_changes_nothing() -> None:
    model = model_of("llama").double()
    model.set_attn_implementation("paths")
    model.train()
    pack = build_pack(tree())
    gradients: list[list[Tensor]] = []
    for checkpointing in (False, True):
        if checkpointing:
            with warnings.catch_warnings(action="ignore"):  # transformers 6 will call it otherwise
                model.gradient_checkpointing_enable({"use_reentrant": False})
        model.zero_grad()
        reply_logps(model, pack, model)[0].sum().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None])
    assert all(torch.allclose(one, other, atol=1e-9) for one, other in zip(*gradients, strict=True))


def test_attention_with_parts_that_paths_does_not_compute_is_refused() -> None:
    query = torch.zeros(1, 1, 2, 4)
    with pytest.raises(InputError, match="paths computes no s_aux"):
        attend(torch.nn.Module(), query, query, query, None, paths=Paths.of(build_pack([])), scaling=1.0, s_aux=query)


@pytest.mark.parametrize("name", ["llama", "gemma2"])
def test_filling_a_pack_up_changes_nothing(name: str) -> None:
    model = model_of(name)
    plain, _ = reply_logps(model, build_pack(tree()), model)
    filled, _ = reply_logps(model, build_pack(tree(), multiple=64), model)
    assert len(build_pack(tree(), multiple=64).input_ids) % 64 == 0
    assert torch.allclose(plain, filled, atol=1e-5)


def test_prompts_are_scored_from_their_second_token_on() -> None:
    model = model_of("llama")
    logps, _ = reply_logps(model, build_pack(tree(), prompts=True), model)
    expected = [unpacked(model, prompt[:1], prompt[1:]) for prompt, _ in tree()]
    assert torch.allclose(logps[len(tree()) :], torch.stack(expected), atol=2e-5)


def test_an_empty_pack_has_gradients_of_nothing() -> None:
    model = model_of("llama")
    logps, zero = reply_logps(model, build_pack([]), model)
    assert len(logps) == 0
    zero.backward()
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in model.parameters())
    assert any(parameter.grad is not None for parameter in model.parameters())


def test_a_model_without_logits_to_keep_is_asked_for_all_of_them() -> None:
    class Plain(LlamaForCausalLM):
        def forward(self, input_ids, attention_mask, position_ids, use_cache):  # type: ignore[override]
            return super().forward(
                input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, use_cache=use_cache
            )

    model = model_of("llama")
    plain = Plain(LlamaConfig(**SIZES)).eval()
    plain.load_state_dict(model.state_dict())
    expected, _ = reply_logps(model, build_pack(tree()), model)
    assert torch.allclose(reply_logps(plain, build_pack(tree()), plain)[0], expected, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_the_mask_for_flex_attention_shows_what_the_dense_one_shows(name: str) -> None:
    model, pack = model_of(name), build_pack(tree(), multiple=128)
    dense, blocks = dense_mask(pack, model.config, torch.float32), block_mask(pack, model.config)
    pairs = [(dense, blocks)] if isinstance(dense, Tensor) else [(dense[kind], blocks[kind]) for kind in dense]  # type: ignore[index]
    for one, other in pairs:
        index = torch.arange(pack.tokens)
        seen = other.mask_mod(torch.tensor(0), torch.tensor(0), index[:, None], index[None, :])  # type: ignore[union-attr]
        assert torch.equal(one[0, 0] > HIDDEN / 2, seen)
        assert other.shape[-2:] == (pack.tokens, pack.tokens)  # type: ignore[union-attr]


@pytest.mark.parametrize(("window", "computed"), [(None, None), (40, 44), (300, 55)])
@pytest.mark.parametrize("multiple", [1, KERNEL_BLOCK])
def test_flex_attention_computes_the_blocks_that_are_seen(
    window: int | None, computed: int | None, multiple: int
) -> None:
    draw = random.Random(0)
    opening = [draw.randrange(9) for _ in range(150)]
    histories = [[*opening, *(draw.randrange(9) for _ in range(length))] for length in (10, 200, 333)]
    replies = [(history, [draw.randrange(9) for _ in range(90)]) for history in histories for _ in range(3)]
    pack = build_pack(replies, multiple=multiple)
    config = LlamaConfig() if window is None else MistralConfig(sliding_window=window)
    mask: Any = dense_mask(pack, config, torch.float32)
    short = -pack.tokens % KERNEL_BLOCK
    seen = torch.nn.functional.pad(mask[0, 0] == 0, (0, short, 0, short))
    seen[pack.tokens :] = seen[pack.tokens - 1]  # queries that are not there want nothing else
    by_block = seen.unflatten(1, (-1, KERNEL_BLOCK)).unflatten(0, (-1, KERNEL_BLOCK)).transpose(1, 2).flatten(2)
    blocks: Any = block_mask(pack, config)
    whole = listed(blocks.full_kv_num_blocks, blocks.full_kv_indices)
    partly = listed(blocks.kv_num_blocks, blocks.kv_indices)
    assert not (whole & partly).any()
    if window is None:
        assert torch.equal(whole, by_block.all(-1))
        assert torch.equal(whole | partly, by_block.any(-1))
    else:  # a block may hold tokens of several branches, so some are computed in which nothing is seen
        assert not (whole & ~by_block.all(-1)).any()
        assert not (by_block.any(-1) & ~(whole | partly)).any()
        assert int((whole | partly).sum()) == computed


def listed(counts: Tensor, indices: Tensor) -> Tensor:
    """[b, b]: the blocks that are listed for each block of queries."""
    found = torch.zeros(indices.shape[-2:], dtype=torch.bool)
    for row, (count, columns) in enumerate(zip(counts[0, 0].tolist(), indices[0, 0].tolist(), strict=True)):
        found[row, columns[:count]] = True
    return found
