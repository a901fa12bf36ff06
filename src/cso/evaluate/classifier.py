"""A text classifier of the Hugging Face hub as detector, such as `unitary/toxic-bert`. Needs the extra `train`."""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from safetensors import SafetensorError
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerBase

from cso.errors import InputError
from cso.evaluate.toxicity import Rating
from cso.train.arguments import training_device
from cso.train.backbone import check_whole

BATCH = 32
LONGEST = 512  # tokens of a text that are read


class Classifier:
    """A rating for each of the model's labels: by a sigmoid where several may hold or there is one, else by a softmax.

    Weights are read as safetensors only, and no code of the model's is run. Raises InputError.
    """

    def __init__(self, name: str) -> None:
        try:
            self._tokenizer = cast(PreTrainedTokenizerBase, AutoTokenizer.from_pretrained(name))
            model, info = cast(Any, AutoModelForSequenceClassification).from_pretrained(
                name, use_safetensors=True, output_loading_info=True, ignore_mismatched_sizes=True
            )
        except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
            raise InputError(
                f"model {name}: expected a text classifier with safetensors, in a folder or on the hub; {error}"
            ) from error
        check_whole(name, info)
        self._model = model.to(training_device()).eval()
        self._labels = [str(model.config.id2label[place]) for place in range(model.config.num_labels)]
        self._several = model.config.problem_type == "multi_label_classification" or len(self._labels) == 1

    async def __call__(self, texts: Sequence[str]) -> list[Rating | None]:
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        found: list[Rating | None] = [None] * len(texts)
        for at in range(0, len(order), BATCH):
            places = order[at : at + BATCH]
            for place, shares in zip(places, self._shares([texts[place] for place in places]), strict=True):
                found[place] = dict(zip(self._labels, shares, strict=True))
        return found

    def _shares(self, texts: list[str]) -> list[list[float]]:
        told = self._tokenizer(texts, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt")
        with torch.no_grad():
            logits = self._model(**told.to(self._model.device)).logits.float()
        return (logits.sigmoid() if self._several else logits.softmax(-1)).tolist()
