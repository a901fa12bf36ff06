"""Dialogues and files of dialogues in short, for the tests of the corpora."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import strategies as st

from cso.corpora import Corpus, read_corpus, read_dialogues
from cso.dialogue import Dialogue, Speaker, Turn
from cso.errors import InputError
from cso.taxonomy import load_taxonomy

ESC8 = load_taxonomy("esc8")
ESCONV8 = load_taxonomy("esconv8")
AFF, EV = "Affirmation", "Emotional Validation"
EXCHANGE = [{"User": "It hurts."}, {"AI Strategy": AFF, "AI": "You are brave."}]
OUR_TURNS = [{"speaker": "seeker", "text": "a"}, {"speaker": "supporter", "text": "b", "strategy": AFF}]


def seeker(text: str) -> Turn:
    return Turn(Speaker.SEEKER, text)


def supporter(text: str, strategy: str | None) -> Turn:
    return Turn(Speaker.SUPPORTER, text, strategy)


def told(labels: str) -> Dialogue:
    """A dialogue in short: u seeker; A, E known, - no, O Others, X unknown strategy. Texts are the turns' numbers."""
    names = {"A": AFF, "E": EV, "-": None, "O": "Others", "X": "Telling Off"}
    turns = (seeker(str(n)) if c == "u" else supporter(str(n), names[c]) for n, c in enumerate(labels, 1))
    return Dialogue("d", tuple(turns))


def extes(*entries: object, description: object = "Lost a job.") -> bytes:
    return json.dumps([{"scene": "Work", "description": description, "content": entries}]).encode()


def ours(*dialogues: object) -> bytes:
    return "\n".join(json.dumps(dialogue) for dialogue in dialogues).encode()


def turns_of(raw: bytes) -> tuple[Turn, ...]:
    (dialogue,) = read_dialogues(raw, source="seeds.json")
    return dialogue.turns


def refusal(raw: bytes, source: str = "seeds.json") -> str:
    with pytest.raises(InputError) as error:
        list(read_dialogues(raw, source=source))
    return str(error.value)


def corpus_of(raw: bytes, tmp_path: Path, name: str = "seeds.json") -> Corpus:
    path = tmp_path / name
    path.write_bytes(raw)
    return read_corpus(path, ESC8)


TURN = st.builds(
    lambda who, text, label: Turn(who, text, label if who is Speaker.SUPPORTER else None),
    st.sampled_from(Speaker),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(str.strip).filter(bool),
    st.sampled_from([AFF, EV, "Clarification", None, None, "Others"]),
)
