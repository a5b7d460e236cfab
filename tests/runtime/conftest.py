"""A dense program small enough to follow by hand, and plain loops that run it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikec.backends.base import BackendRun, ConnectionCounts, PopulationCounts
from spikec.compiler.arrays import Array
from spikec.compiler.connections import Connection, Dense, Gather
from spikec.compiler.populations import AdaFire, Fire, Input, Readout
from spikec.compiler.program import Program

W1 = np.array([[20, -10, 5], [0, 30, 0], [-7, 9, 11], [40, 40, 40]], np.int8)
W2 = np.array([[3, -2, 0, 1], [-1, 4, 2, 1]], np.int8)


def dense_program(timesteps: int = 4, phi: int = 3) -> Program:
    """3 inputs → 4 plain neurons → 2 read-outs."""
    return Program(
        populations=(
            Input("pixels", (3,), 8, np.array([0.01]), np.array([1.0]), np.array([0.0])),
            AdaFire(
                name="hidden",
                shape=(4,),
                threshold=np.array([900, 700, 500, 4000], np.int32),
                bias=np.array([10, 0, -20, 5], np.int32),
                initial=np.array([450, 350, 250, 2000], np.int32),
                phi=phi,
                fire=Fire.PLAIN,
                windowed=False,
                scale=np.array([0.5]),
            ),
            Readout("scores", (2,), np.array([1, -1], np.int32), np.array([0.25])),
        ),
        connections=(
            Connection("pixels", "hidden", (Dense(W1),)),
            Connection("hidden", "scores", (Dense(W2),)),
        ),
        timesteps=timesteps,
    )


def program_with_output(*shape: int) -> Program:
    """3 inputs → 4 plain neurons → read-outs of this shape, all weights 1."""
    program = dense_program()
    number = math.prod(shape)
    spread = Gather(np.arange(number, dtype=np.int32).reshape(shape))
    ones = Dense(np.ones((number, 4), np.int8))
    axes = [1] * len(shape)
    readout = Readout("scores", shape, np.zeros(axes, np.int32), np.ones(axes))
    return replace(
        program,
        populations=(*program.populations[:-1], readout),
        connections=(program.connections[0], Connection("hidden", "scores", (ones, spread))),
    )


class PlainLoops:
    """Runs ``dense_program`` with Python integers, neuron by neuron, and counts."""

    name = "plain loops"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(
        self,
        program: Program,
        inputs: Array,
        *,
        record: frozenset[str] = frozenset(),
        progress: Callable[[int], None] | None = None,
    ) -> BackendRun:
        self.batches.append(len(inputs))
        spikes, membranes, readout = zip(*(_image(program, q) for q in inputs), strict=True)
        hidden = np.array(spikes)
        pixels = np.repeat(np.asarray(inputs, np.int64)[:, None], program.timesteps, axis=1)
        payloads = {"pixels": pixels, "hidden": hidden}
        return BackendRun(
            readout=np.array(readout, np.int64),
            populations={name: _emitted(n) for name, n in payloads.items()}
            | {"scores": _emitted(np.zeros((*hidden.shape[:2], 2), np.int64))},
            connections=(_synops(pixels, W1), _synops(hidden, W2)),
            spikes={name: n for name, n in payloads.items() if name in record},
            membranes={"hidden": np.array(membranes, np.int32)} if "hidden" in record else {},
        )


def _image(program: Program, q: Array) -> tuple[list[list[int]], list[list[int]], list[list[int]]]:
    hidden, readout = program.population("hidden"), program.readout
    assert isinstance(hidden, AdaFire)
    v = [int(x) for x in hidden.initial]
    total = [0, 0]
    spikes, membranes, totals = [], [], []
    for _ in range(program.timesteps):
        n = []
        for i in range(4):
            v[i] += sum(int(W1[i, j]) * int(q[j]) for j in range(3)) + int(hidden.bias[i])
            theta = int(hidden.threshold[i])
            n.append(max(0, min(math.floor(v[i] / theta), hidden.phi)))
            v[i] -= n[i] * theta
        for k in range(2):
            total[k] += sum(int(W2[k, i]) * n[i] for i in range(4)) + int(readout.bias[k])
        spikes.append(n)
        membranes.append(list(v))
        totals.append(list(total))
    return spikes, membranes, totals


def _emitted(payloads: Array) -> PopulationCounts:
    return PopulationCounts(
        neurons=payloads.shape[-1],
        events=(payloads != 0).sum(axis=-1),
        spikes=np.abs(payloads).sum(axis=-1),
        saturations=np.zeros(payloads.shape[:2], np.int64),
    )


def _synops(payloads: Array, weights: Array) -> ConnectionCounts:
    zeros = (weights == 0).sum(axis=0)
    events, spikes = payloads != 0, np.abs(payloads)
    return ConnectionCounts(
        events=(events * weights.shape[0]).sum(axis=-1),
        spikes=(spikes * weights.shape[0]).sum(axis=-1),
        zero_events=(events * zeros).sum(axis=-1),
        zero_spikes=(spikes * zeros).sum(axis=-1),
    )


@pytest.fixture
def program() -> Program:
    return dense_program()


@pytest.fixture
def net(tmp_path: Path, program: Program) -> Path:
    file = tmp_path / "net.spikec"
    program.save(file)
    return file


@pytest.fixture
def make_program() -> Callable[..., Program]:
    def make(timesteps: int = 4, phi: int = 3, **changes: object) -> Program:
        return replace(dense_program(timesteps, phi), **changes)  # type: ignore[arg-type]

    return make


@pytest.fixture
def with_output() -> Callable[..., Program]:
    return program_with_output


@pytest.fixture
def plain_loops() -> PlainLoops:
    return PlainLoops()


@pytest.fixture
def images() -> Array:
    return np.random.default_rng(5).uniform(-1, 1, (23, 3)).astype(np.float32)


@pytest.fixture
def images_file(tmp_path: Path, images: Array) -> Path:
    file = tmp_path / "images.npz"
    labels = np.random.default_rng(3).integers(0, 2, len(images))
    np.savez(file, x=images, y=labels)
    return file
