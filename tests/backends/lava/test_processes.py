"""Each kind of process by itself: Lava's own beside ours, and both beside the golden model."""

from __future__ import annotations

import numpy as np
from lava_runs import Task, assert_same, golden, run_in_lava

from spikec.backends.lava.lowering import Processes, lower
from spikec.compiler.connections import Connection, Conv, Dense, Gather, Identity
from spikec.compiler.geometry import factor_shape
from spikec.compiler.populations import AdaFire, Fire, Input, MaxPool, Population, Readout, Shape
from spikec.compiler.program import Program

RANDOM = np.random.default_rng(3)
T = 4


def source(shape: Shape, bits: int) -> Input:
    one = np.ones([1] * len(shape))
    return Input("in", shape, bits, one, one, one * 0)


def silent(shape: Shape) -> AdaFire:
    """Neurons that keep what they receive, up to 2^31."""
    one = np.ones([1] * len(shape))
    return AdaFire("sum", shape, one * (2**31 - 1), one * 0, one * 0, 1, Fire.PLAIN, False, one)


def readout(shape: Shape) -> Readout:
    return Readout("out", shape, np.zeros([1] * len(shape)), np.ones([1] * len(shape)))


def inputs(program: Program, samples: int = 3) -> np.ndarray:
    limit = 2 ** (program.input.bits - 1) - 1
    some = RANDOM.integers(-limit, limit + 1, (samples, *program.input.shape))
    some[0], some[1] = limit, -limit
    return some


def one_factor(shape: Shape, factor: Dense | Conv, exponent: int = 0, bits: int = 8) -> Program:
    """Its sums are seen as potentials of neurons that never fire."""
    result = factor_shape(factor, shape)
    populations: tuple[Population, ...] = (source(shape, bits), silent(result), readout(result))
    connections = (Connection("in", "sum", (factor,), exponent), Connection("sum", "out", ()))
    return Program(populations, connections, T, membrane_bits=32)


def check(programs: list[Program], processes: str, expected: set[str]) -> None:
    """All equal the golden model; the first connection of each becomes an expected process."""
    taken = [lower(program, Processes(processes)).connections[0].process for program in programs]
    assert set(taken) == expected
    tasks = [Task(program, inputs(program), "layer", processes) for program in programs]
    for task, results in zip(tasks, run_in_lava(tasks), strict=True):
        assert_same(results, golden(task), task)


def kernel(*shape: int) -> np.ndarray:
    return RANDOM.integers(-127, 128, shape, dtype=np.int8)


def convolutions() -> list[Program]:
    """Uneven kernels, strides, dilations; groups from one to all channels; the largest sums."""
    full = np.full((1, 57, 3, 3), 127, np.int8)
    return [
        one_factor((3, 5, 7), Conv(kernel(4, 3, 3, 2), (1, 1), (1, 0, 1, 0), (1, 1))),
        one_factor((2, 8, 6), Conv(kernel(3, 2, 3, 3), (2, 1), (2, 1, 2, 1), (1, 1))),
        one_factor((4, 9, 6), Conv(kernel(6, 2, 3, 2), (1, 3), (2, 1, 2, 1), (3, 2), 2)),
        one_factor((5, 4, 4), Conv(kernel(10, 1, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 5)),
        one_factor((127, 3, 2), Conv(kernel(127, 1, 3, 1), (1, 1), (1, 0, 1, 0), (1, 1), 127)),
        one_factor((7, 1, 3), Conv(kernel(2, 7, 1, 1), (1, 1), (0, 0, 0, 0), (1, 1))),
        one_factor((57, 3, 3), Conv(full, (1, 1), (0, 0, 0, 0), (1, 1))),
    ]


def matrices() -> list[Program]:
    """Weights of both signs, of one, few other than 0; exponents; images; the largest sums."""
    positive = np.abs(kernel(5, 12))
    mostly_zero = kernel(6, 20) * (RANDOM.random((6, 20)) < 0.1)
    extreme = RANDOM.choice(np.array([-127, 127], np.int8), (4, 12))
    return [
        *(one_factor((12,), Dense(kernel(5, 12)), exponent) for exponent in (0, 1, 3, 7)),
        *(one_factor((12,), Dense(positive), exponent) for exponent in (0, 2)),
        *(one_factor((3, 4), Dense(-positive), exponent) for exponent in (0, 2)),
        one_factor((3, 2, 2), Dense(extreme), 2, bits=16),
        one_factor((20,), Dense(mostly_zero.astype(np.int8)), 1),
        one_factor((20,), Dense(np.abs(mostly_zero).astype(np.int8))),
        one_factor((258,), Dense(np.full((1, 258), 127, np.int8)), bits=16),
    ]


def test_lavas_conv_computes_our_convolutions() -> None:
    check(convolutions(), "stock", {"conv"})


def test_lavas_dense_and_sparse_compute_our_matrices() -> None:
    check(matrices(), "stock", {"dense", "sparse"})


def test_our_links_compute_the_same() -> None:
    uneven = Conv(kernel(4, 3, 2, 3), (2, 1), (0, 1, 2, 0), (2, 1))
    many = Conv(kernel(258, 2, 1, 3), (1, 1), (0, 1, 0, 1), (1, 1), 129)
    line = Conv(kernel(3, 2, 3), (2,), (2, 0), (1,))
    own = [one_factor((3, 6, 5), uneven, 2), one_factor((258, 1, 3), many)]
    more = [*own, one_factor((2, 7), line)]
    check([*convolutions()[:3], *matrices()[:2], *more], "own", {"link"})


def test_one_population_sends_to_lavas_processes_and_ours_at_once() -> None:
    shape = (2, 3, 4)
    populations: tuple[Population, ...] = (source(shape, 8), silent(shape), readout((5,)))
    connections = (
        Connection("in", "sum", (Conv(kernel(2, 2, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),)),
        Connection("in", "sum", (Identity(kernel(2)),), 3),
        Connection("in", "out", (Dense(kernel(5, 24)),)),
        Connection("sum", "out", (Dense(kernel(5, 24)),)),
    )
    program = Program(populations, connections, T, membrane_bits=32)
    found = [c.process for c in lower(program, Processes.STOCK).connections]
    assert found == ["conv", "link", "link", "dense"]  # the third waits for the other path
    check([program], "stock", {"conv"})


def test_counts_of_a_max_pool_may_fall() -> None:
    shape = (1, 4, 5)
    pool = MaxPool(
        "pool", (1, 2, 3), shape, (2, 2), (2, 2), (0, 0, 0, 1), (1, 1), np.ones((1, 1, 1))
    )
    populations: tuple[Population, ...] = (source(shape, 4), pool, readout((1, 2, 3)))
    turned = Gather(np.arange(20)[::-1].reshape(shape))
    connections = (
        Connection("in", "pool", ()),
        Connection("in", "pool", (turned,)),
        Connection("pool", "out", ()),
    )
    program = Program(populations, connections, T)
    tasks = [
        Task(program, np.full((1, *shape), -7), granularity) for granularity in ("layer", "network")
    ]
    for task, results in zip(tasks, run_in_lava(tasks), strict=True):
        assert results.outputs[:, 0].max() == -14
        assert_same(results, golden(task), task)
