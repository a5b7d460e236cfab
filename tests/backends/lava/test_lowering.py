"""Depths and delays of a program in time, and which Lava process a connection becomes."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_programs import tiny_program

from spikec.backends.lava.lowering import Lowered, Processes, lower
from spikec.compiler.connections import Connection, Conv, Dense, Factor
from spikec.compiler.populations import AdaFire, Fire, Input, Population, Readout, Shape
from spikec.compiler.program import Program


def source(shape: Shape, bits: int = 4) -> Input:
    one = np.ones([1] * len(shape))
    return Input("in", shape, bits, one, one, one * 0)


def neurons(name: str, shape: Shape, *, windowed: bool = False, phi: int = 1) -> AdaFire:
    one = np.ones([1] * len(shape))
    return AdaFire(name, shape, one * 4, one * 0, one * 0, phi, Fire.PLAIN, windowed, one)


def skipping(*, windowed: bool) -> Lowered:
    """in → a → b → out, and past them in → b, in → out, a → out; T = 5."""
    populations = (
        source((3,)),
        neurons("a", (3,), windowed=windowed),
        neurons("b", (3,)),
        Readout("out", (3,), np.zeros(1), np.ones(1)),
    )
    joined = ("in a", "a b", "in b", "b out", "in out", "a out")
    connections = tuple(Connection(*ends.split(), ()) for ends in joined)
    return lower(Program(populations, connections, timesteps=5))


def depths(lowered: Lowered) -> dict[str, int]:
    return {p.population.name: p.depth for p in lowered.populations}


def delays(lowered: Lowered) -> dict[str, int]:
    return {c.connection.name: c.delay for c in lowered.connections}


def test_depth_is_the_longest_path_and_shorter_ones_get_delays() -> None:
    lowered = skipping(windowed=False)
    assert depths(lowered) == {"in": 0, "a": 1, "b": 2, "out": 3}
    assert delays(lowered) == {
        "in→a": 1, "a→b": 1, "in→b": 2, "b→out": 1, "in→out": 3, "a→out": 2,
    }  # fmt: skip


def test_a_windowed_hop_takes_all_steps_more() -> None:
    lowered = skipping(windowed=True)
    assert depths(lowered) == {"in": 0, "a": 1, "b": 7, "out": 8}
    assert delays(lowered)["a→b"] == 1
    assert delays(lowered)["in→b"] == 7
    assert delays(lowered)["a→out"] == 2


def test_a_run_takes_all_steps_of_all_samples_and_the_depth() -> None:
    assert skipping(windowed=False).steps(1, ()) == 5 + 3
    assert skipping(windowed=False).steps(7, ("a",)) == 7 * 5 + 3


def test_a_run_lasts_until_the_windowed_have_fired() -> None:
    shape = (3,)
    populations = (
        source(shape),
        Readout("out", shape, np.zeros(1), np.ones(1)),
    )
    lowered = lower(Program(populations, (Connection("in", "out", ()),), timesteps=5))
    assert lowered.steps(2, ()) == 11
    assert skipping(windowed=True).steps(1, ("a",)) == 5 + 8


def test_counters_are_the_inlet_of_a_max_pool() -> None:
    lowered = lower(tiny_program())
    into_pool = next(c for c in lowered.connections if c.connection.sink == "pool")
    assert (into_pool.source_shape, into_pool.sink_shape) == ((2, 4, 4), (2, 4, 4))


def chosen(
    shape: Shape, factors: tuple[Factor, ...], sink: Shape, exponent: int = 0, **choice: object
) -> str:
    """The process of a single connection."""
    bits, processes = choice.get("bits", 4), choice.get("processes", Processes.STOCK)
    assert isinstance(bits, int)
    assert isinstance(processes, Processes)
    populations: tuple[Population, ...] = (
        source(shape, bits),
        neurons("a", sink),
        Readout("out", sink, np.zeros([1] * len(sink)), np.ones([1] * len(sink))),
    )
    connections = (Connection("in", "a", factors, exponent), Connection("a", "out", ()))
    return lower(Program(populations, connections, timesteps=2), processes).connections[0].process


def dense(outputs: int, inputs: int, weight: int = 127) -> Dense:
    return Dense(np.full((outputs, inputs), weight, np.int8))


def conv(out: int, channels: int, groups: int = 1, pads: Shape = (1, 1, 1, 1)) -> Conv:
    weights = np.full((out, channels // groups, 3, 3), 127, np.int8)
    return Conv(weights, (1, 1), pads, (1, 1), groups)


def test_a_matrix_is_lavas_dense_and_a_sparse_one_its_sparse() -> None:
    assert chosen((4,), (dense(3, 4),), (3,)) == "dense"
    assert chosen((2, 2, 1), (dense(3, 4),), (3,)) == "dense"
    assert chosen((9,), (Dense(np.eye(9, dtype=np.int8)),), (9,)) == "sparse"


def test_a_dense_whose_doubled_sums_could_pass_32_bits_is_ours() -> None:
    # Payloads up to 32,767 and weights of 127: 258 of them stay below 2^30, 259 do not.
    assert chosen((258,), (dense(1, 258),), (1,), bits=16) == "dense"
    assert chosen((259,), (dense(1, 259),), (1,), bits=16) == "link"


def test_a_convolution_is_lavas_within_its_limits() -> None:
    assert chosen((2, 4, 5), (conv(3, 2),), (3, 4, 5)) == "conv"
    assert chosen((127, 3, 3), (conv(127, 127, 127),), (127, 3, 3)) == "conv"


@pytest.mark.parametrize(
    ("shape", "factor", "sink", "exponent"),
    [
        ((128, 3, 3), conv(128, 128, 128), (128, 3, 3), 0),
        ((2, 4, 5), conv(3, 2), (3, 4, 5), 1),
        ((2, 4, 5), conv(3, 2, pads=(1, 1, 0, 1)), (3, 3, 5), 0),
        ((2, 5), Conv(np.ones((3, 2, 3), np.int8), (1,), (1, 1), (1,)), (3, 5), 0),
        ((2, 4, 4), Conv(np.ones((1, 2, 1, 1), np.int8), (200, 1), (0,) * 4, (1, 1)), (1, 1, 4), 0),
    ],
    ids=["128 groups", "exponent", "uneven pads", "one-dimensional", "stride beyond 8 bits"],
)
def test_a_convolution_that_lava_would_get_wrong_is_ours(
    shape: Shape, factor: Conv, sink: Shape, exponent: int
) -> None:
    assert chosen(shape, (factor,), sink, exponent) == "link"


def test_a_convolution_whose_sums_could_pass_24_bits_is_ours() -> None:
    # 9 taps, 127 each, payloads up to 127: 57 channels stay below 2^23, 58 do not.
    assert chosen((57, 3, 3), (conv(1, 57),), (1, 3, 3), bits=8) == "conv"
    assert chosen((58, 3, 3), (conv(1, 58),), (1, 3, 3), bits=8) == "link"


def test_compositions_and_delayed_connections_are_ours() -> None:
    assert chosen((2, 4, 5), (conv(3, 2), dense(3, 60)), (3,)) == "link"
    lowered = lower(skipping(windowed=False).program, Processes.STOCK)
    assert {c.process for c in lowered.connections} == {"link"}


def test_auto_leaves_slow_convolutions_to_us_and_own_all() -> None:
    assert chosen((16, 3, 3), (conv(16, 16),), (16, 3, 3), processes=Processes.AUTO) == "conv"
    assert chosen((16, 3, 3), (conv(17, 16),), (17, 3, 3), processes=Processes.AUTO) == "link"
    assert chosen((4,), (dense(3, 4),), (3,), processes=Processes.OWN) == "link"
