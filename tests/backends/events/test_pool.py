"""The kernel of max_pool populations against the golden model, over several steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from machine_code import EACH_MACHINE, Call, Operand, pack

from spikec.backends.reference.populations import MaxPoolState
from spikec.backends.simulator.events.machine import Machine
from spikec.backends.simulator.events.pool import AXES, MaxPool
from spikec.compiler import populations

Pair = tuple[int, int]


@dataclass(frozen=True)
class Case:
    """A pool's geometry; pads are those before and those after each axis."""

    cells: Pair
    kernel: Pair
    strides: Pair
    pads: tuple[int, int, int, int]
    dilations: Pair

    @property
    def outputs(self) -> Pair:
        rows, columns = (
            (self.cells[i] + self.pads[i] + self.pads[i + 2] - d * (self.kernel[i] - 1) - 1)
            // self.strides[i]
            + 1
            for i, d in enumerate(self.dilations)
        )
        return rows, columns

    def population(self, channels: int) -> populations.MaxPool:
        sizes = ((channels, *self.outputs), (channels, *self.cells))
        window = (self.kernel, self.strides, self.pads, self.dilations)
        return populations.MaxPool("pool", *sizes, *window, np.ones((1, 1, 1)))

    def scalars(self) -> dict[str, int]:
        parts = {
            "out": self.outputs,
            "kernel": self.kernel,
            "stride": self.strides,
            "pad": self.pads[:2],
            "dilation": self.dilations,
        }
        windows = {f"{n}_{a}": p[i] for n, p in parts.items() for i, a in enumerate(AXES)}
        return {"rows": self.cells[0], "columns": self.cells[1], **windows}


CASES = (
    Case((4, 6), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1)),
    Case((5, 7), (3, 3), (2, 2), (1, 1, 1, 1), (1, 1)),
    Case((7, 4), (3, 2), (1, 3), (2, 0, 1, 1), (2, 1)),
    Case((1, 9), (1, 4), (1, 2), (0, 1, 0, 2), (1, 2)),
    Case((1, 1), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1)),
)


@EACH_MACHINE
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("payload", [8, 16, 32])
@pytest.mark.parametrize("vectors", [1, 3, 8])
def test_a_pool_emits_what_the_golden_model_does(
    machine: Machine, case: Case, payload: int, vectors: int
) -> None:
    spec = MaxPool(machine.lanes, vectors, True, 0, payload > 8, payload == 32, payload)
    block, rng = spec.lanes * vectors, np.random.default_rng(payload)
    state = MaxPoolState(case.population(block), 1)
    cells, outputs = int(np.prod(case.cells)), int(np.prod(case.outputs))
    arrays = {
        "narrow": np.zeros((case.cells[0] + 1, case.cells[1] + 2, block), np.int16),
        "wide": np.zeros((*case.cells, block), np.int32),
        "constant": rng.integers(-9, 10, (*case.cells, block)).astype(np.int32),
        "counters": np.zeros((cells, block), np.int32),
        "largest": np.zeros((outputs, block), np.int32),
        "bits": np.zeros((outputs, block // 8), np.uint8),
        "payloads": np.zeros((outputs, block), f"i{payload // 8}"),
    }
    operands = {name: Operand(array) for name, array in arrays.items()}
    scalars = case.scalars() | {f"{n}_row": arrays[n].strides[0] for n in spec.accumulators}
    scalars |= {f"{name}_pixel": arrays[name].strides[0] for name in ("bits", "payloads")}
    limit = 2 ** (payload - 4) if payload < 32 else 2**15
    for _ in range(4):
        current = np.zeros((*case.cells, block), np.int64)
        for name in spec.accumulators:
            part = arrays[name][: case.cells[0], : case.cells[1]]
            if name != "constant":
                part[...] = rng.integers(-limit, limit, part.shape)
            current += part
        Call(spec, operands, scalars).run(machine)
        n = state.step(current.transpose(2, 0, 1)[None])[0].transpose(1, 2, 0)
        n = n.reshape(outputs, block)
        np.testing.assert_array_equal(arrays["payloads"], n)
        np.testing.assert_array_equal(arrays["bits"], pack(n != 0))
        assert not arrays["narrow"].any()


@EACH_MACHINE
def test_growth_by_one_at_most_needs_no_payloads(machine: Machine) -> None:
    case, spec = CASES[1], MaxPool(machine.lanes, 2, False, 0, True, False, 0)
    block = spec.lanes * spec.vectors
    state = MaxPoolState(case.population(block), 1)
    arrays = {
        "wide": np.zeros((*case.cells, block), np.int32),
        "counters": np.zeros((*case.cells, block), np.int32),
        "largest": np.zeros((*case.outputs, block), np.int32),
        "bits": np.zeros((*case.outputs, block // 8), np.uint8),
    }
    operands = {name: Operand(array) for name, array in arrays.items()}
    scalars = case.scalars() | {"wide_row": arrays["wide"].strides[0], "bits_pixel": block // 8}
    for seed in range(5):
        arrays["wide"][...] = np.random.default_rng(seed).random(arrays["wide"].shape) < 0.2
        current = arrays["wide"].astype(np.int64)
        Call(spec, operands, scalars).run(machine)
        n = state.step(current.transpose(2, 0, 1)[None])[0].transpose(1, 2, 0)
        np.testing.assert_array_equal(arrays["bits"], pack(n != 0))
