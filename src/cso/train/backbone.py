"""The model that is trained, its tokenizer, and its adapters."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from cso.errors import InputError
from cso.files import is_folder
from cso.settings import LoraSettings, ModelSettings, TrainSettings
from cso.train.attention import NAME as PATHS
from cso.train.flex import BLOCK, LEAST, can_attend
from cso.train.flex import NAME as FLEX
from cso.train.logps import reply_logps
from cso.train.pack import Pack
from cso.train.tiny import is_tiny, tiny_folder

_UNLOADABLE = (
    *(OSError, ValueError, KeyError, ImportError, AttributeError, TypeError, AssertionError),
    *(SafetensorError, StrictDataclassError),
)


SAMPLES, SAMPLE = 256, 65_536  # bytes: of a file of weights that is larger than both make, what a version looks at


@dataclass(frozen=True, slots=True)
class Backbone:
    """A transformer with its tokenizer, and the model that is trained: the same, or with adapters around it."""

    tokenizer: PreTrainedTokenizerBase
    base: PreTrainedModel
    model: nn.Module
    device: torch.device
    bf16: bool  # whether it computes in bfloat16

    @property
    def multiple(self) -> int:
        """What a pack's length must be a multiple of: FlexAttention works in blocks."""
        return BLOCK if self.base.config._attn_implementation == FLEX else 1  # pyright: ignore

    def score(self, pack: Pack) -> Tensor:
        """The log-probability of each reply of a pack, without gradient: `[C]`."""
        self.model.eval()
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return reply_logps(self.model, pack.to(self.device, non_blocking=True), self.base)[0]

    def without_adapter(self) -> AbstractContextManager[None]:
        """Meanwhile the model is the one that training began from."""
        return self.model.disable_adapter() if self.model is not self.base else nullcontext()  # pyright: ignore


def load_tokenizer(settings: ModelSettings, say: Callable[[str], None]) -> PreTrainedTokenizerBase:
    """The model's tokenizer, which must have a chat template. Raises InputError."""
    place = model_place(settings.name, say)
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=settings.trust_remote_code)
    except _UNLOADABLE as error:
        raise InputError(_unloadable(settings.name, str(error))) from error
    if tokenizer.chat_template is None:
        raise InputError(
            f"model {settings.name}: its tokenizer has no chat template; take an instruct model, or save a template "
            f"as chat_template.jinja beside the tokenizer"
        )
    return tokenizer


def load_backbone(
    settings: TrainSettings, tokenizer: PreTrainedTokenizerBase, device: torch.device, *, frozen: bool = False
) -> Backbone:
    """The model in the precision and attention that settings and device ask for. Raises InputError.

    Weights are kept in float32 where they are to be trained; those that are not, or all if `frozen`, as computed with.
    """
    told = settings.model
    place = model_place(told.name)
    bf16 = in_bf16(told, device)
    config = _config(told, place)
    _check(told.name, config)
    try:
        base, info = cast(Any, AutoModelForCausalLM).from_pretrained(
            place,
            output_loading_info=True,
            config=config,
            attn_implementation=attention(told, config, device),
            dtype=torch.bfloat16 if bf16 and (frozen or settings.tuning == "lora") else torch.float32,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # they are told by `check_whole`
            trust_remote_code=told.trust_remote_code,
        )
    except _UNLOADABLE as error:
        raise InputError(_unloadable(told.name, str(error))) from error
    check_whole(told.name, info)
    _exchange_attention(base, told, device)
    _check_rows(told.name, tokenizer, cast(nn.Embedding, base.get_input_embeddings()).num_embeddings)
    model = base if settings.tuning == "full" else adapted(base, settings.lora)
    cast(nn.Module, model).to(device)
    return Backbone(tokenizer, base, model, device, bf16)


def _exchange_attention(base: PreTrainedModel, settings: ModelSettings, device: torch.device) -> None:
    """Ours for transformers' own, where that is asked for or can be. Raises InputError where it cannot."""
    auto = settings.attention == "auto"
    if settings.attention == "flex_attention" and not can_attend(base):
        raise InputError(
            f"model {settings.name}: flex_attention cannot compute its attention (it needs heads of {LEAST} numbers or "
            f"more, no dropout, and a model that takes another attention); expected train.model.attention=auto"
        )
    if settings.attention == "flex_attention" or (auto and device.type == "cuda" and can_attend(base)):
        base.set_attn_implementation(FLEX)
    elif auto and device.type != "cuda" and base._supports_attention_backend:  # pyright: ignore
        base.set_attn_implementation(PATHS)


def adapted(base: PreTrainedModel, settings: LoraSettings) -> nn.Module:
    """`base` inside a model with low-rank adapters on all linear modules but the output head."""
    from peft import LoraConfig, TaskType, get_peft_model  # imported late: full fine-tuning does not need it

    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=settings.rank,
        lora_alpha=settings.alpha,  # pyright: ignore[reportArgumentType]
        lora_dropout=settings.dropout,
        target_modules="all-linear",
    )
    return get_peft_model(base, config)


def attention(settings: ModelSettings, config: PretrainedConfig, device: torch.device) -> str:
    """What a model is loaded with: what is asked for; by default sdpa, or eager where scores are capped (Gemma-2).

    The default becomes FlexAttention on a GPU and `paths` elsewhere, once the model is loaded and says that it can.
    """
    capped = getattr(config.get_text_config(), "attn_logit_softcapping", None) is not None
    match settings.attention:
        case "auto":
            return "eager" if capped else "sdpa"
        case "flex_attention" if device.type != "cuda":
            raise InputError("train.model.attention: flex_attention trains on a GPU only; expected auto, sdpa or eager")
        case "paths" if device.type == "cuda":
            raise InputError("train.model.attention: paths is for CPUs; expected auto, flex_attention, sdpa or eager")
        case "sdpa" if capped:
            raise InputError(
                "train.model.attention: sdpa cannot cap scores, as this model does; expected auto or eager"
            )
        case chosen:
            return chosen


def in_bf16(settings: ModelSettings, device: torch.device) -> bool:
    """Whether to compute in bfloat16. Weights that are trained are float32 all the same: small steps would be lost."""
    if settings.precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported()
    return settings.precision == "bf16"


def model_place(name: str, say: Callable[[str], None] = lambda _: None) -> str:
    """The folder, from the root, or hub name that loads: `tiny` is made where it is not there yet.

    Raises InputError for what can be no name on a hub, and is no folder that holds a model.
    """
    if is_tiny(name):
        return str(tiny_folder(name, say))
    place = Path(name)
    there = is_folder(name)
    if there and not any((place / each).is_file() for each in ("config.json", "adapter_config.json")):
        raise InputError(_unloadable(name, "found a folder without config.json"))
    if not there and (os.path.exists(name) or name.startswith((".", "~", "/")) or name.count("/") > 1):
        raise InputError(_unloadable(name, "found a file" if os.path.exists(name) else "found no such folder"))
    return str(place.resolve()) if there else name  # adapters keep it as the name of their base


def version_of(settings: ModelSettings) -> str:
    """What changes with a model: a hash of its files, of large ones of samples; of one on the hub, its commit.

    Raises InputError where there is no such model.
    """
    place = model_place(settings.name)
    if not is_folder(place):
        return str(_config(settings, place)._commit_hash or settings.name)  # pyright: ignore[reportPrivateUsage]
    digest = hashlib.sha256()
    for file in sorted(each for each in Path(place).glob("*.*") if each.is_file()):
        size = file.stat().st_size
        digest.update(repr((file.name, size)).encode())
        with file.open("rb") as opened:
            for start in range(0, size, max(SAMPLE, size // SAMPLES)):  # all of a small file, and copies are equal
                opened.seek(start)
                digest.update(opened.read(SAMPLE))
    return digest.hexdigest()[:16]


def positions(settings: ModelSettings) -> int | None:
    """How many tokens a model that has learned each position can read; None where positions are no such limit."""
    config = _config(settings, model_place(settings.name)).get_text_config()
    most = getattr(config, "max_position_embeddings", None)
    return None if getattr(config, "rope_parameters", None) else most


def check_loadable(settings: TrainSettings, tokenizer: PreTrainedTokenizerBase, device: torch.device) -> None:
    """Raises InputError for a model that could not be trained, as far as its files say without being loaded."""
    told = settings.model
    place = model_place(told.name)
    config = _config(told, place)
    _check(told.name, config)
    _check_rows(told.name, tokenizer, config.get_text_config().vocab_size)
    attention(told, config, device)
    for file in Path(place).glob("*.safetensors"):
        try:
            with safe_open(file, "pt"):
                pass
        except (OSError, SafetensorError) as error:
            raise InputError(_unloadable(told.name, f"{file.name}: {error}")) from error


def _check_rows(name: str, tokenizer: PreTrainedTokenizerBase, rows: int) -> None:
    if len(tokenizer) > rows:
        raise InputError(f"model {name}: its tokenizer has {len(tokenizer)} tokens, the model {rows}")


def _config(settings: ModelSettings, place: str) -> PretrainedConfig:
    try:
        return AutoConfig.from_pretrained(place, trust_remote_code=settings.trust_remote_code)
    except _UNLOADABLE as error:
        raise InputError(_unloadable(settings.name, str(error))) from error


def check_whole(name: str, info: Mapping[str, Any]) -> None:
    """Raises InputError where weights were missing or of another shape, so that they would be random."""
    lacking = [*info["missing_keys"], *(each[0] for each in info["mismatched_keys"])]
    if lacking:
        raise InputError(
            f"model {name}: expected weights for all of its layers, found none that fit for {len(lacking)} of them, "
            f"such as {lacking[0]}; config.json and the weights do not belong together"
        )


def _check(name: str, config: PretrainedConfig) -> None:
    if config.is_encoder_decoder:
        raise InputError(f"model {name}: expected a causal language model, found an encoder-decoder")
    kinds = set(getattr(config.get_text_config(), "layer_types", None) or [])
    if other := kinds - {"full_attention", "sliding_attention"}:
        raise InputError(
            f"model {name}: has layers of {', '.join(sorted(other))}, which cannot skip tokens; expected attention only"
        )


def _unloadable(name: str, why: str) -> str:
    place = Path(name)
    if is_folder(place) and (place / "training.json").exists() and not (place / "README.md").exists():
        return f"model {name}: its training has not come to its end; the same `cso train` goes on with it"
    if is_folder(place) and (place / "adapter_config.json").exists():
        return f"model {name}: holds an adapter only; fold it into its model first (`--merge` when it is trained)"
    return (
        f"model {name}: expected `tiny`, a folder with config.json, safetensors and tokenizer, or a name on the "
        f"Hugging Face hub; {' '.join(why.split())}"
    )
