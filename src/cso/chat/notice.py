"""What is said before anybody talks to a model, and where to turn in a crisis."""

from __future__ import annotations

import re

from cso.taxonomy import Taxonomy

NOTICE = (
    "For research, and not for people in distress. A language model makes the",
    "words: they can be wrong or harmful. It is no clinician, and nobody is alerted.",
)
OF_ANY_TASK = ("Research software: a language model speaks. It can be wrong or harmful.",)

CRISIS = (
    "In danger, or thinking of harming yourself? Please turn to a person now:",
    "  emergency     112 in the European Union, 911 in the US and Canada, 999 in",
    "                the UK; elsewhere your country's own number",
    "  crisis line   988 in the US and Canada, by call or text",
    "  elsewhere     https://findahelpline.com lists helplines by country",
)

# Evident words of harming oneself, and no others: whoever says them sees CRISIS before the reply. It is a courtesy. No
# risk is detected by it: most ways of saying so are not listed, and that CRISIS is not shown means nothing. It costs
# little where it is not needed, so words about others and words that deny it count as well. What is said as often of
# everyday things is left out ("cut myself" while cooking, "can't go on", "take my life in hand").
_EVIDENT = re.compile(
    r"\b(?:"
    r"suicid(?:e|al)"
    r"|kill(?:ing)? myself"
    r"|end(?:ing)? my (?:own )?life|tak(?:e|ing) my own life"
    r"|(?:harm|harming|hurting|cutting|to hurt) myself"
    r"|self[- ]?harm(?:ing|ed)?"
    r"|(?:want|wanted|wish) to die|wanna die"
    r"|wish i (?:was|were) dead|better off dead"
    r"|(?:do not|don't|dont) want to (?:live|be alive)(?: any ?more)?(?=\W*$|\W*[.!?,;\n])"
    r"|(?:no|any) reason to live"
    r"|overdos(?:e|ed|ing)"
    r")\b",
    re.IGNORECASE,
)


def notice(taxonomy: Taxonomy, address: str | None) -> tuple[str, ...]:
    """What a conversation begins with; where to turn in a crisis is said at once only where it is about support."""
    told, crisis = (NOTICE, CRISIS) if taxonomy.supports else (OF_ANY_TASK, ())
    return (*told, where_words_go(address), *crisis, "")


def where_words_go(address: str | None) -> str:
    """What becomes of what is typed: it goes to an endpoint, or nowhere."""
    if address is None:
        return "What you type stays on this machine."
    return f"What you type is sent to {address}."


def speaks_of_self_harm(text: str) -> bool:
    """Whether the text has one of a few evident English words. False says nothing about whoever wrote it."""
    return _EVIDENT.search(" ".join(text.replace("’", "'").split())) is not None
