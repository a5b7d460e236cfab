"""Networks of known shapes with random int8 weights, and thresholds that give a wanted density.

Density is events per neuron and step. A trained network has one density; to see how speed depends
on it, the same random network gets other thresholds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from rivals import PlainNeurons
from torch_layers import CurrentInto, as_tensor, is_constant

from spikec.compiler.arrays import Array, Int8, Int64
from spikec.compiler.connections import (
    Connection,
    Conv,
    Dense,
    Factor,
    GlobalSum,
    Identity,
    SumPool,
)
from spikec.compiler.populations import AdaFire, Fire, Input, Population, Readout
from spikec.compiler.program import Program

CLASSES = 10
SPREAD = 25
"""Standard deviation of the weights; trained and quantised channels have 20 to 35."""
SKIP = 60
"""Weight of an identity path."""
POOL = SumPool((2, 2), (2, 2), (0, 0, 0, 0), (1, 1))
VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
"""Channels; 0 is a pool. The last pool adds up all that is left."""
RESNET20 = (16, 32, 64)
BLOCKS = 3
SEARCH_STEPS = 24
ONE = np.ones((1, 1, 1))


class Draft:
    """A program that grows; thresholds are 1 until they are tuned."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        image = Input("image", (3, 32, 32), 8, ONE, ONE, ONE * 0)
        self.populations: list[Population] = [image]
        self.connections: list[Connection] = []

    def conv(self, source: str, channels: int, stride: int = 1, *, pool: bool = False) -> str:
        """A population behind a 3×3 convolution, by name."""
        before, *map_size = next(p.shape for p in self.populations if p.name == source)
        name = f"conv{len(self.populations)}"
        size = map_size[0] // stride // (2 if pool else 1)
        kernel = Conv(self.weights(channels, before, 3, 3), (stride, stride), (1, 1, 1, 1), (1, 1))
        factors = (POOL, kernel) if pool else (kernel,)
        start = np.ones((1, 1, 1), np.int32)
        self.populations.append(
            AdaFire(
                name, (channels, size, size), start, start * 0, start * 0, 1, Fire.PLAIN, False, ONE
            )
        )
        self.connections.append(Connection(source, name, factors))
        return name

    def add(self, source: str, sink: str, factor: Factor) -> None:
        """A further path into a population."""
        self.connections.append(Connection(source, sink, (factor,)))

    def weights(self, *shape: int) -> Int8:
        """Random int8."""
        values = np.rint(self.random.normal(0, SPREAD, shape))
        return np.clip(values, -127, 127).astype(np.int8)

    def program(self, timesteps: int) -> Program:
        """With a read-out of ten classes behind the sum of each channel."""
        last = self.populations[-1]
        scores = Readout("scores", (CLASSES,), np.zeros(1, np.int32), np.ones(1))
        top = (GlobalSum(), Dense(self.weights(CLASSES, last.shape[0])))
        return Program(
            (*self.populations, scores),
            (*self.connections, Connection(last.name, scores.name, top)),
            timesteps,
        )


def vgg16(timesteps: int) -> Program:
    """VGG-16 for 32×32 images: 313 million multiply-accumulates, sum pools."""
    draft, last, pool = Draft(), "image", False
    for channels in VGG16:
        if channels:
            last = draft.conv(last, channels, pool=pool)
        pool = not channels
    return draft.program(timesteps)


def resnet20(timesteps: int) -> Program:
    """ResNet-20: 41 million multiply-accumulates, 1×1 projections where the shape changes."""
    draft = Draft()
    last = draft.conv("image", RESNET20[0])
    for stage, channels in enumerate(RESNET20):
        for block in range(BLOCKS):
            stride = 2 if stage and not block else 1
            inner = draft.conv(last, channels, stride)
            outer = draft.conv(inner, channels)
            if stride == 2:
                weights = draft.weights(channels, channels // 2, 1, 1)
                draft.add(last, outer, Conv(weights, (2, 2), (0, 0, 0, 0), (1, 1)))
            else:
                draft.add(last, outer, Identity(np.full(channels, SKIP, np.int8)))
            last = outer
    return draft.program(timesteps)


SHAPES: dict[str, Callable[[int], Program]] = {"VGG-16": vgg16, "ResNet-20": resnet20}


def random_images(images: int, seed: int = 5) -> Int64:
    """Quantised inputs, every value from −127 to 127 alike."""
    return np.random.default_rng(seed).integers(-127, 128, (images, 3, 32, 32))


def with_density(program: Program, inputs: Array, density: float) -> Program:
    """The program with one threshold per population such that it fires at that density.

    Start values are half a threshold, as converted networks have them.
    """
    images, steps = len(inputs), program.timesteps
    payloads = {program.input.name: as_tensor(inputs)}
    tuned: dict[str, Population] = {}
    with torch.no_grad():
        for population in program.populations:
            if not isinstance(population, AdaFire):
                continue
            current = CurrentInto(program, population)(payloads)
            constant = is_constant(program, population)
            shape = (1, images) if constant else (steps, images)
            current = current.reshape(*shape, *population.shape).expand(steps, images, -1, -1, -1)
            found = _threshold(population, current, density)
            tuned[population.name] = found
            payloads[population.name] = _train(found, current).flatten(0, 1)
    return replace(program, populations=tuple(tuned.get(p.name, p) for p in program.populations))


def _threshold(population: AdaFire, current: torch.Tensor, density: float) -> AdaFire:
    """Bisection: a higher threshold fires less."""
    low, high = 1, int(2 * current.abs().sum(0).max()) + 2
    for _ in range(SEARCH_STEPS):
        middle = (low + high) // 2
        events = float((_train(_with_threshold(population, middle), current) != 0).float().mean())
        low, high = (middle, high) if events > density else (low, middle)
    return _with_threshold(population, high)


def _with_threshold(population: AdaFire, threshold: int) -> AdaFire:
    values = np.full((1,) * len(population.shape), threshold, np.int32)
    return replace(population, threshold=values, initial=values // 2)


def _train(population: AdaFire, current: torch.Tensor) -> torch.Tensor:
    neurons = PlainNeurons(population)
    neurons.start(current.shape[1])
    return torch.stack([neurons(step) for step in current])
