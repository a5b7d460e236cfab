"""Sums of 16 bits: which are proved to fit, and what the machine code makes of their limits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from limits import STEPS, check, link_of, parts, weights_of
from machine_code import LEVELS
from sources import Source

from spikec.backends.simulator.events.machine import Level
from spikec.backends.simulator.events.sums import GROUPS, Part, Width, parts_of
from spikec.compiler.connections import (
    Conv,
    ConvTranspose,
    Dense,
    Factor,
    GlobalSum,
    Identity,
    SumPool,
)
from spikec.compiler.populations import Fire

LIMITS = pytest.mark.parametrize("bound", [32767, 32768, -32768, -32769])


def shown(found: Sequence[Part]) -> list[tuple[Width, tuple[int, int], bool]]:
    return [(part.width, part.channels, part.spill) for part in found]


def fits(bound: int) -> bool:
    return -(2**15) <= bound < 2**15


def reaching(bound: int, phi: int, pixels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Weights of a source whose φ meets each of them so many times, and of one with φ = 1."""
    rest = abs(bound) % (phi * pixels)
    sign = np.sign(bound)
    return weights_of(sign * ((abs(bound) - rest) // (phi * pixels))), weights_of(sign * rest)


@LEVELS
@LIMITS
@pytest.mark.parametrize("phi", [1, 2, 3, 127, 128, 255])
def test_a_dense_layer_at_the_limit(bound: int, phi: int, level: Level | None) -> None:
    first, second = (w[None] for w in reaching(bound, phi))
    sending = [Source((first.shape[1],), phi, (Dense(first),))]
    if second.any():
        sending.append(Source((second.shape[1],), 1, (Dense(second),)))
    found = parts(*sending)
    assert {part.width for part in found} == {Width.NARROW}
    assert any(part.spill for part in found) == (not fits(bound))
    assert check(sending, level)[0, 0, 0] == bound


@LIMITS
@pytest.mark.parametrize("rule", [Fire.SIGNED, Fire.RETRACT])
def test_payloads_of_both_signs_reach_both_limits(bound: int, rule: Fire) -> None:
    sending = [Source((len(w),), 1, (Dense(w[None]),), rule) for w in (weights_of(bound),)]
    # The sum reaches −bound as well, and 32768 does not fit.
    assert any(part.spill for part in parts(*sending)) == (abs(bound) > 32767)
    current = check(sending, None)[0, :, 0]
    assert current.tolist() == [bound, -bound, bound, -bound, current[4]]


@LEVELS
@LIMITS
@pytest.mark.parametrize("phi", [1, 7])
def test_taps_of_a_convolution_add_up(bound: int, phi: int, level: Level | None) -> None:
    first, second = reaching(bound, phi)
    kernel = np.zeros((1, 40 * 9), np.int8)
    kernel[0, : len(first)] = first
    conv = Conv(kernel.reshape(1, 40, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1))
    sending = [Source((40, 4, 5), phi, (conv,))]
    if second.any():
        one = Conv(second.reshape(1, -1, 1, 1), (1, 1), (0,) * 4, (1, 1))
        sending.append(Source((len(second), 4, 5), 1, (one,)))
    assert any(part.spill for part in parts(*sending)) == (not fits(bound))
    assert check(sending, level)[0, 0, 0, 1, 1] == bound


@LEVELS
@LIMITS
@pytest.mark.parametrize("apart", [True, False])
def test_pixels_of_a_fused_pool_share_a_weight(
    bound: int, apart: bool, level: Level | None
) -> None:
    first, second = reaching(bound, 2, pixels=6)
    pool = SumPool((2, 3), (2, 3), (0,) * 4, (1, 1))
    conv = Conv(first.reshape(1, -1, 1, 1), (1, 1), (0,) * 4, (1, 1))
    factors: tuple[Factor, ...] = (pool, conv) if apart else (GlobalSum(), Dense(first[None]))
    shape = (len(first), 4, 6) if apart else (len(first), 2, 3)
    sending = [Source(shape, 2, factors)]
    if second.any():
        rest = Dense(second[None])
        one = Conv(second.reshape(1, -1, 1, 1), (1, 1), (0,) * 4, (1, 1))
        goal = (len(second), 2, 2) if apart else (len(second),)
        sending.append(Source(goal, 1, (one,) if apart else (rest,)))
    links = [link_of(source) for source in sending]
    assert links[0].multiplicity == 6
    assert any(part.spill for part in parts_of(links)) == (not fits(bound))
    assert (check(sending, level)[0, 0] == bound).all()


@LIMITS
def test_a_transposed_convolution_counts_the_taps_that_meet(bound: int) -> None:
    """Stride 2 and kernel 3: a cell meets four corner taps, two of an edge, or the centre."""
    corners = weights_of(bound, least=8)
    size = -(-len(corners) // 4)
    kernel = np.full((size, 1, 3, 3), np.sign(bound) * 127, np.int8)
    kernel[:, 0, 1, :] = kernel[:, 0, :, 1] = 0
    flat = np.zeros(size * 4, np.int8)
    flat[: len(corners)] = corners
    kernel[:, 0, ::2, ::2] = flat.reshape(size, 2, 2)
    conv = ConvTranspose(kernel, (2, 2), (0,) * 4, (0, 0), (1, 1))
    sending = [Source((size, 2, 2), 1, (conv,))]
    assert any(part.spill for part in parts(*sending)) == (not fits(bound))
    assert check(sending, None)[0, 0, 0, 2, 2] == bound


@pytest.mark.parametrize("groups", range(1, GROUPS + 2))
@LEVELS
def test_channels_are_split_into_few_groups_that_fit(groups: int, level: Level | None) -> None:
    channels = 258 * groups
    sending = [Source((channels,), 1, (Dense(np.full((9, channels), 127, np.int8)),))]
    whole = [(n * 258, (n + 1) * 258) for n in range(groups)]
    expected = [(Width.NARROW, pair, pair != whole[-1]) for pair in whole]
    if groups > GROUPS:
        expected = [(Width.WIDE, (0, channels), False)]
    assert shown(parts(*sending)) == expected
    assert (check(sending, level)[0, 0] == 127 * channels).all()


@LEVELS
@pytest.mark.parametrize("apart", [True, False])
def test_groups_know_how_many_pixels_share_a_weight(apart: bool, level: Level | None) -> None:
    """Six pixels per window: 43 channels of 6 · 127 fit, where 258 would without the pool."""
    weights = np.full((3, 100), 127, np.int8)
    pool = SumPool((2, 3), (2, 3), (0,) * 4, (1, 1))
    conv = Conv(weights[..., None, None], (1, 1), (0,) * 4, (1, 1))
    factors: tuple[Factor, ...] = (pool, conv) if apart else (GlobalSum(), Dense(weights))
    sending = [Source((100, 2, 3), 1, factors)]
    assert [part.channels for part in parts(*sending)] == [(0, 43), (43, 86), (86, 100)]
    assert (check(sending, level)[0, 0] == 6 * 127 * 100).all()


def test_outputs_are_split_alike_at_the_worst_of_them() -> None:
    weights = np.zeros((2, 600), np.int8)
    weights[0, :300], weights[1, 200:] = 127, -127
    # The first output has room for 258 channels; from there on the second one for 258.
    found = shown(parts(Source((600,), 1, (Dense(weights),))))
    assert [pair for _, pair, _ in found] == [(0, 258), (258, 516), (516, 600)]
    assert check([Source((600,), 1, (Dense(weights),))], None)[0, 0].tolist() == [38100, -50800]


@LEVELS
def test_one_channel_that_does_not_fit_takes_32_bits(level: Level | None) -> None:
    kernel = np.full((3, 2, 5, 5), 127, np.int8)
    conv = Conv(kernel, (1, 1), (2,) * 4, (1, 1))
    sending = [Source((2, 6, 6), 255, (conv,), Fire.SIGNED)]
    assert shown(parts(*sending)) == [(Width.WIDE, (0, 2), False)]
    assert check(sending, level)[0, 0].max() == 127 * 50 * 255


@LEVELS
@pytest.mark.parametrize("phi", [5, 6, 255])
def test_depthwise_sums_are_never_split(phi: int, level: Level | None) -> None:
    kernel = np.full((20, 1, 7, 7), -127, np.int8)
    sending = [Source((20, 7, 7), phi, (Conv(kernel, (1, 1), (3,) * 4, (1, 1), 20),))]
    width = Width.NARROW if 49 * 127 * phi <= 32768 else Width.WIDE
    assert shown(parts(*sending)) == [(width, (0, 20), False)]
    assert check(sending, level)[0, 0].min() == -49 * 127 * phi


@LEVELS
def test_grouped_sums_that_do_not_fit_take_32_bits(level: Level | None) -> None:
    kernel = np.full((6, 33, 3, 3), 127, np.int8)
    sending = [Source((66, 4, 4), 1, (Conv(kernel, (1, 1), (1,) * 4, (1, 1), 2),))]
    assert shown(parts(*sending)) == [(Width.WIDE, (0, 66), False)]
    assert check(sending, level)[0, 0].max() == 33 * 9 * 127


@LEVELS
@pytest.mark.parametrize("outputs", [64, 130, 192])
@pytest.mark.parametrize("exponent", [0, 5])
def test_every_channel_reaches_a_limit_of_its_own(
    outputs: int, exponent: int, level: Level | None
) -> None:
    """Neighbours in a vector, and the same lane of the next vector, at opposite ends."""
    bounds = np.random.default_rng(outputs).choice([32640, -32641, 0, -1, 255, -256], outputs)
    kernel = np.stack([weights_of(bound, least=260) for bound in bounds])[..., None, None]
    conv = Conv(kernel, (1, 1), (0,) * 4, (1, 1))
    identity = Identity(np.where(bounds > 0, 127, -127).astype(np.int8))
    sending = [
        Source((260, 2, 3), 1, (conv,), exponent=exponent),
        Source((outputs, 2, 3), 1, (identity,), exponent=exponent),
    ]
    assert shown(parts(*sending)) == [
        (Width.NARROW, (0, 260), False),
        (Width.NARROW, (0, outputs), False),
    ]
    reached = (bounds + np.where(bounds > 0, 127, -127)) << exponent
    assert (check(sending, level)[0, 0] == reached[:, None, None]).all()


@LEVELS
def test_every_channel_spills_what_is_its_own(level: Level | None) -> None:
    signs = np.random.default_rng(0).choice([-1, 0, 1], (128, 1))
    weights = (signs * np.full((128, 700), 127)).astype(np.int8)
    sending = [Source((700,), 1, (Dense(weights),), exponent=2)]
    assert [part.spill for part in parts(*sending)] == [True, True, False]
    assert (check(sending, level)[0, 0] == 4 * 127 * 700 * signs[:, 0]).all()


@LEVELS
def test_other_exponents_take_32_bits(level: Level | None) -> None:
    large = Source((30,), 1, (Dense(np.full((4, 30), 127, np.int8)),), exponent=3)
    small = Source((4,), 255, (Identity(np.full(4, -127, np.int8)),))
    none = Source((4,), 255, (), Fire.SIGNED, exponent=8)
    found = parts(small, large, none)
    assert [(p.link.shift, p.width) for p in found] == [
        (0, Width.WIDE),
        (8, Width.WIDE),
        (3, Width.NARROW),
    ]
    extreme = 8 * 30 * 127 - 255 * 127 + 255 * 256
    assert (check([small, large, none], level)[0, 0] == extreme).all()


@LEVELS
def test_sums_spill_between_links_that_fit_alone(level: Level | None) -> None:
    dense = Dense(np.full((5, 200), 127, np.int8))
    identity = Identity(np.full(5, 127, np.int8))
    sending = [
        Source((200,), 1, (dense,)),
        Source((5,), 57, (identity,)),  # 25400 + 7239 = 32639
        Source((5,), 2, (identity,)),  # 32893: too much
        Source((200,), 1, (dense,)),
    ]
    spills = [part.spill for part in parts(*sending)]
    assert spills == [False, True, False, False]
    extreme = 127 * (400 + 59)
    assert (check(sending, level)[0, 0] == extreme).all()


def test_negative_and_positive_links_do_not_cancel() -> None:
    up, down = (Dense(np.full((2, 200), w, np.int8)) for w in (127, -127))
    sending = [
        Source((200,), 1, (up,)),
        Source((200,), 1, (down,)),
        Source((60,), 1, (Dense(np.full((2, 60), 127, np.int8)),)),
    ]
    # −25400 … 25400 fits, and 25400 + 7620 does not, whatever the others may take away.
    assert [part.spill for part in parts(*sending)] == [False, True, False]


def test_steady_sources_are_summed_once_in_32_bits() -> None:
    dense = Dense(np.full((2, 9), 1, np.int8))
    links = [link_of(Source((9,), 1, (dense,)), steps) for steps in (STEPS, 1)]
    assert [part.width for part in parts_of(links)] == [Width.CONSTANT, Width.NARROW]


@LEVELS
def test_without_16_bits_all_sums_have_32(level: Level | None) -> None:
    dense = Dense(np.full((5, 300), 127, np.int8))
    sending = [Source((300,), 1, (dense,)), Source((5,), 1, ())]
    assert {part.width for part in parts(*sending, narrow=False)} == {Width.WIDE}
    assert (check(sending, level, narrow=False)[0, 0] == 127 * 300 + 1).all()


def test_every_channel_is_added_once() -> None:
    random = np.random.default_rng(3)
    for _ in range(20):
        weights = random.integers(-127, 128, (7, 3000)).astype(np.int8)
        found = parts(Source((3000,), int(random.integers(1, 4)), (Dense(weights),)))
        pairs = [part.channels for part in found]
        assert [first for first, _ in pairs] == [0, *(last for _, last in pairs[:-1])]
        assert pairs[-1][1] == 3000
