from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from random_programs import Case, cases
from tiny_programs import CONNECTIONS, POPULATIONS, tiny_program, with_connection, with_population

from spikec.backends.reference.connections import carried
from spikec.compiler.bounds import accumulations, current_bounds, payload_ranges
from spikec.compiler.connections import Connection, Conv, ConvTranspose, Dense, SumPool
from spikec.compiler.errors import BoundError
from spikec.compiler.populations import Fire, Shape

quick = examples(60)


def matrix(connection: Connection, shape: Shape) -> tuple[np.ndarray, Shape]:
    """The connection as (cells of the result, cells of the source), and the result's shape."""
    size = math.prod(shape)
    columns = carried(connection, np.eye(size, dtype=np.int64).reshape(size, *shape))
    return columns.reshape(size, -1).T, columns.shape[1:]


def extremes(connection: Connection, shape: Shape, low: int, high: int) -> tuple[list, list]:
    """Smallest and largest result per channel, from the matrix."""
    weights, target = matrix(connection, shape)
    lows = np.minimum(weights * low, weights * high).sum(axis=1).reshape(target[0], -1)
    highs = np.maximum(weights * low, weights * high).sum(axis=1).reshape(target[0], -1)
    return lows.min(axis=1).tolist(), highs.max(axis=1).tolist()


@quick
@given(cases())
def test_no_current_leaves_its_bounds(case: Case) -> None:
    program = case.program
    bounds, ranges = current_bounds(program), payload_ranges(program)
    for population in program.populations[1:]:
        total_low: np.ndarray | int = 0
        total_high: np.ndarray | int = 0
        for connection in program.into(population.name):
            source = program.population(connection.source)
            low, high = extremes(connection, source.shape, *ranges[source.name])
            total_low, total_high = total_low + np.array(low), total_high + np.array(high)
        assert (bounds[population.name][0] <= total_low).all()
        assert (bounds[population.name][1] >= total_high).all()


RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    "factors",
    [
        (Dense(RANDOM.integers(-9, 9, (3, 32))),),
        (Conv(RANDOM.integers(-9, 9, (4, 2, 2, 2)), (1, 1), (0, 0, 0, 0), (1, 1)),),
        (Conv(RANDOM.integers(-9, 9, (4, 1, 2, 2)), (1, 1), (1, 1, 1, 1), (2, 2), 2),),
        (ConvTranspose(RANDOM.integers(-9, 9, (2, 3, 3, 2)), (2, 1), (0,) * 4, (0, 0), (1, 2)),),
        (ConvTranspose(RANDOM.integers(-9, 9, (2, 2, 2, 2)), (3, 2), (0,) * 4, (0, 0), (1, 1), 2),),
        (
            SumPool((2, 2), (2, 2), (0, 0, 0, 0), (1, 1)),
            Conv(RANDOM.integers(-9, 9, (3, 2, 2, 2)), (1, 1), (0, 0, 0, 0), (1, 1)),
        ),
    ],
)
@pytest.mark.parametrize("payload", [(0, 1), (-3, 3), (-2, 7)])
def test_bounds_are_reached(factors: tuple, payload: tuple[int, int]) -> None:
    connection = Connection("a", "b", factors)
    interval = accumulations(connection, (2, 4, 4), payload)[-1]
    low, high = extremes(connection, (2, 4, 4), *payload)
    assert (interval.low.tolist(), interval.high.tolist()) == (low, high)


def test_payload_ranges_follow_rule_and_width() -> None:
    plain, signed = tiny_program(), with_population("hidden", fire=Fire.SIGNED)
    expected = {"image": (-127, 127), "hidden": (0, 3), "pool": (0, 3), "scores": (0, 0)}
    assert payload_ranges(plain) == expected
    assert payload_ranges(signed)["pool"] == (-3, 3)


def test_currents_of_the_tiny_program_are_the_sums_of_its_weights() -> None:
    low, high = current_bounds(tiny_program())["scores"]
    # Each of two channels sums four payloads of 0…3; exponent 1; rows (1, −2), (3, 4), (0, 6).
    assert low.tolist() == [2 * 12 * -2, 0, 0]
    assert high.tolist() == [2 * 12 * 1, 2 * 12 * 7, 2 * 12 * 6]


def test_a_current_of_32_bits_is_refused_by_name() -> None:
    # The largest row sums to 7 · 12 = 84: shifted by 24 it is 1.4e9, with φ = 6 twice that.
    assert with_connection("pool→scores", exponent=24).timesteps == 4
    shifted = tuple(replace(c, exponent=24) if c.sink == "scores" else c for c in CONNECTIONS)
    wider = tuple(replace(p, phi=6) if p.name == "hidden" else p for p in POPULATIONS)
    with pytest.raises(BoundError) as caught:
        tiny_program(connections=shifted, populations=wider)
    assert caught.value.where.node == "scores"
    assert str(2 * 84 * 2**24) in str(caught.value)


def test_the_limit_is_exact() -> None:
    shape, weights = (1, 1, 1), np.array([[127]])
    image = replace(POPULATIONS[0], shape=shape, bits=16)
    scores = replace(POPULATIONS[-1], shape=(1,), bias=np.zeros(1))
    for exponent, fits in ((9, True), (10, False)):  # 127 · 32,767 · 2^9 = 2,130,641,408
        top = Connection("image", "scores", (Dense(weights),), exponent)
        parts = {"populations": (image, scores), "connections": (top,)}
        if fits:
            assert tiny_program(**parts).readout == scores
        else:
            with pytest.raises(BoundError):
                tiny_program(**parts)
