"""Tables of fan-outs, against the reference's count of paths."""

from __future__ import annotations

import math

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from random_factors import RandomFactors

from spikec.backends.reference.connections import paths
from spikec.backends.simulator.events.fan_outs import fan_outs
from spikec.backends.simulator.events.fields import Field
from spikec.backends.simulator.events.machine import MachineCodeError
from spikec.backends.simulator.events.tally import RUN
from spikec.compiler.connections import Connection, Conv, Dense
from spikec.compiler.populations import Shape


def spread(field: Field, connections: tuple[Connection, ...]) -> np.ndarray:
    """The tables' columns for every neuron, (columns, C, pixels), from runs and classes."""
    tables = fan_outs(field, connections)
    members = {
        first + k * step: kept
        for first, count, kept, step in tables.runs.tolist()
        for k in range(count)
    }
    groups = range(field.pixels // tables.together)
    assert sorted(members) == list(groups)
    assert tables.runs[:, 1].sum() == len(groups)
    assert field.pixels % tables.together == 0
    assert tables.runs[:, 1].max() <= RUN
    assert tables.runs[:, 2].max() < len(tables.table)
    assert tables.columns == 1 + 2 * len(connections)
    classes = [members[group] for group in groups]
    cells = tables.table[classes].reshape(
        len(groups), tables.columns, tables.together, field.padded
    )
    pixels = cells.transpose(1, 3, 0, 2).reshape(tables.columns, field.padded, field.pixels)
    assert not pixels[:, field.channels :].any()
    return pixels[:, : field.channels]


@examples(60)
@given(
    st.data(), st.sampled_from([(5,), (2, 9), (3, 5, 4), (9, 4, 1), (2, 8, 8), (1, 16), (17, 4, 4)])
)
def test_every_neuron_counts_for_the_paths_that_it_has(data: st.DataObject, shape: Shape) -> None:
    factors = RandomFactors(data.draw, ample=True)
    connections = tuple(Connection("a", f"b{index}", factors.chain(shape)[0]) for index in range(2))
    found = spread(Field(shape, 0, 1, 2), connections)
    for low, high in ((0, 1), (-4, 3), (0, 200)):
        most = fan_outs(Field(shape, low, high, 2), connections).most
        assert most == int(found.sum(axis=(1, 2)).max()) * max(-low, high)
    size = math.prod(shape)
    singles = np.eye(size, dtype=np.int64).reshape(size, *shape)
    assert (found[0] == 1).all()
    for index, connection in enumerate(connections):
        every, live = (paths(connection, singles, nonzero=nonzero) for nonzero in (False, True))
        np.testing.assert_array_equal(found[1 + 2 * index].ravel(), every)
        np.testing.assert_array_equal(found[2 + 2 * index].ravel(), every - live)


def test_pixels_with_equal_fan_outs_share_a_class() -> None:
    kernel = np.ones((4, 2, 3, 3), np.int8)
    conv = Connection("a", "b", (Conv(kernel, (1, 1), (1,) * 4, (1, 1)),))
    field = Field((2, 40, 50), 0, 1, 2)
    assert len(fan_outs(field, (conv,)).table) < 40
    assert len(fan_outs(field, ()).table) == 1
    assert (spread(field, (conv,))[1, 0].reshape(40, 50)[1:-1, 1:-1] == 36).all()


@pytest.mark.parametrize(("channels", "size"), [(16, 32), (64, 8), (64, 16), (5, 9)])
def test_edges_of_a_map_are_runs_down_its_columns(channels: int, size: int) -> None:
    kernel = np.ones((4, channels, 3, 3), np.int8)
    conv = Connection("a", "b", (Conv(kernel, (1, 1), (1,) * 4, (1, 1)),))
    tables = fan_outs(Field((channels, size, size), 0, 1, 2), (conv,))
    per_row = size // tables.together
    # Corners, edges, and the columns of what is inside.
    assert len(tables.runs) <= 8 + per_row - 2 or tables.together == 1


def test_a_fan_out_beyond_31_bits_is_refused() -> None:
    """Three dense layers of 1300 neurons: 1300³ paths."""
    dense = Dense(np.ones((1300, 1300), np.int8))
    factors = (Dense(np.ones((1300, 1), np.int8)), dense, dense)
    with pytest.raises(MachineCodeError, match="2197000000 neurons"):
        fan_outs(Field((1,), 0, 1, 2), (Connection("a", "b", factors),))
