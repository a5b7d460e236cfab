"""Watch: what a worker has said, and when its silence means that it hangs. Knows no process."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from spikec.backends.lava.errors import LavaRunError

PROTOCOL = 1
"""Version of the job folder and of the events."""

KINDS = ("hello", "built", "started", "progress", "stopping", "done", "error")


_SECONDS_PER_PROCESS = 1.0
"""Forking one takes a tenth of that on a very busy machine."""


@dataclass(frozen=True)
class Limits:
    """How long a worker may take, in seconds.

    Attributes:
        start: Silence until the first step has run; a second per process of Lava, if longer.
        stall: Silence afterwards; ``patience`` times the slowest piece of work so far, if longer.
        patience: That factor.
        total: Of the whole run.
    """

    start: float = 60.0
    stall: float = 20.0
    patience: float = 20.0
    total: float = math.inf


@dataclass(frozen=True)
class Event:
    """A line of a worker.

    Attributes:
        kind: One of ``KINDS``.
        values: The rest of it.
    """

    kind: str
    values: Mapping[str, object]

    def number(self, name: str) -> int:
        """A value that is a whole number; −1 if it is none."""
        value = self.values.get(name)
        return value if type(value) is int else -1

    def text(self, name: str) -> str:
        """A value as text; empty if there is none."""
        value = self.values.get(name)
        return "" if value is None else str(value)


def event_in(line: bytes) -> Event:
    """The event that a line holds.

    Raises:
        LavaRunError: It holds none.
    """
    try:
        content = json.loads(line)
        kind = content.pop("event")
    except (ValueError, TypeError, KeyError, AttributeError):
        kind, content = "", {}
    if kind not in KINDS:
        problem = f"the worker wrote {line[:80]!r}, which is no event of its protocol"
        raise LavaRunError(problem, hint="is this the interpreter of `spikec lava setup`?")
    return Event(kind, content)


class Watch:
    """The state of a worker, by its events.

    Attributes:
        limits: When to give up.
        finished: Jobs that are done.

    Args:
        limits: When to give up.
        now: Seconds of any clock that never goes back; the run starts now.
    """

    def __init__(self, limits: Limits, now: float) -> None:
        self.limits = limits
        self._begin = self._heard = now
        self._slowest = 0.0
        self._processes = 0
        self._last = Event("", {})
        self._seen: set[str] = set()
        self.finished = 0

    def hear(self, event: Event, now: float) -> None:
        """Take note of an event."""
        if event.kind == "built":
            self._processes = event.number("processes")
        if event.kind == "progress":
            self._slowest = max(self._slowest, now - self._heard)
        self._heard = now
        self._last = event
        self._seen.add(event.kind)
        if event.kind == "done":  # the next job starts anew
            self.finished += 1
            self._slowest = 0.0
            self._seen.clear()

    def saw(self, kind: str) -> bool:
        """Whether an event of this kind has come from the job that runs."""
        return kind in self._seen

    @property
    def stage(self) -> str:
        """Where the run stands, in words."""
        match self._last.kind:
            case "":
                return "before Lava was imported"
            case "hello" | "done":
                return "while the network was built"
            case "built":
                return "in the first step"
            case "progress":
                return f"after step {self._last.number('done')} of {self._last.number('total')}"
            case "stopping":
                return "while Lava was stopped"
            case _:
                return "after the first step"

    def lateness(self, now: float) -> str:
        """Which limit has passed, and where; empty if none has."""
        silence, limit = now - self._heard, self._limit()
        if silence > limit:
            return f"nothing was heard for {limit:.3g} s, {self.stage}"
        if now - self._begin > self.limits.total:
            return f"the limit of {self.limits.total:g} s for the whole run passed {self.stage}"
        return ""

    def _limit(self) -> float:
        if not self.saw("started"):
            return max(self.limits.start, _SECONDS_PER_PROCESS * self._processes)
        return max(self.limits.stall, self.limits.patience * self._slowest)
