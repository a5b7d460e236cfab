"""Gathered spikes against NumPy's own indexing."""

from __future__ import annotations

import numpy as np
import pytest
from machine_code import EACH_MACHINE, Call, Operand, machines, pack
from numpy.typing import NDArray

from spikec.backends.simulator.events.gather import Gather
from spikec.backends.simulator.events.machine import Machine

Indices = NDArray[np.int32]
SOURCE = (6, 16)
"""Pixels and padded channels."""


def maps() -> dict[str, Indices]:
    """Index maps of every kind: shuffled, in whole bytes, shifted, with gaps, one byte."""
    rng, size = np.random.default_rng(2), SOURCE[0] * SOURCE[1]
    whole = np.arange(size)
    gaps = np.where(rng.random(size) < 0.3, -1, rng.permutation(size))
    padded = np.concatenate([whole[40:48], [-1] * 8, whole[:3], [-1] * 5, [-1, *range(7)]])
    every = {
        "shuffled": rng.integers(0, size, 4 * size),
        "copied": whole,
        "bytes apart": rng.permutation(whole.reshape(-1, 8)).ravel(),
        "shifted": np.concatenate([whole[3:], whole[:3]]),
        "gaps": gaps,
        "padded": padded,
        "the last one": np.full(8, size - 1),
    }
    return {name: indices.astype(np.int32) for name, indices in every.items()}


@EACH_MACHINE
@pytest.mark.parametrize("payload", [0, 8, 16, 32])
@pytest.mark.parametrize("name", maps())
def test_every_output_is_the_element_that_its_index_names(
    machine: Machine, payload: int, name: str
) -> None:
    indices, rng = maps()[name], np.random.default_rng(payload)
    limit = 2 ** (payload - 1) if payload else 1
    n = rng.integers(-limit, limit, SOURCE) * (rng.random(SOURCE) < 0.5)
    expected = np.where(indices < 0, 0, n.ravel()[np.maximum(indices, 0)])
    kind = f"i{max(payload, 8) // 8}"
    arrays = {
        "source_bits": pack(n != 0),
        "source_payloads": n.astype(kind),
        "indices": indices,
        "bits": np.full(len(indices) // 8 + 1, 90, np.uint8),
        "payloads": np.full(len(indices) + 1, 90, kind),
    }
    operands = {operand: Operand(array) for operand, array in arrays.items()}
    Call(Gather(payload), operands, {"outputs": len(indices)}).run(machine)
    np.testing.assert_array_equal(arrays["bits"], [*pack(expected != 0), 90])
    if payload:
        np.testing.assert_array_equal(arrays["payloads"], [*expected, 90])


@pytest.mark.parametrize("payload", [0, 8])
def test_no_output_is_made_of_none(payload: int) -> None:
    names = ("source_bits", "source_payloads", "indices", "bits", "payloads")
    operands = {name: Operand(np.zeros(0, np.int8)) for name in names}
    Call(Gather(payload), operands, {"outputs": 0}).run(machines()[0])
