"""Kernels that move, clear and sum state."""

from __future__ import annotations

import numpy as np
import pytest
from machine_code import EACH_MACHINE, Call, Operand, pack
from numpy.typing import NDArray

from spikec.backends.simulator.events.machine import Machine
from spikec.backends.simulator.events.state import Clear, Copy, Readout, Relay

VECTORS = (1, 3, 8)


@EACH_MACHINE
@pytest.mark.parametrize("vectors", VECTORS)
@pytest.mark.parametrize("repeated", [False, True])
def test_copy_fills_a_part_of_an_array(machine: Machine, vectors: int, repeated: bool) -> None:
    spec = Copy(machine.lanes, vectors)
    block, pixels = spec.lanes * vectors, 5
    source = np.arange(pixels * 2 * block, dtype=np.int32).reshape(pixels, 2 * block) - 100
    target = np.full((2, pixels, 3 * block), 7, np.int32)
    operands = {
        "source": Operand(source, 4 * block),
        "target": Operand(target, 0, image=target.strides[0], block=4 * block),
    }
    pitch = {"source_pixel": 0 if repeated else source.strides[0]}
    scalars = {"pixels": pixels, "target_pixel": target.strides[1], **pitch}
    Call(spec, operands, scalars).run(machine, image=1, block=2)
    expected = np.full_like(target, 7)
    expected[1, :, 2 * block :] = source[:1, block:] if repeated else source[:, block:]
    np.testing.assert_array_equal(target, expected)


@EACH_MACHINE
@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 1000])
def test_clear_writes_so_many_zeros(machine: Machine, size: int) -> None:
    target = np.full(1200, 9, np.uint8)
    Call(Clear(), {"target": Operand(target, 3, step=20)}, {"bytes": size}).run(machine, step=2)
    expected = np.full(1200, 9, np.uint8)
    expected[43 : 43 + size] = 0
    np.testing.assert_array_equal(target, expected)


def tiles(
    rows: int, columns: int, block: int, limit: int
) -> tuple[dict[str, NDArray[np.generic]], dict[str, Operand], dict[str, int]]:
    """A narrow, a wide and a constant accumulator with different margins."""
    rng, arrays, operands, pitches = np.random.default_rng(rows), {}, {}, {}
    for margin, name in enumerate(("narrow", "wide", "constant")):
        dtype = np.dtype(np.int16 if name == "narrow" else np.int32)
        shape = (rows + margin, columns + margin, block)
        array = rng.integers(-limit, limit, shape).astype(dtype)
        arrays[name], pitches[f"{name}_row"] = array, array.strides[0]
        operands[name] = Operand(array)
    return arrays, operands, pitches


@EACH_MACHINE
@pytest.mark.parametrize("vectors", VECTORS)
@pytest.mark.parametrize("shape", [(1, 1), (2, 7)])
def test_a_readout_adds_current_and_bias(
    machine: Machine, vectors: int, shape: tuple[int, int]
) -> None:
    spec = Readout(machine.lanes, vectors, True, 5, True, True)
    block, pixels = spec.lanes * vectors, shape[0] * shape[1]
    rng = np.random.default_rng(vectors)
    arrays, operands, scalars = tiles(*shape, block, 2**15)
    for per_pixel in (False, True):
        bias = rng.integers(-(2**31), 2**31, (pixels if per_pixel else 1, block)).astype(np.int32)
        v = rng.integers(-(2**40), 2**40, (pixels, block))
        potentials = np.zeros((pixels, 2 * block), np.int64)
        current = sum(
            arrays[name][: shape[0], : shape[1]].astype(np.int64) << shift
            for name, shift in (("narrow", 5), ("wide", 0), ("constant", 0))
        )
        expected = v + np.asarray(current).reshape(pixels, block) + bias
        operands |= {"membrane": Operand(v), "bias": Operand(bias)}
        operands["potentials"] = Operand(potentials, 8 * block)
        pitches = {"bias_pixel": 4 * block * per_pixel, "potentials_pixel": 16 * block}
        scalars |= {"rows": shape[0], "columns": shape[1], **pitches}
        Call(spec, operands, scalars).run(machine)
        np.testing.assert_array_equal(v, expected)
        np.testing.assert_array_equal(potentials[:, block:], expected)
        assert not potentials[:, :block].any()
        for name in ("narrow", "wide"):
            assert not arrays[name][: shape[0], : shape[1]].any()


@EACH_MACHINE
@pytest.mark.parametrize("payload", [8, 16, 32])
def test_a_relay_sends_its_current(machine: Machine, payload: int) -> None:
    spec = Relay(machine.lanes, 4, True, 2, True, True, payload)
    block, pixels = spec.lanes * spec.vectors, 15
    arrays, operands, scalars = tiles(3, 5, block, 2 ** min(payload - 4, 15))
    for array in arrays.values():
        array[:, :5:2] = 0
    if payload == 32:
        arrays["wide"] *= 2**14
    current = sum(
        arrays[name][:3, :5].astype(np.int64) << shift
        for name, shift in (("narrow", 2), ("wide", 0), ("constant", 0))
    )
    bits = np.zeros((pixels, block // 8), np.uint8)
    payloads = np.zeros((pixels, block), f"i{payload // 8}")
    operands |= {"bits": Operand(bits), "payloads": Operand(payloads)}
    scalars |= {"rows": 3, "columns": 5}
    scalars |= {"bits_pixel": bits.strides[0], "payloads_pixel": payloads.strides[0]}
    Call(spec, operands, scalars).run(machine)
    expected = np.asarray(current).reshape(pixels, block)
    np.testing.assert_array_equal(payloads, expected)
    np.testing.assert_array_equal(bits, pack(expected != 0))
    assert not arrays["narrow"].any()
    assert arrays["constant"][:3, :5].any()
