"""The kernel of adafire neurons against the rules in plain int64, and the reference's classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from machine_code import EACH_MACHINE, Call, Operand, machines, pack
from numpy.typing import NDArray

from spikec.backends.reference.populations import AdaFireState
from spikec.backends.simulator.events.fire import Fire
from spikec.backends.simulator.events.machine import Machine
from spikec.compiler.populations import AdaFire
from spikec.compiler.populations import Fire as Rule

Int = NDArray[np.int64]
PLAIN = Fire(
    lanes=8,
    vectors=1,
    narrow=True,
    shift=0,
    wide=False,
    constant=False,
    rule="plain",
    unit=False,
    payload=16,
    clip=True,
    integrates=True,
    emits=True,
    extended=False,
    per_channel=True,
)
SHAPES = ((1, 1, 8), (3, 5, 3))
"""Rows, columns, vectors."""


@dataclass
class Layer:
    """One block of a population in the kernel's layout, and in int64."""

    spec: Fire
    rows: int
    columns: int
    phi: int
    vmax: int
    threshold: Int
    bias: Int
    membrane: Int
    total: Int

    @property
    def pixels(self) -> int:
        return self.rows * self.columns

    @property
    def block(self) -> int:
        return self.spec.lanes * self.spec.vectors

    def reference(self) -> AdaFireState:
        """The golden model of these neurons, channels last, in the present state."""
        shape = (self.pixels, self.block)
        population = AdaFire(
            *("neurons", shape),
            *(np.broadcast_to(p, shape) for p in (self.threshold, self.bias, np.int64(0))),
            *(self.phi, Rule(self.spec.rule), False, np.ones((1, 1))),
        )
        state = AdaFireState(population, 1, self.vmax)
        state.v, state.total = self.membrane[None].copy(), self.total[None].copy()
        return state


def random_layer(spec: Fire, shape: tuple[int, int], phi: int, seed: int = 0) -> Layer:
    """Thresholds of every size, potentials at and beside their multiples, some at ±vmax."""
    rng = np.random.default_rng(seed)
    top = 2**31 - 1 if spec.extended else 2**30 - 1
    vmax = 2**31 - 1 if spec.extended else int(rng.choice([2**23 - 1, 2**30, 2**31 - 2**21]))
    cells, block = shape[0] * shape[1], spec.lanes * spec.vectors
    own = (1 if spec.per_channel else cells, block)
    threshold = np.minimum(np.exp2(rng.uniform(0, 31, own)).astype(np.int64), top)
    threshold.flat[::5] = rng.choice([1, 2, 3, top - 1, top], threshold.flat[::5].shape)
    quotient = rng.integers(-phi - 3, phi + 4, (cells, block))
    near = quotient * threshold + rng.integers(-2, 3, (cells, block))
    far = rng.integers(-vmax, vmax + 1, (cells, block))
    v = np.where(rng.random((cells, block)) < 0.8, near, far)
    v = np.where(rng.random((cells, block)) < 0.1, rng.choice([-vmax, vmax], v.shape), v)
    v = np.where(np.abs(v) > vmax, far, v)
    total = rng.integers(0, phi + 3, v.shape)
    return Layer(spec, *shape, phi, vmax, threshold, rng.integers(-3, 4, own), v, total)


@dataclass(frozen=True)
class Result:
    """What one step left behind."""

    membrane: Int
    total: Int
    n: Int
    bits: NDArray[np.uint8]
    saturations: int
    left: bool


def run(layer: Layer, currents: dict[str, Int], machine: Machine) -> Result:
    """One step in machine code; accumulators have margins, and outputs more channels."""
    spec, pixels, block = layer.spec, layer.pixels, layer.block
    operands, scalars = {}, {"phi": layer.phi, "vmax": layer.vmax}
    tiles = {}
    for name, current in currents.items():
        dtype = np.dtype(np.int16 if name == "narrow" else np.int32)
        tile = np.full((layer.rows + 2, layer.columns + 3, block), 77, dtype)
        tile[1:-1, 2:-1] = current.reshape(layer.rows, layer.columns, block)
        operands[name] = Operand(tile, tile.strides[0] + 2 * tile.strides[1])
        scalars[f"{name}_row"], tiles[name] = tile.strides[0], tile
    state = {
        "membrane": layer.membrane.astype(np.int32),
        "total": layer.total.astype(np.int32),
        "threshold": layer.threshold.astype(np.int32),
        "bias": layer.bias.astype(np.int32),
        "saturations": np.full(1, 5, np.int64),
        "bits": np.full((pixels, 2 * block // 8), 255, np.uint8),
        "payloads": np.full((pixels, 2 * block), 99, f"i{max(spec.payload, 8) // 8}"),
    }
    operands |= {name: Operand(array) for name, array in state.items()}
    operands["bits"] = Operand(state["bits"], block // 8)
    operands["payloads"] = Operand(state["payloads"], block * state["payloads"].itemsize)
    parts = {f"{name}_pixel": array.strides[0] for name, array in state.items()}
    scalars |= {**parts, "rows": layer.rows, "columns": layer.columns}
    Call(spec, operands, scalars).run(machine)
    assert (state["bits"][:, : block // 8] == 255).all()
    assert (state["payloads"][:, :block] == 99).all()
    return Result(
        *(state[name].astype(np.int64) for name in ("membrane", "total")),
        state["payloads"][:, block:].astype(np.int64),
        state["bits"][:, block // 8 :],
        int(state["saturations"][0]) - 5,
        _cleared(tiles, layer),
    )


def _cleared(tiles: dict[str, NDArray[np.generic]], layer: Layer) -> bool:
    """Whether accumulators are zero inside and untouched outside; constants as they were."""
    for name, tile in tiles.items():
        inside = tile[1:-1, 2:-1]
        if name != "constant" and inside.any():
            return False
        if tile.sum() - inside.sum() != 77 * (tile.size - inside.size):
            return False
    return True


def random_currents(layer: Layer, seed: int = 1) -> dict[str, Int]:
    """Accumulators whose sum, with the potential and bias, stays below 2^31."""
    rng, spec = np.random.default_rng(seed), layer.spec
    shape = (layer.pixels, layer.block)
    limit = {"narrow": 2**15, "wide": 2**16, "constant": 2**10}
    flags = {"narrow": spec.narrow, "wide": spec.wide, "constant": spec.constant}
    return {n: rng.integers(-limit[n], limit[n], shape) for n, there in flags.items() if there}


def total_current(layer: Layer, currents: dict[str, Int]) -> Int:
    factor = {"narrow": 2**layer.spec.shift}
    zero = np.zeros((layer.pixels, layer.block), np.int64)
    return sum((factor.get(name, 1) * part for name, part in currents.items()), zero)


def variants() -> Iterator[Fire]:
    """Every rule with every kind of parameter, payload and accumulator."""
    for extended in (False, True):
        for per_channel in (True, False):
            general = replace(PLAIN, extended=extended, per_channel=per_channel)
            yield general
            yield replace(general, rule="signed", narrow=False, wide=True, constant=True)
            yield replace(general, rule="retract", shift=3, wide=True)
            yield replace(general, unit=True, payload=0, constant=True)
            yield replace(general, unit=True, payload=8, narrow=False)


@pytest.mark.parametrize("spec", tuple(variants()), ids=lambda s: s.name)
@EACH_MACHINE
def test_a_step_is_that_of_the_golden_model(spec: Fire, machine: Machine) -> None:
    for seed, (rows, columns, vectors) in enumerate(SHAPES):
        whole = replace(spec, lanes=machine.lanes, vectors=vectors)
        for phi in (1,) if spec.unit else (1, 2, 3, 7, 16, 128, 255):
            layer = random_layer(whole, (rows, columns), phi, seed)
            currents = random_currents(layer)
            result = run(layer, currents, machine)
            check(layer, total_current(layer, currents), result)


def check(layer: Layer, current: Int, result: Result) -> None:
    state, spec = layer.reference(), layer.spec
    saturations = state.integrate(current[None])
    n = state.fire()
    np.testing.assert_array_equal(result.membrane, state.v[0])
    np.testing.assert_array_equal(result.bits, pack(n[0] != 0))
    if spec.payload:
        np.testing.assert_array_equal(result.n, n[0].astype(f"i{spec.payload // 8}"))
    if spec.rule == "retract":
        np.testing.assert_array_equal(result.total, state.total[0])
    assert result.saturations == saturations[0]
    assert result.left


@pytest.mark.parametrize("rule", ["plain", "signed"])
@EACH_MACHINE
def test_a_windowed_population_integrates_and_fires_at_different_steps(
    rule: str, machine: Machine
) -> None:
    spec = replace(PLAIN, lanes=machine.lanes, vectors=3, rule=rule)
    layer = random_layer(spec, (3, 5), 7)
    currents = random_currents(layer)
    state = layer.reference()
    saturations = state.integrate(total_current(layer, currents)[None])
    layer.spec = replace(spec, emits=False, payload=0)
    integrated = run(layer, currents, machine)
    np.testing.assert_array_equal(integrated.membrane, state.v[0])
    assert integrated.saturations == saturations[0]
    assert integrated.left
    layer.spec = replace(spec, integrates=False, clip=False, narrow=False)
    layer.membrane = state.v[0]
    released, n = run(layer, {}, machine), state.fire()
    np.testing.assert_array_equal(released.membrane, state.v[0])
    np.testing.assert_array_equal(released.n, n[0])
    assert released.saturations == 0


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize("rule", ["plain", "signed"])
def test_no_quotient_is_off_however_large_the_threshold(rule: str, extended: bool) -> None:
    rng, top = np.random.default_rng(3), 2**31 - 1 if extended else 2**30 - 1
    machine = machines()[0]
    spec = replace(PLAIN, rule=rule, extended=extended, clip=False, per_channel=False)
    spec = replace(spec, integrates=False, narrow=False, lanes=machine.lanes, vectors=4)
    shape = (512, spec.lanes * spec.vectors)
    for phi in (1, 2, 5, 100, 254, 255):
        theta = np.minimum(np.exp2(rng.uniform(0, 31, shape)).astype(np.int64), top)
        theta = np.where(rng.random(shape) < 0.3, 2 ** rng.integers(0, 30, shape) + 1, theta)
        most = np.minimum(2**31 // theta, phi + 1)
        v = rng.integers(-most, most + 1) * theta + rng.integers(-1, 2, shape)
        v = np.clip(v, 1 - 2**31, 2**31 - 1)
        layer = Layer(spec, 1, 512, phi, 2**31 - 1, theta, theta, v, np.zeros_like(v))
        result = run(layer, {}, machine)
        n = np.clip(v // theta, 0 if rule == "plain" else -phi, phi)
        np.testing.assert_array_equal(result.n, n)
        np.testing.assert_array_equal(result.membrane, v - n * theta)


@EACH_MACHINE
def test_extended_sums_may_leave_32_bits(machine: Machine) -> None:
    spec = replace(PLAIN, extended=True, narrow=False, wide=True, lanes=machine.lanes)
    layer = random_layer(spec, (4, 9), 255)
    layer.bias = np.where(layer.bias > 0, 2**31 - 1, 1 - 2**31)
    current = np.random.default_rng(5).integers(1 - 2**31, 2**31, layer.membrane.shape)
    result = run(layer, {"wide": current}, machine)
    assert result.saturations > 0
    check(layer, current, result)
