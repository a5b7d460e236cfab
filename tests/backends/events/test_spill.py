"""The kernel that spills sums, against sums in plain int64."""

from __future__ import annotations

import numpy as np
import pytest
from machine_code import EACH_MACHINE, Call, Operand

from spikec.backends.simulator.events.machine import Machine
from spikec.backends.simulator.events.spill import Spill


@EACH_MACHINE
@pytest.mark.parametrize("vectors", [1, 2, 3])
@pytest.mark.parametrize("shift", [0, 6])
def test_a_spill_moves_narrow_sums_and_clears_them(
    machine: Machine, vectors: int, shift: int
) -> None:
    block, rng = machine.lanes * vectors, np.random.default_rng(vectors)
    narrow = rng.integers(-(2**15), 2**15, (4, 6, block)).astype(np.int16)
    wide = rng.integers(-(2**24), 2**24, (5, 8, block)).astype(np.int32)
    expected, left = wide.astype(np.int64), narrow.copy()
    expected[1:4, 2:6] += narrow[:3, 1:5].astype(np.int64) << shift
    left[:3, 1:5] = 0
    operands = {
        "narrow": Operand(narrow, narrow.strides[1]),
        "wide": Operand(wide, wide.strides[0] + 2 * wide.strides[1]),
    }
    scalars = {"rows": 3, "columns": 4, "narrow_row": narrow.strides[0]}
    scalars["wide_row"] = wide.strides[0]
    Call(Spill(machine.lanes, vectors, shift), operands, scalars).run(machine)
    np.testing.assert_array_equal(wide, expected)
    np.testing.assert_array_equal(narrow, left)
