"""Fan-outs, against the paths that the reference counts."""

from __future__ import annotations

import math

import numpy as np
from examples import examples
from hypothesis import given
from random_programs import Case, cases

from spikec.backends.reference.connections import paths
from spikec.compiler.connections import Connection, Conv
from spikec.compiler.fan_outs import fan_out


@examples(60)
@given(cases())
def test_fan_out_is_the_number_of_paths_of_a_single_payload(case: Case) -> None:
    shapes = {population.name: population.shape for population in case.program.populations}
    for connection in case.program.connections:
        shape = shapes[connection.source]
        size = math.prod(shape)
        singles = np.eye(size, dtype=np.int64).reshape(size, *shape)
        for nonzero in (False, True):
            expected = paths(connection, singles, nonzero=nonzero).reshape(shape)
            np.testing.assert_array_equal(fan_out(connection, shape, nonzero=nonzero), expected)


def test_fan_out_of_a_3_by_3_convolution_shrinks_at_the_border() -> None:
    conv = Conv(np.ones((5, 1, 3, 3)), (1, 1), (1, 1, 1, 1), (1, 1))
    taps = np.array([2, 3, 2])
    expected = 5 * np.outer(taps, taps)[None]
    np.testing.assert_array_equal(fan_out(Connection("a", "b", (conv,)), (1, 3, 3)), expected)


def test_convolutions_in_groups_count_the_weights_of_their_own_group() -> None:
    kernels = np.ones((4, 3, 2, 3), np.int8)
    kernels[0, 0, 0, 0] = kernels[3, 2, 1, 2] = 0
    conv = Conv(kernels, (2, 1), (0, 1, 1, 1), (1, 1), 2)
    connection = Connection("a", "b", (conv, conv_of_ones(4)))
    for chain in (connection, Connection("a", "b", (conv,))):
        singles = np.eye(6 * 5 * 4, dtype=np.int64).reshape(-1, 6, 5, 4)
        for nonzero in (False, True):
            expected = paths(chain, singles, nonzero=nonzero).reshape(6, 5, 4)
            np.testing.assert_array_equal(fan_out(chain, (6, 5, 4), nonzero=nonzero), expected)


def conv_of_ones(channels: int) -> Conv:
    return Conv(np.ones((3, channels, 2, 2), np.int8), (1, 1), (1, 0, 0, 1), (1, 1))
