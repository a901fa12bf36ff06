"""When a failed request is sent again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cso.llm.retry import Patience, retry_after

NOON = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "Tue, 01 Jan 2030 12:00:30 GMT"}, 30),
        ({"retry-after": "Tue, 01 Jan 2030 12:00:30 -0000"}, 30),
        ({"retry-after": "Tue, 01 Jan 2030 11:00:00 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Tue, 99 Foo 2030"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "x", "retry-after": "2"}, 2),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
    ],
)
def test_the_wait_that_a_response_asks_for(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=NOON) == seconds


def test_waits_double_up_to_the_longest_and_are_spread_by_at_most_half() -> None:
    patience = Patience(first_wait=1, longest_wait=10)
    for failures, most in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (500, 10)]:
        waits = [patience.wait(failures, None) for _ in range(50)]
        assert most / 2 <= min(waits) < max(waits) <= most


def test_what_the_server_asks_for_is_never_undercut() -> None:
    assert all(30 < Patience(first_wait=1).wait(1, 30) <= 31 for _ in range(50))
    assert Patience().wait(1, 0) > 0
