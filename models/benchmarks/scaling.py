"""How speed grows with time steps, images and threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from activity import synops
from measured import Scale
from timing import Spread, interleaved

from spikec.backends.base import BackendRun
from spikec.backends.simulator import SimulatorBackend
from spikec.compiler.arrays import Array
from spikec.compiler.program import Program

POWERS = (1, 2, 4, 8, 16, 32, 64)
AXES = ("timesteps", "images", "threads")
IMAGES = 256
"""Batch while threads are varied: images enough that no thread waits long for the others."""


@dataclass(frozen=True)
class Size:
    """One point of an axis."""

    timesteps: int
    images: int
    threads: int


def sizes(axis: str, timesteps: int, images: int) -> list[Size]:
    """The points of an axis; the other two stay."""
    cores = SimulatorBackend().threads
    match axis:
        case "timesteps":
            return [Size(t, images, 1) for t in POWERS]
        case "images":
            return [Size(timesteps, n, 1) for n in POWERS]
    return [Size(timesteps, IMAGES, n) for n in (*(p for p in POWERS if p < cores), cores)]


def scaled(
    unit: str, program: Program, images: int, inputs: Callable[[int], Array], repeats: int
) -> Iterator[Scale]:
    """The program along the axis that ends the unit's name, all points in turns."""
    network, _, axis = unit.rpartition(" ")
    points = sizes(axis, program.timesteps, images)
    works = {str(size): Work(program, inputs(size.images), size) for size in points}
    samples = interleaved(works, repeats)
    for size in points:
        frames, found = size.images * size.timesteps, samples[str(size)]
        yield Scale(
            unit=unit,
            network=network,
            axis=axis,
            images=size.images,
            timesteps=size.timesteps,
            threads=size.threads,
            synops=works[str(size)].synops(),
            cpu=Spread.of(frames / seconds for seconds in found.cpu),
            wall=Spread.of(frames / seconds for seconds in found.wall),
        )


class Work:
    """Runs a program at a size."""

    def __init__(self, program: Program, inputs: Array, size: Size) -> None:
        self.backend, self.inputs = SimulatorBackend(size.threads), inputs
        self.program = replace(program, timesteps=size.timesteps)

    def __call__(self) -> BackendRun:
        """Once."""
        return self.backend.run(self.program, self.inputs)

    def synops(self) -> float:
        """Per image and step."""
        return synops(self.program, self())
