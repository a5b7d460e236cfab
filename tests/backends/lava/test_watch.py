"""When silence means that a worker hangs, and what counts as an event."""

from __future__ import annotations

import pytest

from spikec.backends.lava.errors import LavaRunError
from spikec.backends.lava.watch import Event, Limits, Watch, event_in

LIMITS = Limits(start=60.0, stall=20.0, patience=20.0, total=1000.0)


def watch(*events: tuple[str, float]) -> Watch:
    watched = Watch(LIMITS, 0.0)
    for kind, now in events:
        watched.hear(Event(kind, {"done": 4, "total": 9}), now)
    return watched


def test_before_the_first_step_the_start_limit_holds() -> None:
    assert not watch(("hello", 5.0)).lateness(65.0)
    assert "60 s, while the network was built" in watch(("hello", 5.0)).lateness(65.1)


def test_many_processes_may_take_longer_to_start() -> None:
    watched = watch(("hello", 1.0))
    watched.hear(Event("built", {"processes": 200}), 2.0)
    assert not watched.lateness(200.0)
    assert "200 s, in the first step" in watched.lateness(203.0)


def test_afterwards_the_stall_limit_holds() -> None:
    events = (("hello", 1.0), ("built", 2.0), ("started", 3.0), ("progress", 3.5))
    assert not watch(*events).lateness(23.4)
    assert "20 s, after step 4 of 9" in watch(*events).lateness(23.6)


def test_slow_work_makes_patient() -> None:
    events = (("started", 3.0), ("progress", 13.0), ("progress", 13.5))
    assert not watch(*events).lateness(213.0)
    assert "200 s" in watch(*events).lateness(214.0)


def test_the_whole_run_has_a_limit() -> None:
    events = [("started", 0.0), *(("progress", 10.0 * n) for n in range(1, 101))]
    assert "1000 s for the whole run" in watch(*events).lateness(1001.0)


def test_the_next_job_starts_anew() -> None:
    watched = watch(("started", 1.0), ("progress", 11.0), ("stopping", 12.0), ("done", 13.0))
    assert watched.finished == 1
    assert not watched.saw("stopping")
    assert "60 s" in watched.lateness(74.0)


def test_an_event_has_a_kind_and_values() -> None:
    event = event_in(b'{"event": "progress", "done": 3, "type": null}\n')
    assert (event.kind, event.number("done"), event.number("total")) == ("progress", 3, -1)
    assert (event.text("type"), event.text("done")) == ("", "3")


@pytest.mark.parametrize(
    "line", [b"", b"text", b"[1]", b"3", b"{}", b'{"event": "dance"}', b'{"event": []}', b"\xff"]
)
def test_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises(LavaRunError, match="no event"):
        event_in(line)
