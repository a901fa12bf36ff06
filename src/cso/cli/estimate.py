"""`cso search --dry-run`: what a search would ask, found by running it with a cast that is a pure function."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console

from cso.casting import llm_play, prices
from cso.dialogue import Dialogue
from cso.llm import Answers, Completion, Request, ScriptedChat
from cso.search import grow_forest
from cso.settings import ROLES, Role, Settings, settings_from
from cso.taxonomy import Taxonomy
from cso.tree import Tree

SAMPLE = 5  # dialogues that are tried out; the others are taken to be like them


@dataclass(slots=True)
class _Counted:
    """A scripted role, and what it was asked."""

    chat: ScriptedChat
    calls: Counter[str] = field(default_factory=Counter[str])

    async def __call__(self, request: Request) -> Completion:
        completion = await self.chat(request)
        self.calls += Counter(calls=1, prompt=completion.prompt_tokens, completion=completion.completion_tokens)
        return completion


async def estimate(screen: Console, seeds: Sequence[Dialogue], settings: Settings, taxonomy: Taxonomy) -> None:
    """Print calls, tokens and cost by role, as they would be for all `seeds`."""
    sample = seeds[:: max(1, len(seeds) // SAMPLE)][:SAMPLE]
    roles: dict[Role, _Counted] = {
        role: _Counted(ScriptedChat(role=role, supporter=taxonomy.speakers.supporter)) for role in ROLES
    }
    if settings.cast.kind == "corpus":
        settings = settings_from({"cast": {"default": {"model": "none"}}}, source="estimate", base=settings)
    play = llm_play(settings, taxonomy, {role: [chat] for role, chat in roles.items()})
    grown: list[Tree] = []
    await grow_forest(sample, lambda seed: play(seed, Answers()), taxonomy, settings.search, grown=grown.append)
    share = len(seeds) / len(sample)
    known = prices(settings.cast) if settings.cast.kind == "llm" else {}
    cost = 0.0
    unknown: list[str] = []  # models without a price
    totals: Counter[str] = Counter()
    dialogues = f"{len(seeds)} dialogue{'s' if len(seeds) != 1 else ''}"
    screen.print(f"Estimate for {dialogues}, from {len(sample)} tried out with made-up answers:")
    played = settings.cast.policy.plays if settings.cast.policy.model is not None else ()
    for role, asked in roles.items():
        calls = Counter({key: round(value * share) for key, value in asked.calls.items()})
        totals += calls
        if role in played:
            screen.print(f"  {role}: {calls['calls']:,} calls of {settings.cast.policy.model}, in this process")
            continue
        model = settings.cast.player(role).model or ""
        price = known.get(model)
        if price is None:
            unknown.append(model)
        else:
            cost += (calls["prompt"] * price[0] + calls["completion"] * price[1]) / 1e6
        screen.print(f"  {role}: {_amount(calls)}")
    if settings.cast.kind != "llm":
        screen.print(f"  in all: {_amount(totals)}")
        return
    screen.print(f"  in all: {_amount(totals)}, {_money(cost, unknown, len(roles) - len(played))}")
    if settings.limits.max_cost is not None and unknown:
        screen.print(
            f"The search would not start: limits.max_cost needs the price of {_listed(unknown)}, which is not known; "
            f"set `price` of its roles (such as --set cast.default.price=[0.15,0.60]), or leave max_cost out"
        )


def _money(cost: float, unknown: Sequence[str], roles: int) -> str:
    """`unknown` has the model of each role without a price."""
    if not unknown:
        return f"about ${cost:.2f}"
    if len(unknown) == roles:
        return "cost unknown (no price of the model is known)"
    return f"at least ${cost:.2f} (no price is known of {_listed(unknown)})"


def _listed(models: Sequence[str]) -> str:
    return ", ".join(sorted(set(models)))


def _amount(calls: Counter[str]) -> str:
    return f"{calls['calls']:,} calls, {calls['prompt']:,} tokens in, {calls['completion']:,} out"
