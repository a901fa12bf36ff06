"""A dialogue as a trained model sees it, and a reply as it says it.

The system message lists the strategies; seeker turns are user messages, supporter turns assistant messages that open
with the strategy in brackets. The strategy is part of the completion: choosing it is what is trained.
"""

from __future__ import annotations

import re

from cso.dialogue import Dialogue, Speaker, Turn
from cso.taxonomy import LABEL, Taxonomy

_TAG = re.compile(rf"\s*[*_\s]*[(\[](?P<label>{LABEL})[)\]][*_:\s]*")

Message = dict[str, str]  # "role": system | user | assistant, "content": text


def system_message(taxonomy: Taxonomy) -> Message:
    """Who the model is, which strategies it has, and in what form it answers."""
    strategies = "\n".join(f"- {strategy.name}: {strategy.definition}" for strategy in taxonomy)
    return {
        "role": "system",
        "content": (
            f"{taxonomy.task} At each turn, choose the one strategy that fits the moment best, then reply by it.\n\n"
            f"Strategies:\n{strategies}\n\n"
            "Answer in the form: (<strategy>) <reply>"
        ),
    }


def utterance(turn: Turn) -> Message:
    """One turn as a message: `(<strategy>) <reply>` for a supporter whose strategy is known."""
    if turn.speaker is Speaker.SEEKER:
        return {"role": "user", "content": turn.text}
    return {"role": "assistant", "content": f"{tag(turn.strategy)} {turn.text}" if turn.strategy else turn.text}


def prompt(history: Dialogue, taxonomy: Taxonomy) -> list[Message]:
    """All that the model sees before it replies: the system message and every turn so far."""
    return [system_message(taxonomy), *(utterance(turn) for turn in history.turns)]


def tag(strategy: str) -> str:
    """What a reply by a strategy opens with."""
    return f"({strategy})"


def opening(text: str, taxonomy: Taxonomy | None = None) -> str | None:
    """The tag that a reply opens with, as `tag` writes it; None where it opens with none, or none of `taxonomy`."""
    found = _TAG.match(text)
    strategy = found and (taxonomy.read(found["label"]) if taxonomy else found["label"].strip())
    return tag(strategy) if strategy else None


def read_reply(text: str, taxonomy: Taxonomy) -> tuple[str | None, str]:
    """The strategy that a reply opens with, in round or square brackets, and its words without it.

    None where there is none, or none of the taxonomy: nothing is guessed, and the words are the whole text then.
    """
    found = _TAG.match(text)
    strategy = taxonomy.read(found["label"]) if found else None
    return (strategy, text[found.end() :].strip()) if found and strategy else (None, text.strip())
