"""A model of transformers as a supporter: which strategy it chooses, and what it replies. Needs the extra `train`."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from transformers import PreTrainedModel

from cso.errors import InputError
from cso.evaluate import writing
from cso.settings import ModelSettings, TrainSettings
from cso.taxonomy import Taxonomy, load_taxonomy
from cso.train.arguments import token_budget, training_device
from cso.train.backbone import Backbone, load_backbone, load_tokenizer, model_place, version_of
from cso.train.conversation import Prompt, token_ids
from cso.train.encode import Encoded, encode_prompts
from cso.train.examples import Example
from cso.train.reference import score_all
from cso.train.trie import Tokens, TrieSize, common_prefix
from cso.transcript import Message, tag

GENERATED = {"cuda": 131_072, "cpu": 16_384}  # tokens, those of prompts as a trie, of a batch of replies


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A loaded model. `identity` changes where the model's files do."""

    backbone: Backbone
    name: str
    identity: str
    max_length: int

    def prompts(self, asked: Sequence[Sequence[Message]]) -> list[Prompt]:
        """What the model is given to answer. Raises InputError where its chat template refuses a conversation."""
        return encode_prompts(self.backbone.tokenizer, asked, max_length=self.max_length)

    def choose(self, prompts: Sequence[Prompt], taxonomy: Taxonomy) -> list[list[float]]:
        """[n, K]: the probability of each strategy's tag as what comes next, the tags' together being 1.

        Each is the product over the tag's tokens. Prompts that begin alike are computed once.
        """
        tags = [tag(name) for name in taxonomy.names]
        whole = iter(token_ids(self.backbone.tokenizer, [prompt.text + each for prompt in prompts for each in tags]))
        encoded: list[Encoded] = []
        for prompt in prompts:
            said = [next(whole) for _ in tags]
            shared = min(common_prefix(prompt.tokens, each) for each in said)
            replies = [each[shared:] for each in said]
            encoded.append(Encoded(Example((), tuple(tags), "", ""), prompt.tokens[:shared], replies))
        budget = token_budget(TrainSettings(), self.backbone.device)
        logps = score_all(encoded, self.backbone.score, token_budget=budget, multiple=self.backbone.multiple)
        return logps.view(len(prompts), len(tags)).softmax(-1).tolist()

    def write(
        self,
        prompts: Sequence[Prompt],
        openings: Sequence[str] | None = None,
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> Generator[tuple[int, str]]:
        """(place, reply) of each prompt, a batch at a time, as they come; a reply has its opening before it.

        Batches are as large as memory should allow. Prompts that begin alike are together, and are read once.
        """
        before = openings or [""] * len(prompts)
        tokens = token_ids(
            self.backbone.tokenizer, [prompt.text + each for prompt, each in zip(prompts, before, strict=True)]
        )
        order = sorted(range(len(tokens)), key=tokens.__getitem__)
        torch.manual_seed(seed)
        for places in self._batches(order, tokens, max_tokens):
            new = self._continued([tokens[place] for place in places], max_tokens, temperature)
            texts = self.backbone.tokenizer.batch_decode(new, skip_special_tokens=True)
            yield from ((place, before[place] + text) for place, text in zip(places, texts, strict=True))

    def _batches(self, order: Sequence[int], tokens: Sequence[Tokens], more: int) -> list[list[int]]:
        budget = GENERATED.get(self.backbone.device.type, GENERATED["cpu"])
        batches: list[list[int]] = [[]]
        size = TrieSize()
        for place in order:
            size.add(tokens[place])
            if batches[-1] and size.nodes + (len(batches[-1]) + 1) * more > budget:
                batches.append([])
                size = TrieSize([tokens[place]])
            batches[-1].append(place)
        return batches if order else []

    def _continued(self, tokens: Sequence[Tokens], more: int, temperature: float) -> list[Tokens]:
        base, device = self.backbone.base, self.backbone.device
        ends = self._ends(base)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=self.backbone.bf16):
            if not base._supports_attention_backend:  # pyright: ignore[reportPrivateUsage]
                return [self._alone(each, more, ends, temperature) for each in tokens]
            with self._attention(writing.NAME):
                return writing.write(base, tokens, room=more, ends=ends, temperature=temperature)

    def _alone(self, tokens: Tokens, more: int, ends: list[int], temperature: float) -> Tokens:
        """The reply of a model whose attention cannot be exchanged."""
        drawn = {"do_sample": True, "temperature": temperature, "top_p": 1.0, "top_k": 0}
        greedy = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        ids = torch.tensor([tokens], device=self.backbone.device)
        out = cast(Any, self.backbone.base).generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=more,
            eos_token_id=ends,
            pad_token_id=ends[0],
            **(drawn if temperature else greedy),
        )
        return cast(Tensor, out)[0, len(tokens) :].tolist()

    def _ends(self, model: PreTrainedModel) -> list[int]:
        """Tokens that end a reply."""
        told = model.generation_config.eos_token_id
        ends = [told] if isinstance(told, int) else list(told or [])
        own = self.backbone.tokenizer.eos_token_id
        ends += [own] if isinstance(own, int) and own not in ends else []
        if not ends:
            raise InputError(f"model {self.name}: expected an end-of-sequence token, found none to stop a reply at")
        return ends

    @contextmanager
    def _attention(self, name: str) -> Generator[None]:
        """Meanwhile the model computes attention so."""
        base = self.backbone.base
        own = cast(str, base.config._attn_implementation)  # pyright: ignore[reportPrivateUsage]
        base.set_attn_implementation(name)
        base.eval()
        try:
            yield
        finally:
            base.set_attn_implementation(own)


def load_local(
    settings: ModelSettings, taxonomy: Taxonomy, *, max_length: int, say: Callable[[str], None]
) -> LocalModel:
    """A model by name or from a folder; one with an adapter only gets it folded in, in memory.

    Raises InputError where it cannot be loaded, or was trained to choose from other strategies.
    """
    tokenizer = load_tokenizer(settings, say)
    device = training_device()
    place = Path(model_place(settings.name, say))
    _check_strategies(settings.name, place / "taxonomy.yaml", taxonomy)
    adapter = place / "adapter_config.json"
    told = settings.model_copy(update={"name": _base(adapter)}) if adapter.exists() else settings
    backbone = load_backbone(TrainSettings(model=told, tuning="full"), tokenizer, device)
    if adapter.exists():
        from peft import PeftModel  # here, since most models need none

        base = cast(PreTrainedModel, PeftModel.from_pretrained(backbone.base, str(place)).merge_and_unload())
        backbone = replace(backbone, base=base, model=base)
    return LocalModel(backbone, settings.name, version_of(settings), max_length)


def _check_strategies(name: str, file: Path, taxonomy: Taxonomy) -> None:
    if not file.exists():
        return
    own = load_taxonomy(file)
    if own.names != taxonomy.names:
        raise InputError(
            f"model {name}: was trained to choose from {own.name} ({', '.join(own.names)}), to be evaluated on "
            f"{taxonomy.name} ({', '.join(taxonomy.names)}); expected the same strategies"
        )


def _base(adapter: Path) -> str:
    try:
        return str(json.loads(adapter.read_text(encoding="utf-8"))["base_model_name_or_path"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{adapter}: expected the name of the adapter's base model: {error!r}") from error
