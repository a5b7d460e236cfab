"""Sources whose sums reach the limits of 16 bits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sources
from sources import Source

from spikec.backends.simulator.events.engine import EventEngine
from spikec.backends.simulator.events.fields import Field
from spikec.backends.simulator.events.links import Link, chained
from spikec.backends.simulator.events.machine import Level
from spikec.backends.simulator.events.sums import Part, parts_of
from spikec.compiler.populations import Fire

STEPS = 5


def link_of(source: Source, steps: int = STEPS) -> Link:
    field = Field(source.shape, source.low, source.phi, steps)
    relays, link = chained(source.connection("source"), field, "link")
    assert not relays
    return link


def parts(*sending: Source, narrow: bool = True) -> tuple[Part, ...]:
    return parts_of([link_of(source) for source in sending], narrow=narrow)


def weights_of(total: int, least: int = 1) -> np.ndarray:
    """int8 weights of one sign that add up to a total, at least so many."""
    size = max(least, -(-abs(total) // 127))
    low, more = divmod(abs(total), size)
    values = np.full(size, low) + (np.arange(size) < more)
    return (np.sign(total) * values).astype(np.int8)


def check(sending: Sequence[Source], level: Level | None, *, narrow: bool = True) -> np.ndarray:
    """Currents at extreme and random payloads equal those in int64; the extreme ones."""
    random = np.random.default_rng(0)
    payloads = []
    for source in sending:
        values = random.integers(source.low, source.phi + 1, (3, STEPS, *source.shape))
        values[0, :4:2] = source.phi  # retract fires before it takes back
        values[0, 1::2] = source.low
        values[1, 0], values[1, 1:] = source.phi, np.where(values[1, 1:] > 0, source.phi, 0)
        if source.rule is Fire.RETRACT:
            values[0, 4:], values[2] = np.abs(values[0, 4:]), np.abs(values[2])
        payloads.append(values)
    engine = EventEngine(1, 2**30, level, narrow=narrow)
    run = engine.run(sources.program(sending, STEPS), sources.frames(payloads))
    current = np.diff(run.readout, axis=1, prepend=0)
    np.testing.assert_array_equal(current, sources.sums(sending, payloads))
    return current
