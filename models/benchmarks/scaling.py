"""How speed grows with time steps, images and threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from measured import Scale
from timing import Spread, interleaved

from spikec.backends.simulator import SimulatorBackend
from spikec.compiler.arrays import Array
from spikec.compiler.program import Program

POWERS = (1, 2, 4, 8, 16, 32, 64)
AXES = ("timesteps", "images", "threads")
IMAGES = 16
"""Batch while threads are varied."""


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
    works = {str(size): _work(program, inputs(size.images), size) for size in points}
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
            cpu=Spread.of(frames / seconds for seconds in found.cpu),
            wall=Spread.of(frames / seconds for seconds in found.wall),
        )


def _work(program: Program, inputs: Array, size: Size) -> Callable[[], object]:
    backend = SimulatorBackend(size.threads)
    longer = replace(program, timesteps=size.timesteps)
    return lambda: backend.run(longer, inputs)
