"""Taxonomies: what the bundled ones hold, which labels they read, and which files are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cso.errors import InputError
from cso.taxonomy import Speakers, bundled_taxonomies, canonical, dump_taxonomy, load_taxonomy, parse_taxonomy
from cso.transcript import read_reply, system_message, tag

TABLE_8 = {
    "Reflective Statements": "Emotional Validation",
    "Clarification": "Emotional Validation",
    "Emotional Validation": "Emotional Validation",
    "Normalize Experiences": "Emotional Validation",
    "Affirmation": "Affirmation",
    "Offer Hope": "Affirmation",
    "Suggest Options": "Collaborative Planning",
    "Collaborative Planning": "Collaborative Planning",
    "Stress Management": "Collaborative Planning",
    "Promote Self-Care Practices": "Collaborative Planning",
    "Empathetic Statements": "Empathetic Statements",
    "Avoid Judgment and Criticism": "Avoid Judgment and Criticism",
    "Provide Different Perspectives": "Provide Different Perspectives",
    "Reframe Negative Thoughts": "Reframe Negative Thoughts",
    "Share Information": "Share Information",
}

TUTORING = """
name: tutoring
strategies:
  - {name: Ask Back, definition: Answer with a question that leads on.}
  - {name: Worked Example, definition: Show a similar task solved step by step.}
  - {name: Praise Effort, definition: Name the work that was done well.}
maps:
  Socratic Question: Ask Back
"""


def test_three_taxonomies_are_bundled() -> None:
    assert bundled_taxonomies() == ("esc8", "esconv8", "extes15")


def test_esc8_has_the_strategies_of_appendix_d_in_its_order() -> None:
    assert load_taxonomy("esc8").names == (
        "Emotional Validation",
        "Affirmation",
        "Collaborative Planning",
        "Empathetic Statements",
        "Avoid Judgment and Criticism",
        "Provide Different Perspectives",
        "Reframe Negative Thoughts",
        "Share Information",
    )


def test_esconv8_has_the_strategies_of_esconv_in_order() -> None:
    assert load_taxonomy("esconv8").names == (
        "Question",
        "Restatement or Paraphrasing",
        "Reflection of Feelings",
        "Self-disclosure",
        "Affirmation and Reassurance",
        "Providing Suggestions",
        "Information",
        "Others",
    )


def test_esc8_reads_every_label_of_extes_as_table_8_says() -> None:
    esc8, extes15 = load_taxonomy("esc8"), load_taxonomy("extes15")
    assert set(extes15.names) == set(TABLE_8)
    assert {label: esc8.read(label) for label in extes15.names} == TABLE_8
    assert len(esc8.maps) == 15


@pytest.mark.parametrize("name", ["esc8", "extes15", "esconv8"])
def test_a_taxonomy_reads_its_own_names_in_any_case_with_an_abbreviation_behind(name: str) -> None:
    taxonomy = load_taxonomy(name)
    for strategy in taxonomy:
        for label in (strategy.name, strategy.name.upper(), f"  {strategy.name.lower()} (AB) ", f"{strategy.name}[ab]"):
            assert taxonomy.read(label) == strategy.name


@pytest.mark.parametrize(
    ("taxonomy", "label"),
    [
        ("esc8", "Others"),
        ("esc8", "Question"),
        ("esc8", "Emotional"),
        ("esc8", "(EV)"),
        ("esc8", ""),
        ("extes15", "Others"),
        ("esconv8", "Approval and Reassurance"),
        ("esconv8", "Direct Guidance"),
        ("esconv8", "Suggestions"),
    ],
)
def test_a_label_that_is_no_strategy_is_not_guessed(taxonomy: str, label: str) -> None:
    assert load_taxonomy(taxonomy).read(label) is None


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("Questions", "Question"),
        ("Other", "Others"),
        ("Restatement", "Restatement or Paraphrasing"),
        ("Reflection of feelings", "Reflection of Feelings"),
        ("Self disclosure", "Self-disclosure"),
    ],
)
def test_esconv8_reads_the_plain_variants_in_published_files(label: str, name: str) -> None:
    assert load_taxonomy("esconv8").read(label) == name


@pytest.mark.parametrize("name", ["esc8", "extes15", "esconv8"])
def test_a_dumped_taxonomy_is_read_back_as_the_same(name: str) -> None:
    taxonomy = load_taxonomy(name)
    assert parse_taxonomy(dump_taxonomy(taxonomy), source="dump") == taxonomy


def test_a_users_own_file_is_a_taxonomy(tmp_path: Path) -> None:
    path = tmp_path / "tutoring.yaml"
    path.write_text(TUTORING, encoding="utf-8")
    taxonomy = load_taxonomy(path)
    assert taxonomy.names == ("Ask Back", "Worked Example", "Praise Effort")
    assert taxonomy.read("socratic-question (SQ)") == "Ask Back"
    assert taxonomy.strategy("Worked Example").definition == "Show a similar task solved step by step."


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("name: [", "not valid YAML"),
        ("", "expected `name`"),
        ("strategies: [{name: A, definition: a}, {name: B, definition: b}]", "found no `name`"),
        ("name: 3\nstrategies: [{name: A, definition: a}, {name: B, definition: b}]", "found name: 3"),
        ("name: x", "found no `strategies`"),
        ("name: x\nstrategies: [{name: A, definition: a}]", "found strategies: [{'name': 'A', 'definition': 'a'}]"),
        ("name: x\nstrategies: [{name: A, definition: a}, {name: B}]", "strategy 2"),
        (
            "name: x\nstrategies: [{name: A, definition: a}, {name: a (AB), definition: b}]",
            "same name, 'A' and 'a (AB)'",
        ),
        (
            "name: x\noverused: [C]\nstrategies: [{name: A, definition: a}, {name: B, definition: b}]",
            "'C' is no strategy",
        ),
        ("name: x\noverused: A\nstrategies: [{name: A, definition: a}, {name: B, definition: b}]", "found 'A'"),
        (
            "name: x\nmaps: {C: D}\nstrategies: [{name: A, definition: a}, {name: B, definition: b}]",
            "'D', which is no strategy here (A, B)",
        ),
        ("name: x\nmap: {C: A}\nstrategies: [{name: A, definition: a}, {name: B, definition: b}]", "found `map`"),
    ],
)
def test_a_file_that_is_no_taxonomy_is_refused_and_named(text: str, named: str) -> None:
    with pytest.raises(InputError, match=r"mine\.yaml") as error:
        parse_taxonomy(text, source="mine.yaml")
    assert named in str(error.value)


@pytest.mark.parametrize("name", ["Ask (open", "Tell) now", "Wrap\nup", "[X] y", "Ask (a (b))", "A]"])
def test_a_name_that_no_reply_could_be_read_back_with_is_refused(name: str) -> None:
    names = [name, "Ask (open)", "Tell (fact) now"]
    text = json.dumps({"name": "t", "strategies": [{"name": each, "definition": "d"} for each in names]})
    with pytest.raises(InputError, match="strategy 1: expected a name on one line whose brackets are round"):
        parse_taxonomy(text, source="t")
    fine = parse_taxonomy(text.replace(json.dumps(name), '"Plain"'), source="t")
    assert [read_reply(f"{tag(each)} Hello.", fine) for each in fine.names] == [(each, "Hello.") for each in fine.names]


def test_a_trained_model_is_told_the_task_of_its_taxonomy() -> None:
    task = "You teach fractions to children of ten."
    own = parse_taxonomy(f"task: {task}\n{TUTORING}", source="own.yaml")
    assert system_message(own)["content"].startswith(f"{task} At each turn, choose the one strategy")
    assert parse_taxonomy(dump_taxonomy(own), source="dumped") == own
    assert "going through a hard time" in system_message(load_taxonomy("esc8"))["content"]
    with pytest.raises(InputError, match="task: expected a sentence or two"):
        parse_taxonomy(f"task: [teach]\n{TUTORING}", source="own.yaml")


def test_a_taxonomy_names_the_speakers() -> None:
    own = parse_taxonomy(f"speakers: {{seeker: ' Learner ', supporter: Dr. Who}}\n{TUTORING}", source="own.yaml")
    assert own.speakers == Speakers("Learner", "Dr. Who")
    assert parse_taxonomy(dump_taxonomy(own), source="dumped") == own
    half = parse_taxonomy(f"speakers: {{supporter: Tutor}}\n{TUTORING}", source="own.yaml")
    assert half.speakers == Speakers("Seeker", "Tutor")
    assert load_taxonomy("esc8").speakers == Speakers("Seeker", "Supporter")
    assert "speakers" not in dump_taxonomy(load_taxonomy("esc8"))  # dumps of before stay what they were


@pytest.mark.parametrize(
    "given",
    [
        "{supporter: ''}",
        "{supporter: '  '}",
        '{supporter: "Tu\\ntor"}',
        "{supporter: seeker}",
        "{seeker: Tutor, supporter: tutor (T)}",
        "{teacher: Tutor}",
        "{supporter: 3}",
        "Tutor",
        "[Learner, Tutor]",
    ],
)
def test_names_of_speakers_that_cannot_be_told_apart_or_used_are_refused(given: str) -> None:
    with pytest.raises(InputError, match=r"mine\.yaml: speakers: expected names for `seeker` and `supporter`"):
        parse_taxonomy(f"speakers: {given}\n{TUTORING}", source="mine.yaml")


def test_an_unknown_taxonomy_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(InputError, match="esc8, esconv8, extes15"):
        load_taxonomy("esc9")


@given(st.text())
def test_spaces_around_a_label_do_not_matter(label: str) -> None:
    assert canonical(f"  {label}  ") == canonical(label)
