"""Models of four families as supporters: shared reading, sliding windows, adapters."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM

from cso.evaluate.local import LocalModel, load_local
from cso.settings import ModelSettings
from cso.taxonomy import load_taxonomy
from cso.train.backbone import Backbone
from models_for_tests import FAMILIES, model_of, tokenizer_of, trees
from small_training import save_model

ESC8 = load_taxonomy("esc8")


def local(base, tokenizer) -> LocalModel:  # type: ignore[no-untyped-def]
    return LocalModel(Backbone(tokenizer, base, base, torch.device("cpu"), bf16=False), "m", "m", 2048)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_replies_are_those_of_generate_on_each_prompt_alone(
    family: str, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, tokenizer = model_of(family).eval(), tokenizer_of(family)
    if not shared:  # as for models whose attention cannot be exchanged
        monkeypatch.setattr(base, "_supports_attention_backend", False)
    model = local(base, tokenizer)
    prompts = model.prompts([example.prompt for example in trees()])
    found = dict(model.write(prompts, max_tokens=12))
    for place, prompt in enumerate(prompts):
        ids = torch.tensor([prompt.tokens])
        out = base.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)  # type: ignore[operator]
        assert found[place] == tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)


def test_an_adapter_is_folded_into_its_base(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "base")
    base = LlamaForCausalLM.from_pretrained(folder)
    adapted = get_peft_model(base, LoraConfig(target_modules="all-linear", init_lora_weights=False))
    adapted.save_pretrained(str(tmp_path / "adapter"))
    plain = load_local(ModelSettings(name=str(folder)), ESC8, max_length=512, say=print)
    plain.backbone.tokenizer.save_pretrained(tmp_path / "adapter")
    model = load_local(ModelSettings(name=str(tmp_path / "adapter")), ESC8, max_length=512, say=print)
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad(), model._attention("eager"), plain._attention("eager"):  # pyright: ignore[reportPrivateUsage]
        expected = adapted.eval()(input_ids=ids).logits
        assert torch.allclose(model.backbone.base(input_ids=ids).logits, expected, atol=1e-5)
        assert not torch.allclose(plain.backbone.base(input_ids=ids).logits, expected, atol=1e-3)
