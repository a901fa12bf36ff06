"""A model of transformers as a supporter: which strategy it chooses, and what it replies. Needs the extra `train`."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import json
import random
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import PreTrainedModel

from cso.errors import InputError
from cso.evaluate.writing import NAME as GROWING
from cso.evaluate.writing import write as written
from cso.files import is_folder
from cso.settings import ModelSettings, TrainSettings
from cso.taxonomy import Taxonomy, load_taxonomy
from cso.train.arguments import token_budget, training_device
from cso.train.backbone import Backbone, load_backbone, load_tokenizer, model_place, positions, version_of
from cso.train.conversation import Prompt, split, token_ids
from cso.train.encode import Encoded, encode_prompts
from cso.train.exact import check_packing
from cso.train.examples import Example
from cso.train.reference import score_all
from cso.train.trie import Tokens, TrieSize
from cso.transcript import Message, tag

BUDGET = {"cuda": 131_072, "cpu": 16_384}  # tokens of a batch: its prompts as a trie, and their replies
ADVICE = "lower evaluate.token_budget, the tokens of a batch"  # where memory does not suffice
TAGS = 64  # tokens that a prompt's tags have, about


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A loaded model. `identity` changes where the model's files do."""

    backbone: Backbone
    name: str
    identity: str
    max_length: int
    token_budget: int | None = None  # of a batch; None: by device
    room: int | None = None  # tokens of a prompt for which the model has learned positions, beside a reply's

    def prompts(self, asked: Sequence[Sequence[Message]]) -> list[Prompt]:
        """What the model is given to answer. Raises InputError where its chat template refuses a conversation."""
        return encode_prompts(
            self.backbone.tokenizer,
            asked,
            max_length=self.max_length if self.room is None else min(self.max_length, self.room),
        )

    def choose(self, prompts: Sequence[Prompt], taxonomy: Taxonomy) -> Generator[tuple[int, list[float]]]:
        """(place, probabilities) of each prompt, a batch at a time: each strategy's tag as what comes next, in sum 1.

        A tag's is the product over its tokens. Prompts that begin alike are computed once.
        """
        tags = [tag(name) for name in taxonomy.names]
        budget = token_budget(TrainSettings(), self.backbone.device)
        tokens = [prompt.tokens for prompt in prompts]
        for places in self._batches(tokens, TAGS):
            encoded = self.tagged([prompts[place] for place in places], tags)
            logps = score_all(encoded, self.backbone.score, token_budget=budget, multiple=self.backbone.multiple)
            if not logps.isfinite().all():
                raise InputError(f"model {self.name}: a tag has no finite log-probability: its weights are not sound")
            yield from zip(places, logps.view(len(places), len(tags)).softmax(-1).tolist(), strict=True)

    def tagged(self, prompts: Sequence[Prompt], tags: Sequence[str]) -> list[Encoded]:
        """Each prompt with the tags as replies, tokenized as one text."""
        whole = iter(token_ids(self.backbone.tokenizer, [prompt.text + each for prompt in prompts for each in tags]))
        said = [split(prompt.tokens, [next(whole) for _ in tags]) for prompt in prompts]
        return [Encoded(Example((), tuple(tags), "", ""), given, replies) for given, replies in said]

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

        Prompts that begin alike are together, and are read once.
        """
        before = openings or [""] * len(prompts)
        tokens = token_ids(
            self.backbone.tokenizer, [prompt.text + each for prompt, each in zip(prompts, before, strict=True)]
        )
        for places in self._batches(tokens, max_tokens):
            new = self._continued([tokens[place] for place in places], max_tokens, temperature, seed)
            texts = self.backbone.tokenizer.batch_decode(new, skip_special_tokens=True)
            yield from ((place, before[place] + text) for place, text in zip(places, texts, strict=True))

    def _batches(self, tokens: Sequence[Tokens], more: int) -> list[list[int]]:
        """Places in lexicographic order; of a batch, the trie and `more` tokens for each are within the budget."""
        budget = self.token_budget or BUDGET.get(self.backbone.device.type, BUDGET["cpu"])
        batches: list[list[int]] = [[]]
        size = TrieSize()
        for place in sorted(range(len(tokens)), key=tokens.__getitem__):
            size.add(tokens[place])
            if batches[-1] and size.nodes + (len(batches[-1]) + 1) * more > budget:
                batches.append([])
                size = TrieSize([tokens[place]])
            batches[-1].append(place)
        return batches if tokens else []

    def _continued(self, tokens: Sequence[Tokens], more: int, temperature: float, seed: int) -> list[Tokens]:
        base, device = self.backbone.base, self.backbone.device
        ends = self._ends(base)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=self.backbone.bf16):
            if not base._supports_attention_backend:  # pyright: ignore[reportPrivateUsage]
                with torch.random.fork_rng():
                    return [self._alone(each, more, ends, temperature, seed) for each in tokens]
            with self._attention(GROWING):
                return written(base, tokens, room=more, ends=ends, temperature=temperature, seed=seed)

    def _alone(self, tokens: Tokens, more: int, ends: list[int], temperature: float, seed: int) -> Tokens:
        """The reply of a model whose attention cannot be exchanged."""
        torch.manual_seed(random.Random(f"{seed} {tokens}").getrandbits(63))
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
    settings: ModelSettings,
    taxonomy: Taxonomy,
    *,
    max_length: int,
    max_tokens: int = 128,
    token_budget: int | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> LocalModel:
    """A model by name or from a folder; one with an adapter only gets it folded in, in memory.

    `max_length`: tokens of a prompt; `max_tokens`: of a reply.
    Raises InputError where it cannot be loaded, was trained to choose from other strategies, or cannot be packed.
    """
    tokenizer = load_tokenizer(settings, say)
    device = training_device()
    place = Path(model_place(settings.name, say))
    _check_strategies(settings.name, place / "taxonomy.yaml", taxonomy)
    adapter = place / "adapter_config.json"
    told = settings.model_copy(update={"name": _base(adapter)}) if adapter.exists() else settings
    backbone = load_backbone(TrainSettings(model=told, tuning="full"), tokenizer, device, frozen=True)
    if adapter.exists():
        base = _folded(backbone.base, place)
        backbone = replace(backbone, base=base, model=base)
    most = positions(told)
    room = None if most is None else most - max(max_tokens, TAGS)
    if room is not None and room < 1:
        raise InputError(
            f"model {settings.name} has learned {most} positions, which leaves no room for a prompt beside a reply of "
            f"{max_tokens} tokens; lower evaluate.max_tokens"
        )
    model = LocalModel(backbone, settings.name, version(settings), max_length, token_budget, room)
    greeting = [{"role": "user", "content": "Hello."}]
    check_packing(backbone, model.tagged(model.prompts([greeting]), [tag(each) for each in taxonomy.names]), told.name)
    return model


def version(settings: ModelSettings) -> str:
    """What changes with what a model answers: its files, or its commit on the hub; of an adapter, its base's as well;
    and the precision that is asked for.
    """
    place = model_place(settings.name)
    adapter = Path(place) / "adapter_config.json"
    found = version_of(settings)
    if is_folder(place) and adapter.exists():
        found += f" on {version_of(settings.model_copy(update={'name': _base(adapter)}))}"
    return found if settings.precision == "auto" else f"{found} in {settings.precision}"


def _folded(base: PreTrainedModel, adapter: Path) -> PreTrainedModel:
    if not (adapter / "adapter_model.safetensors").exists():
        raise InputError(f"{adapter}: expected adapter_model.safetensors, found none")
    try:
        from peft import PeftModel  # here, since most models need none

        return cast(PreTrainedModel, PeftModel.from_pretrained(base, str(adapter)).merge_and_unload())
    except (ImportError, OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{adapter}: expected an adapter that peft can put on {base.name_or_path}; {error}") from error


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
        base = json.loads(adapter.read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{adapter}: expected the name of the adapter's base model: {error!r}") from error
    if not isinstance(base, str):
        raise InputError(f"{adapter}: expected the name of the adapter's base model, found {base!r}")
    if Path(base).is_absolute() and not is_folder(base):
        raise InputError(f"{adapter}: its base model {base} is not there; write where it is now into that file")
    return base
