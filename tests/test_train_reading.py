"""Preferences in the formats they come in, and as token ids by the official chat templates."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AddedToken, PreTrainedTokenizerFast

import cso.train.conversation as conversation_module
from cso.errors import InputError
from cso.taxonomy import load_taxonomy
from cso.train.conversation import token_ids
from cso.train.encode import encode
from cso.train.examples import Example, read_examples
from models_for_tests import FAMILIES, tokenizer_of

SYSTEM = {"role": "system", "content": "Support."}
ASKED = {"role": "user", "content": "I cannot sleep."}
GOOD, BAD = {"role": "assistant", "content": "What keeps you awake?"}, {"role": "assistant", "content": "So what."}
PAIR: dict[str, Any] = {"prompt": [SYSTEM, ASKED], "chosen": [GOOD], "rejected": [BAD]}


def save(path: Path, *rows: Any) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


FORMS: dict[str, tuple[dict[str, Any], list[dict[str, str]]]] = {
    "explicit": (PAIR, [SYSTEM, ASKED]),
    "implicit": ({"chosen": [SYSTEM, ASKED, GOOD], "rejected": [SYSTEM, ASKED, BAD]}, [SYSTEM, ASKED]),
    "UltraFeedback": ({"prompt": "I cannot sleep.", "chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]}, [ASKED]),
    "strings": ({"prompt": ASKED["content"], "chosen": GOOD["content"], "rejected": BAD["content"]}, [ASKED]),
}


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
@pytest.mark.parametrize("form", FORMS)
def test_pairs_are_read_in_each_of_trl_s_forms(form: str, ending: str, tmp_path: Path) -> None:
    row, prompt = FORMS[form]
    (example,) = read_examples(save(tmp_path / f"pairs{ending}", row), "pairs")
    assert list(example.prompt) == prompt
    assert example.replies == (GOOD["content"], BAD["content"])
    assert example.source == f"pairs{ending} row 1"


def test_demonstrations_are_messages_or_prompt_and_completion(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", {"messages": [ASKED, GOOD]}, {"prompt": [ASKED], "completion": [GOOD]})
    one, other = read_examples(path, "demonstrations")
    assert (one.prompt, one.replies) == (other.prompt, other.replies) == ((ASKED,), (GOOD["content"],))


def test_labelled_replies_have_a_truth_value(tmp_path: Path) -> None:
    rows = [{"prompt": [ASKED], "completion": [reply], "label": label} for reply, label in ((GOOD, True), (BAD, False))]
    assert [example.desirable for example in read_examples(save(tmp_path / "a.jsonl", *rows), "labelled")] == [
        True,
        False,
    ]


def with_q(chosen: str, rejected: str, chosen_q: float, rejected_q: float) -> dict[str, Any]:
    return {"prompt": "?", "chosen": chosen, "rejected": rejected, "chosen_q": chosen_q, "rejected_q": rejected_q}


def test_pairs_serve_as_demonstrations_labels_and_rankings(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", with_q("a", "c", 0.9, -0.5), with_q("a", "b", 0.9, 0.1))
    assert [example.replies for example in read_examples(path, "demonstrations")] == [("a",)]
    labelled = [(example.replies[0], example.desirable) for example in read_examples(path, "labelled")]
    assert sorted(labelled) == [("a", True), ("b", False), ("c", False)]
    (ranking,) = read_examples(path, "rankings")
    assert (ranking.replies, ranking.values) == (("a", "b", "c"), (0.9, 0.1, -0.5))


def test_rows_of_one_opening_are_one_tree_where_no_dialogue_is_named(tmp_path: Path) -> None:
    later = {**PAIR, "prompt": [SYSTEM, ASKED, GOOD, {"role": "user", "content": "Work."}]}
    other = {**PAIR, "prompt": [SYSTEM, {"role": "user", "content": "I am alone."}]}
    one, two, three = read_examples(save(tmp_path / "a.jsonl", PAIR, later, other), "pairs")
    assert one.tree == two.tree != three.tree


MISTAKES: dict[str, tuple[list[Any], str]] = {
    "equal replies": ([{**PAIR, "rejected": [GOOD]}], "a.jsonl: row 1: .*chosen and rejected are the same"),
    "an empty reply": ([{**PAIR, "chosen": [{"role": "assistant", "content": " \n"}]}], "empty"),
    "a prompt that ends in a reply": ([{**PAIR, "prompt": [ASKED, GOOD]}], "user message"),
    "a role that is none": ([{**PAIR, "prompt": [{"role": "tool", "content": "1"}]}], "row 1"),
    "a picture": ([{**PAIR, "prompt": [{"role": "user", "content": [{"type": "image"}]}]}], "row 1"),
    "a column missing": ([PAIR, {"prompt": [ASKED], "chosen": [GOOD]}], "row 2"),
    "a weight below zero": ([{**PAIR, "weight": -1}], "weight"),
    "a weight that is no number": ([{**PAIR, "weight": float("nan")}], "weight"),
    "nothing": ([], "no rows"),
    "labelled replies": ([{"prompt": "?", "completion": "a", "label": True}], "found labelled replies"),
    "a list": ([[1]], "row 1"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_cannot_be_trained_on_is_refused_with_its_row(mistake: str, tmp_path: Path) -> None:
    rows, complaint = MISTAKES[mistake]
    with pytest.raises(InputError, match=complaint):
        read_examples(save(tmp_path / "a.jsonl", *rows), "pairs")


def test_many_complaints_are_shortened(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", *({**PAIR, "rejected": [GOOD]} for _ in range(9)))
    with pytest.raises(InputError, match=r"row 1.*row 2.*row 3.*6") as raised:
        read_examples(path, "pairs")
    assert "row 4" not in str(raised.value)


def test_strategies_of_another_taxonomy_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", {**PAIR, "chosen_strategy": "Question"})
    with pytest.raises(InputError, match="another taxonomy"):
        read_examples(path, "pairs", taxonomy=load_taxonomy("esc8"))
    assert read_examples(path, "pairs", taxonomy=load_taxonomy("esconv8"))


@pytest.mark.parametrize("name", ["a.pkl", "a.csv", "a"])
def test_other_files_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04")
    with pytest.raises(InputError, match=r"expected a .jsonl or .parquet file"):
        read_examples(tmp_path / name, "pairs")


def conversation(turns: int, *, system: bool = True) -> Example:
    """Turns of three words, so that what is left of them can be told."""
    said = [
        {"role": "user" if place % 2 == 0 else "assistant", "content": f"turn {place} said"}
        for place in range(2 * turns - 1)
    ]
    return Example(tuple([SYSTEM] * system + said), ("I hear you.", "Never mind."), "tree", "test row 1")


@pytest.mark.parametrize("family", FAMILIES)
def test_prompt_and_reply_together_are_what_the_template_makes_of_the_conversation(family: str) -> None:
    tokenizer = tokenizer_of(family)
    given = conversation(4, system=family != "gemma2")
    (encoded,) = encode(tokenizer, [given], max_length=9999, max_target_length=999).encoded
    for reply, ids in zip(given.replies, encoded.replies, strict=True):
        messages = [*given.prompt, {"role": "assistant", "content": reply}]
        whole: Any = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True)
        assert encoded.prompt + ids == whole["input_ids"]
        assert reply in tokenizer.decode(ids)
        assert "said" not in tokenizer.decode(ids)


@pytest.mark.parametrize("family", FAMILIES)
def test_beginnings_of_replies_follow_what_a_model_is_given_to_answer(family: str) -> None:
    tokenizer = tokenizer_of(family)
    asked = conversation(4, system=family != "gemma2")
    tags = replace(asked, replies=("(Affirmation)", "(Share Information)"))
    (encoded,) = encode(tokenizer, [tags], max_length=9999, max_target_length=999, closed=False).encoded
    given = str(tokenizer.apply_chat_template(list(asked.prompt), tokenize=False, add_generation_prompt=True))
    for reply, ids in zip(tags.replies, encoded.replies, strict=True):
        assert encoded.prompt + ids == tokenizer(given + reply, add_special_tokens=False)["input_ids"]
        assert str(tokenizer.decode(encoded.prompt + ids)).endswith(reply), "nothing closes the turn"


SPOKEN = st.lists(
    st.sampled_from(["Hello", " ", "\n", "<|eot_id|>", "<|im_start|>", "<bos>", "<", "I am sad. "]), max_size=12
)


@given(st.lists(SPOKEN.map("".join), max_size=5))
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.parametrize("family", FAMILIES)
def test_texts_are_tokenised_as_they_are_as_wholes(family: str, texts: list[str]) -> None:
    tokenizer = tokenizer_of(family)
    whole = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    assert token_ids(tokenizer, texts) == whole


@pytest.mark.parametrize("looks", ["right", "left", "at the text's beginning"])
def test_what_is_around_special_tokens_is_tokenised_as_in_the_whole_text(looks: str) -> None:
    """One strips what is around a special token; one, as SentencePiece does, marks where a text begins."""
    inner = Tokenizer(models.WordLevel({"<s>": 0, "a": 1, "▁a": 2, " ": 3, "?": 4, "▁": 5}, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first" if looks.startswith("at") else "never")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="?")
    tokenizer.add_special_tokens(
        {"additional_special_tokens": [AddedToken("<s>", rstrip=looks == "right", lstrip=looks == "left")]}
    )
    texts = ["a<s> a<s>a", "<s>a", " a <s> a", "a", "", "<s><s>"]
    assert token_ids(tokenizer, texts) == [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]


def test_a_special_token_inside_a_longer_token_separates_nothing() -> None:
    tokenizer = deepcopy(tokenizer_of("llama"))
    tokenizer.add_tokens([AddedToken("<<|eot_id|>>", normalized=False, special=False)])
    texts = ["a<<|eot_id|>>b", "and one that is longer<|eot_id|>"]
    assert token_ids(tokenizer, texts) == [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]


def test_texts_whose_pieces_do_not_make_up_the_whole_are_tokenised_as_wholes() -> None:
    class Counting:
        """A text's one token is its length, so that pieces tell nothing of it."""

        added_tokens_decoder = {0: AddedToken("<s>", normalized=False, special=True)}  # noqa: RUF012

        def __call__(self, texts: list[str], **_: object) -> dict[str, list[list[int]]]:
            return {"input_ids": [[len(text)] for text in texts]}

    counting: Any = Counting()
    assert token_ids(counting, ["a<s>", "aaa<s>b"]) == [[4], [7]]


def test_what_texts_share_is_tokenised_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, given = tokenizer_of("llama"), list[str]()

    def spy(tokenizer: Any, texts: list[str]) -> Any:
        given.extend(texts)
        return ids(tokenizer, texts)

    ids = conversation_module._ids  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(conversation_module, "_ids", spy)
    opening = "<|begin_of_text|>" + "I am sad. " * 50
    texts = [f"{opening}<|eot_id|>{number}" for number in range(20)]
    token_ids(tokenizer, texts)
    assert sum("sad" in text for text in given) == 2, "once, and in the text that is tokenised whole to be sure"


def test_a_template_without_system_role_gets_it_in_the_first_user_message() -> None:
    encoding = encode(tokenizer_of("gemma2"), [conversation(2)], max_length=9999, max_target_length=999)
    assert encoding.system_folded
    assert "Support.\n\nturn 0 said" in tokenizer_of("gemma2").decode(encoding.encoded[0].prompt)
    assert any("no system message" in note for note in encoding.notes())


@pytest.mark.parametrize("code", ["{{ 1 / 0 }}", "{{ messages[9].content.x }}", "{% for each in tools %}{% endfor %}"])
def test_whatever_a_template_raises_is_told_of_the_row(code: str) -> None:
    broken = deepcopy(tokenizer_of("llama"))
    broken.chat_template = f"{code}{broken.chat_template}"
    with pytest.raises(InputError, match="test row 1: the model's chat template refuses the conversation"):
        encode(broken, [Example((ASKED,), ("Yes.", "No."), "tree", "test row 1")], max_length=999, max_target_length=99)


def test_a_template_that_writes_the_date_always_writes_the_same() -> None:
    dated = deepcopy(tokenizer_of("llama"))
    dated.chat_template = f"{{{{ strftime_now('%Y-%m-%d %H:%M:%S.%f') }}}}{dated.chat_template}"
    given = [Example((ASKED,), ("Yes.", "No."), "tree", "test row 1")]
    (encoded,) = encode(dated, given, max_length=999, max_target_length=99).encoded
    assert "2025-03-07 00:00:00" in dated.decode(encoded.prompt)


def test_an_opening_by_the_assistant_is_left_out_where_the_template_refuses_it() -> None:
    opened = Example((GOOD, ASKED), ("I hear you.", "Never mind."), "tree", "test row 1")
    encoding = encode(tokenizer_of("gemma2"), [opened], max_length=9999, max_target_length=999)
    assert encoding.opening_dropped == 1
    assert "awake" not in tokenizer_of("gemma2").decode(encoding.encoded[0].prompt)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 6), st.integers(60, 400), st.sampled_from(sorted(FAMILIES)))
def test_trimmed_histories_keep_the_newest_turns_and_whole_replies(turns: int, max_length: int, family: str) -> None:
    tokenizer = tokenizer_of(family)
    given = conversation(turns)
    whole = encode(tokenizer, [given], max_length=9999, max_target_length=999).encoded[0]
    longest = len(whole.prompt) + max(map(len, whole.replies))
    try:
        encoding = encode(tokenizer, [given], max_length=max_length, max_target_length=999)
    except InputError:
        assert longest > max_length
        return
    (encoded,) = encoding.encoded
    text = tokenizer.decode(encoded.prompt)
    assert len(encoded.prompt) + max(map(len, encoded.replies)) <= max_length
    assert [tokenizer.decode(ids) for ids in encoded.replies] == [tokenizer.decode(ids) for ids in whole.replies]
    assert "Support." in text
    kept = [place for place in range(2 * turns - 1) if f"turn {place} said" in text]
    assert kept == list(range(kept[0], 2 * turns - 1))
    assert kept[0] % 2 == 0  # a user message comes first
    assert encoding.trimmed == (longest > max_length) == (kept[0] > 0)


def test_replies_that_are_too_long_are_left_out_and_counted() -> None:
    long = Example((ASKED,), ("I hear you. " * 50, "Never mind."), "tree", "test row 2")
    encoding = encode(tokenizer_of("llama"), [conversation(1), long], max_length=9999, max_target_length=40)
    assert (len(encoding.encoded), encoding.too_long) == (1, 1)
    with pytest.raises(InputError, match=r"train.packing.max_target_length"):
        encode(tokenizer_of("llama"), [long], max_length=9999, max_target_length=40)
