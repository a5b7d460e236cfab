"""Narrow layers, whose rows are read word by word, against the reference."""

from __future__ import annotations

import numpy as np
import pytest
import sources
from machine_code import LEVELS
from sources import Source

from spikec.backends.simulator.events.engine import EventEngine
from spikec.backends.simulator.events.flat import FlatScatter
from spikec.backends.simulator.events.machine import Level
from spikec.compiler.connections import Conv, ConvTranspose, Factor, SumPool

STEPS, IMAGES = 3, 4


def is_flat(source: Source) -> bool:
    """Whether the plan reads this source word by word."""
    plan = EventEngine(1, 2**30).prepare(sources.program([source], STEPS), frozenset())
    return any(isinstance(call.kernel, FlatScatter) for call in plan.layers[-1].phases["step"])


def check(source: Source, level: Level | None, density: float = 0.3) -> None:
    """Equal at every step; the last row ends with the memory of its step."""
    random = np.random.default_rng(source.cells)
    shape = (IMAGES, STEPS, *source.shape)
    payloads = (random.random(shape) < density).astype(np.int64)
    payloads[0] = 1
    payloads[1, 0], payloads[1, 1] = 1, 0
    engine = EventEngine(1, 2**30, level)
    run = engine.run(sources.program([source], STEPS), sources.frames([payloads]))
    current = np.diff(run.readout, axis=1, prepend=0)
    np.testing.assert_array_equal(current, sources.sums([source], [payloads]))


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape[0]).integers(-127, 128, shape).astype(np.int8)


@LEVELS
@pytest.mark.parametrize("channels", [1, 8, 9, 16, 17, 32])
@pytest.mark.parametrize("width", [1, 3, 8, 9, 21])
def test_rows_of_any_width_are_read_to_their_end(
    channels: int, width: int, level: Level | None
) -> None:
    conv = Conv(weights(7, channels, 3, 3), (1, 1), (1,) * 4, (1, 1))
    check(Source((channels, 5, width), 1, (conv,)), level)
    check(Source((channels, 1, width), 1, (conv,)), level, 1)


@LEVELS
@pytest.mark.parametrize("channels", [5, 8, 16])
@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize("pad", [0, 1])
def test_pixels_that_take_turns_find_their_own_taps(
    channels: int, stride: int, pad: int, level: Level | None
) -> None:
    conv = Conv(weights(9, channels, 3, 3), (stride, stride), (pad, 0, pad, 1), (1, 1))
    for width in (7, 16, 19):
        check(Source((channels, 6, width), 1, (conv,)), level)


@LEVELS
@pytest.mark.parametrize("outputs", [3, 64, 70, 130])
def test_narrow_sources_may_have_wide_sinks(outputs: int, level: Level | None) -> None:
    factors: list[tuple[Factor, ...]] = [
        (Conv(weights(outputs, 8, 1, 1), (1, 1), (0,) * 4, (1, 1)),),
        (Conv(weights(outputs, 8, 1, 3), (1, 1), (0, 2, 0, 0), (1, 2)),),
        (ConvTranspose(weights(8, outputs, 2, 2), (2, 2), (0,) * 4, (1, 0), (1, 1)),),
        (
            SumPool((2, 2), (2, 2), (0,) * 4, (1, 1)),
            Conv(weights(outputs, 8, 2, 2), (1, 1), (0,) * 4, (1, 1)),
        ),
    ]
    for each in factors:
        for exponent in (0, 4):
            check(Source((8, 6, 10), 1, each, exponent=exponent), level)


@LEVELS
@pytest.mark.parametrize("narrow", [True, False])
def test_narrow_layers_take_sums_of_either_width(narrow: bool, level: Level | None) -> None:
    source = Source((16, 5, 9), 1, (Conv(weights(16, 16, 3, 3), (1, 1), (1,) * 4, (1, 1)),))
    engine = EventEngine(1, 2**30, level, narrow=narrow)
    payloads = np.random.default_rng(0).integers(0, 2, (IMAGES, STEPS, *source.shape))
    run = engine.run(sources.program([source], STEPS), sources.frames([payloads]))
    current = np.diff(run.readout, axis=1, prepend=0)
    np.testing.assert_array_equal(current, sources.sums([source], [payloads]))


def test_a_plan_reads_narrow_rows_word_by_word() -> None:
    assert is_flat(Source((16, 5, 5), 1, (Conv(weights(8, 16, 3, 3), (1, 1), (1,) * 4, (1, 1)),)))
    assert is_flat(Source((8, 5, 5), 1, (Conv(weights(8, 8, 1, 1), (4, 4), (0,) * 4, (1, 1)),)))
    assert not is_flat(Source((8, 5, 5), 2, (Conv(weights(8, 8, 1, 1), (1, 1), (0,) * 4, (1, 1)),)))
    assert not is_flat(
        Source((40, 5, 5), 1, (Conv(weights(8, 40, 1, 1), (1, 1), (0,) * 4, (1, 1)),))
    )
