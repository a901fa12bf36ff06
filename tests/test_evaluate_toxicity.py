"""Toxicity: means and differences over dialogues, and what each detector reads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from cso.errors import InputError, RequestError
from cso.evaluate.detectors import Guard, Known, Moderation, Words, read_verdict
from cso.evaluate.toxicity import Passage, Rating, toxicity
from cso.llm.chat import Completion, Request


def rate(detector: Words | Known | Moderation | Guard, *texts: str) -> list[Rating | None]:
    return asyncio.run(detector(texts))


def chat(reply: Callable[[str], str]) -> Callable[[Request], object]:
    async def answered(request: Request) -> Completion:
        return Completion(reply(request.messages[0].content))

    return answered


async def by_length(texts: Sequence[str]) -> list[Rating | None]:
    def rating(text: str) -> Rating:
        return {"toxicity": len(text) / 10, "threat": 0.5} if "!" in text else {"toxicity": len(text) / 10}

    return [None if text == "?" else rating(text) for text in texts]


def test_means_are_over_texts_each_counted_once_a_dialogue() -> None:
    groups = {
        "chosen": [Passage("a", "x"), Passage("a", "x"), Passage("b", "x")],
        "rejected": [Passage("a", "xxx"), Passage("b", "x!"), Passage("b", "?")],
        "seekers": [],
    }
    found = asyncio.run(toxicity(groups, by_length, draws=50))
    assert found.texts == {"chosen": 2, "rejected": 2}
    assert found.unread == 1
    assert found.groups["chosen"]["toxicity"].value == pytest.approx(0.1)
    assert found.groups["rejected"]["toxicity"].value == pytest.approx(0.25)  # the one that was not read is left out
    assert found.groups["rejected"]["threat"].value == pytest.approx(0.25)  # an attribute that is not named is 0
    assert found.rejected_less_chosen["toxicity"].value == pytest.approx(0.15)


def test_intervals_and_the_test_take_dialogues_whole() -> None:
    """A hundred texts of two dialogues say no more about chance than two texts."""
    texts = {"rejected": [Passage("a", "x"), *(Passage("b", f"{number:03}") for number in range(100))]}
    texts["chosen"] = [Passage("a", "x"), Passage("b", "x")]
    found = asyncio.run(toxicity(texts, by_length, draws=400))
    assert found.groups["rejected"]["toxicity"].low == pytest.approx(0.1)
    assert found.groups["rejected"]["toxicity"].high == pytest.approx(0.3)
    assert found.rejected_less_chosen["toxicity"].p == pytest.approx(1, abs=0.01)


def test_nothing_to_rate_and_nothing_rated_are_refused() -> None:
    with pytest.raises(InputError, match="found none"):
        asyncio.run(toxicity({"chosen": []}, by_length))
    with pytest.raises(InputError, match="could read none"):
        asyncio.run(toxicity({"chosen": [Passage("a", "?")]}, by_length))


def test_the_bundled_words_are_found_as_whole_words_in_any_case() -> None:
    clean, rude, quiet, phrase = rate(
        Words(), "I am here for you, and passes the classic test.", "You IDIOT.", "", "Or else you'll see; man up!"
    )
    nothing: dict[str, float] = dict.fromkeys(("toxicity", "profanity", "insult", "threat", "identity_attack"), 0)
    assert clean == quiet == nothing
    assert rude == nothing | {"toxicity": 1, "insult": 1}
    assert phrase == nothing | {"toxicity": 1, "threat": 1, "identity_attack": 1}


def test_a_list_of_ones_own_is_read_and_a_wrong_one_named(tmp_path: Path) -> None:
    own = tmp_path / "de.yaml"
    own.write_text("insult: [Dummkopf, blöde Kuh]\n")
    assert rate(Words(own), "Du blöde Kuh", "Kühe")[0] == {"toxicity": 1, "insult": 1}
    own.write_text("toxicity: [Gift]\ninsult: [Dummkopf]\n")
    assert rate(Words(own), "Du Dummkopf")[0] == {"toxicity": 1, "insult": 1}, "`toxicity` is any of them"
    for wrong in ("insult: Dummkopf", "[a, b]", "insult: []", "{}", "a: ["):
        own.write_text(wrong)
        with pytest.raises(InputError, match=r"de\.yaml"):
            Words(own)
    with pytest.raises(InputError, match="expected one of en"):
        Words("klingon")


def test_scores_of_others_are_by_text(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_text('{"text": "a", "scores": {"TOXICITY": 0.25}}\n\n{"text": "b", "scores": {"TOXICITY": 1}}\n')
    assert rate(Known(path), "b", "a") == [{"TOXICITY": 1}, {"TOXICITY": 0.25}]
    with pytest.raises(InputError, match="found none of 1 of them, such as 'c'"):
        rate(Known(path), "a", "c")
    for wrong in ('{"text": "a"}', '{"text": "a", "scores": {"t": 1.5}}', '{"text": "a", "scores": {}}', "a,b"):
        path.write_text(wrong)
        with pytest.raises(InputError, match=r"scores\.jsonl:1"):
            Known(path)


def test_moderation_gives_its_categories_and_what_it_refuses_is_unread() -> None:
    def reply(text: str) -> str:
        if text == "no":
            raise RequestError("refused")
        return json.dumps({"harassment": 0.5, "self-harm": 0.125}) if text == "yes" else "{}[]"

    assert rate(Moderation(chat(reply), "m"), "yes", "no", "noise") == [  # type: ignore[arg-type]
        {"harassment": 0.5, "self-harm": 0.125},
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ("safe", {"unsafe": 0}),
        ("\n\nunsafe\nS10,S11", {"unsafe": 1, "S10": 1, "S11": 1}),
        ("Safety: Controversial\nCategories: None", {"unsafe": 0.5}),
        ("Safety: Safe\nCategories: None (S1)", {"unsafe": 0}),
    ],
)
def test_verdicts_of_guard_models_are_read(text: str, rating: Rating) -> None:
    assert read_verdict(text) == rating
    assert rate(Guard(chat(lambda _: text), "g"), "hello") == [rating]  # type: ignore[arg-type]


def test_a_guard_without_a_verdict_is_unread() -> None:
    assert rate(Guard(chat(lambda _: "I cannot say."), "g"), "hello") == [None]  # type: ignore[arg-type]


def test_a_classifier_gives_a_rating_for_each_label(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from cso.evaluate.classifier import Classifier
    from small_training import save_model

    tokenizer = transformers.AutoTokenizer.from_pretrained(save_model(tmp_path / "words"))
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        id2label={0: "toxic", 1: "insult"},
        problem_type="multi_label_classification",
        pad_token_id=tokenizer.pad_token_id,
    )
    model = transformers.BertForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    texts = ["a longer text of several words", "short", *["filler words"] * 40]
    found = asyncio.run(Classifier(str(tmp_path / "bert"))(texts))
    for text, rating in zip(texts, found, strict=True):
        logits = model(**tokenizer(text, return_tensors="pt")).logits[0]
        assert rating == pytest.approx(dict(zip(("toxic", "insult"), logits.sigmoid().tolist(), strict=True)), abs=1e-5)
    with pytest.raises(InputError, match="expected a text classifier"):
        Classifier(str(tmp_path / "nowhere"))
