from __future__ import annotations

import numpy as np
from examples import examples
from hypothesis import given
from random_programs import Case, cases

from spikec.backends.reference.connections import carried
from spikec.backends.simulator.events.fields import Field
from spikec.backends.simulator.events.links import chained
from spikec.backends.simulator.events.sums import Width, parts_of
from spikec.compiler.bounds import payload_ranges
from spikec.compiler.connections import Connection
from spikec.compiler.populations import Shape


def matrix(connection: Connection, shape: Shape) -> np.ndarray:
    """Σ of the connection for every single payload of 1, (output cells, C, pixels)."""
    size = int(np.prod(shape))
    singles = np.eye(size, dtype=np.int64).reshape(size, *shape)
    columns = carried(connection, singles).reshape(size, -1)
    return columns.T.reshape(-1, shape[0], size // shape[0])


@examples(60)
@given(cases())
def test_no_payloads_take_sums_of_16_bits_beyond_them(case: Case) -> None:
    program, ranges = case.program, payload_ranges(case.program)
    for sink in program.populations[1:]:
        found = [
            (c, chained(c, Field(program.population(c.source).shape, *ranges[c.source], 2), "x"))
            for c in program.into(sink.name)
        ]
        known = {id(link): c for c, (relays, link) in found if not relays}
        highest: np.ndarray | int = 0
        lowest: np.ndarray | int = 0
        for part in parts_of([link for _, (_, link) in found]):
            connection = known.get(id(part.link))
            if part.width is not Width.NARROW or connection is None:
                continue
            columns = matrix(connection, part.link.field.shape) >> connection.exponent
            columns = columns[:, slice(*part.channels)].reshape(len(columns), -1)
            ends = [columns * limit for limit in (0, *ranges[connection.source])]
            highest = highest + np.max(ends, axis=0).sum(axis=1)
            lowest = lowest + np.min(ends, axis=0).sum(axis=1)
            assert np.max(highest) < 2**15
            assert np.min(lowest) >= -(2**15)
            if part.spill:
                highest = lowest = 0
