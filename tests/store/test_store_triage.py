"""What answers mean, how long to wait, and how the lines that a server refuses are found: any answers, any batch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.store.bisect import deliver
from twin.store.triage import Accepted, Busy, Held, Patience, Refused, Verdict, retry_after, verdict

NOW = datetime(2026, 11, 25, 7, 0, tzinfo=UTC)


@pytest.mark.parametrize(("status", "kind"), [
    (204, Accepted), (400, Refused), (413, Refused), (422, Refused), (408, Busy), (425, Busy), (429, Busy),
    (500, Busy), (502, Busy), (503, Busy), (504, Busy), (599, Busy), (401, Held), (403, Held), (404, Held),
    (200, Held), (301, Held), (302, Held), (405, Held), (415, Held),
])  # fmt: skip
def test_each_status_means_one_thing(status: int, kind: type) -> None:
    assert isinstance(verdict(status, "why", {}, NOW), kind)


def test_an_unknown_database_holds_only_that_database() -> None:
    assert [verdict(s, "", {}, NOW) for s in (401, 404)] == [
        Held("the token is refused (401: )"), Held("no such database or address (404: )", scope="database")
    ]  # fmt: skip


@pytest.mark.parametrize(("reason", "expired"), [
    ("partial write: points beyond retention policy dropped=12", 12),
    ("partial write: field type conflict: input field ... dropped=1", 0),
    ("unable to parse 'retention policy'", 0),
])  # fmt: skip
def test_lines_too_old_for_the_server_are_told_apart(reason: str, expired: int) -> None:
    assert verdict(400, reason, {}, NOW) == Refused(reason, expired=expired)


@pytest.mark.parametrize(("text", "seconds"), [
    ("120", 120.0), ("0.5", 0.5), ("", 0.0), ("-3", 0.0), ("soon", 0.0), ("inf", 0.0), ("nan", 0.0), ("9" * 400, 0.0),
    ("Wed, 25 Nov 2026 07:01:30 GMT", 90.0), ("Wed, 25 Nov 2026 06:00:00 GMT", 0.0),
    ("Wed, 25 Nov 2026 07:01:30", 90.0), ("Wed, 99 Nov 2026 07:01:30 GMT", 0.0),
])  # fmt: skip
def test_retry_after_in_both_forms(text: str, seconds: float) -> None:
    assert retry_after(text, NOW) == seconds


@given(text=st.text())
def test_any_retry_after_is_a_pause(text: str) -> None:
    assert 0 <= retry_after(text, NOW) < float("inf")


@given(
    failures=st.integers(1, 10_000),
    asked=st.floats(0, 1e9),
    chance=st.floats(0, 1, exclude_max=True),
    longest=st.floats(0.5, 600),
)
def test_a_pause_is_never_too_short_nor_too_long(failures: int, asked: float, chance: float, longest: float) -> None:
    patience = Patience(longest=longest)
    pause = patience.pause(failures, asked, chance)
    assert min(asked, patience.asked_at_most) <= pause <= max(longest, patience.asked_at_most)
    assert pause >= 0.5 * min(patience.first, longest)
    assert patience.pause(failures + 1, 0, chance) >= patience.pause(failures, 0, chance)


# ---- which lines ----


class Stub:
    """A server that knows which lines are bad; takes the good ones of a bad request, or none of them."""

    def __init__(self, bad: Sequence[str], *, partial: bool, most: int = 10**9) -> None:
        self.bad, self.partial, self.most = set(bad), partial, most
        self.stored: list[str] = []
        self.requests = 0

    def send(self, lines: Sequence[str]) -> Verdict:
        self.requests += 1
        if len(lines) > self.most:
            return Refused("too large", too_large=True)
        good = [line for line in lines if line not in self.bad]
        if len(good) == len(lines) or self.partial:
            self.stored += good
        return Accepted() if len(good) == len(lines) else Refused(f"bad: {next(x for x in lines if x in self.bad)}")


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[str], list[str], int]:
    lines = [str(i) for i in range(draw(st.integers(1, 200)))]
    bad = draw(st.lists(st.sampled_from(lines), unique=True, max_size=len(lines)))
    return lines, bad, draw(st.integers(1, 50))


@given(batch=batches(), partial=st.booleans(), most=st.integers(1, 300))
def test_exactly_the_bad_lines_are_found(batch: tuple[list[str], list[str], int], partial: bool, most: int) -> None:
    """Whatever the server does with the others of a request, and however little it takes at once."""
    lines, bad, size = batch
    server = Stub(bad, partial=partial, most=most)
    requests = [range(low, min(low + size, len(lines))) for low in range(0, len(lines), size)]
    done = deliver(lines, server.send, requests=requests, limit=1000)
    assert [lines[i] for i, _ in done.refused] == [line for line in lines if line in server.bad]
    assert all(reason == f"bad: {lines[i]}" for i, reason in done.refused)
    assert set(server.stored) == set(lines) - server.bad
    assert done.accepted == len(lines) - len(bad)
    assert done.held is None


def test_the_last_of_a_repeated_sample_is_stored_last() -> None:
    """Order survives halving: the server overwrites, so the newest must come last."""
    server = Stub(["bad"], partial=True)
    lines = ["a=1", "bad", "a=2"]
    deliver(lines, server.send, requests=[range(3)], limit=100)
    assert [line for line in server.stored if line.startswith("a")][-1] == "a=2"


def test_one_bad_line_among_ten_thousand_costs_a_few_requests() -> None:
    server = Stub(["7777"], partial=False)
    lines = [str(i) for i in range(10_000)]
    done = deliver(lines, server.send, requests=[range(5000), range(5000, 10_000)], limit=100)
    assert (done.refused, done.accepted) == ([(7777, "bad: 7777")], 9_999)
    assert server.requests < 30


@pytest.mark.parametrize("partial", [True, False])
def test_when_every_line_is_refused_all_is_held(partial: bool) -> None:
    lines = [str(i) for i in range(5000)]
    server = Stub(lines, partial=partial)
    done = deliver(lines, server.send, requests=[range(5000)], limit=100)
    assert isinstance(done.held, Held)
    assert done.held.scope == "kind"
    assert "every line is refused" in done.held.reason
    assert server.requests < 300


def test_many_bad_lines_in_a_row_are_found_while_others_are_accepted() -> None:
    lines = [str(i) for i in range(1000)]
    server = Stub(lines[:400], partial=False)
    done = deliver(lines, server.send, requests=[range(1000)], limit=100)
    assert (len(done.refused), done.accepted, done.held) == (400, 600, None)


def test_refused_lines_are_counted_over_portions() -> None:
    server = Stub(["x"], partial=False)
    first = deliver(["x"], server.send, requests=[range(1)], limit=3, in_a_row=1)
    assert (first.refused_in_a_row, first.held) == (2, None)
    assert isinstance(deliver(["x"], server.send, requests=[range(1)], limit=3, in_a_row=2).held, Held)


@pytest.mark.parametrize("answer", [Held("token"), Busy("away")])
def test_whoever_must_act_stops_it_at_once(answer: Verdict) -> None:
    sent: list[int] = []

    def send(lines: Sequence[str]) -> Verdict:
        sent.append(len(lines))
        return answer

    done = deliver(["a", "b"], send, requests=[range(1), range(1, 2)], limit=3)
    assert (done.held, sent) == (answer, [1])


def test_lines_too_old_for_the_server_are_counted_at_once() -> None:
    done = deliver(["a", "b"], lambda lines: Refused("old", expired=len(lines)), requests=[range(2)], limit=1)
    assert (done.expired, done.refused, done.held) == (2, [], None)
