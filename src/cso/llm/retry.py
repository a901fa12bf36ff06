"""When a failed request is sent again: how long to wait, and for how long to go on."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to bear with an endpoint, in seconds."""

    timeout: float = 60  # for one attempt, from the first byte sent to the last received
    total: float = 180  # from the first attempt; no attempt begins later
    stranger: float = 5  # instead of `total`, for connections to an endpoint that has never been heard of
    first_wait: float = 0.5
    longest_wait: float = 15

    def wait(self, failures: int, asked_for: float | None) -> float:
        """The pause after so many failures in a row: doubled each time, and spread so that not all come back at once.

        What the server `asked_for` is never undercut.
        """
        backoff = min(self.longest_wait, self.first_wait * 2 ** min(failures - 1, 30))
        spread = random.uniform(0.5, 1)
        return backoff * spread if asked_for is None else asked_for + self.first_wait * spread


def retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Seconds that a response asks to wait for: `Retry-After` as a number or a date, `retry-after-ms`; else None."""
    if (milliseconds := _seconds(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    if value is None:
        return None
    if (seconds := _seconds(value)) is not None:
        return seconds
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value or "nan")
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
