"""What one of several actors may take, so that together they keep to the limits of the run."""

from __future__ import annotations

from cso.settings import LimitSettings


def share(limits: LimitSettings, place: int, of: int) -> LimitSettings:
    """The limits of the actor in `place` (from 0) of so many: whole numbers are split so that they add up.

    What has to be at least 1 is 1 in every share: more actors than requests in flight are more requests in flight.
    """

    def part(whole: int | None) -> int | None:
        return None if whole is None else whole // of + (place < whole % of)

    def some(whole: int | None) -> int | None:
        return None if whole is None else max(1, part(whole) or 0)

    return limits.model_copy(
        update={
            "concurrency": some(limits.concurrency),
            "requests_per_minute": some(limits.requests_per_minute),
            "tokens_per_minute": some(limits.tokens_per_minute),
            "max_calls": part(limits.max_calls),
            "max_tokens": part(limits.max_tokens),
            "max_cost": None if limits.max_cost is None else limits.max_cost / of,
        }
    )


def rest(limits: LimitSettings, *, calls: int, tokens: int, cost: float) -> LimitSettings:
    """What is left of the limits in all after so much was spent."""

    def less(most: float | None, taken: float) -> float | None:
        return None if most is None else max(0, most - taken)

    return limits.model_copy(
        update={
            "max_calls": less(limits.max_calls, calls),
            "max_tokens": less(limits.max_tokens, tokens),
            "max_cost": less(limits.max_cost, cost),
        }
    )
