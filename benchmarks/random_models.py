"""Llamas with random weights, for what depends on size alone."""

from __future__ import annotations

from pathlib import Path

MODELS = {  # hidden size, layers, vocabulary
    "7M": (256, 6, None),
    "36M": (512, 10, None),
    "45M": (512, 6, 32_000),
    "0.5B": (1536, 16, 32_000),
}


def save_model(name: str, folder: Path) -> None:
    """A random Llama whose tokenizer is that of the embedded backbone."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from cso.corpora import read_corpus
    from cso.taxonomy import load_taxonomy
    from cso.train.tiny import make_tokenizer

    hidden, layers, vocabulary = MODELS[name]
    esc8 = load_taxonomy("esc8")
    tokenizer = make_tokenizer(read_corpus("bundled", esc8).dialogues, esc8)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary or len(tokenizer),
        hidden_size=hidden,
        intermediate_size=hidden * 8 // 3,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        num_key_value_heads=hidden // 64,
        max_position_embeddings=4096,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,  # pyright: ignore[reportArgumentType]
        pad_token_id=tokenizer.pad_token_id,  # pyright: ignore[reportArgumentType]
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
