"""Whole networks on spikec's simulator and on everything else that computes the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from activity import density, synops
from float_twin import float_twin
from measured import OURS, REFERENCE, TWIN, Engine
from rivals import RIVALS, RecordingLoop, Rival
from timing import Spread, interleaved

from spikec.backends.base import BackendRun
from spikec.backends.reference import ReferenceBackend
from spikec.backends.simulator import SimulatorBackend
from spikec.compiler.arrays import Array
from spikec.compiler.populations import AdaFire
from spikec.compiler.program import Program

REFERENCE_STEPS = 2
LAYOUTS = (torch.contiguous_format, torch.channels_last)


class DifferenceError(Exception):
    """Two engines that should compute the same do not."""


def compared(unit: str, program: Program, inputs: Array, repeats: int) -> Iterator[Engine]:
    """The network on every engine that can run it, in turns.

    Raises:
        DifferenceError: A plain PyTorch loop emits other spikes than the simulator.
    """
    backend = SimulatorBackend(threads=1)
    names = frozenset(p.name for p in program.populations if isinstance(p, AdaFire))
    run = backend.run(program, inputs, record=names)
    check_spikes(program, inputs, run)
    rivals = dict(_rivals(program, inputs))
    works: dict[str, Callable[[], object]] = {OURS: lambda: backend.run(program, inputs)}
    works |= {name: _timed_run(rival, inputs) for name, rival in rivals.items()}
    pass_once = float_twin(program)
    works[TWIN] = lambda: pass_once(inputs)
    samples = interleaved(works, repeats)
    times = {name: np.array(s.cpu) for name, s in samples.items()}
    times[TWIN] *= program.timesteps
    times[REFERENCE] = np.full(repeats, _reference(program, inputs))
    exact = {OURS: 0.0, REFERENCE: 0.0}
    for name, seconds in times.items():
        difference = exact.get(name, -1.0)
        if name in rivals:
            difference = largest_difference(rivals[name].run(inputs), run.readout)
        yield _engine(unit, name, program, run, (seconds, times[OURS], difference))


def check_spikes(program: Program, inputs: Array, run: BackendRun) -> None:
    """DifferenceError unless a plain PyTorch loop emits the spikes that were recorded."""
    loop = RecordingLoop(program)
    scores = loop.run(inputs)
    for name, spikes in loop.spikes().items():
        if not np.array_equal(spikes, run.spikes[name]):
            raise DifferenceError(f"{name}: the PyTorch loop and the simulator emit other spikes")
    if not np.array_equal(scores, run.readout):
        raise DifferenceError("the PyTorch loop and the simulator give other scores")


def largest_difference(scores: Array, exact: Array) -> float:
    """Of any score at any step, over the largest score."""
    return float(np.abs(scores - exact).max() / max(1, np.abs(exact).max()))


def _rivals(program: Program, inputs: Array) -> Iterator[tuple[str, Rival]]:
    """Those that are installed and can fire as the program does, in their faster layout."""
    for name, kind in RIVALS.items():
        try:
            layouts = [kind(program, layout) for layout in LAYOUTS]
        except (NotImplementedError, ImportError):
            continue
        samples = interleaved({str(n): _timed_run(r, inputs) for n, r in enumerate(layouts)}, 2)
        yield (
            name,
            min(zip(layouts, samples.values(), strict=True), key=lambda pair: min(pair[1].cpu))[0],
        )


def _timed_run(rival: Rival, inputs: Array) -> Callable[[], object]:
    return lambda: rival.run(inputs)


def _reference(program: Program, inputs: Array) -> float:
    """CPU seconds of the golden model, from one image and few steps: its cost grows with both."""
    short = replace(program, timesteps=min(REFERENCE_STEPS, program.timesteps))
    begin = time.process_time()
    ReferenceBackend().run(short, inputs[:1])
    seconds = time.process_time() - begin
    return seconds * len(inputs) * program.timesteps / short.timesteps


def _engine(
    unit: str,
    name: str,
    program: Program,
    run: BackendRun,
    found: tuple[Array, Array, float],
) -> Engine:
    seconds, ours, difference = found
    images, steps = len(run.readout), program.timesteps
    phi = max(p.phi for p in program.populations if isinstance(p, AdaFire))
    return Engine(
        unit=unit,
        network=unit,
        engine=name,
        images=images,
        timesteps=steps,
        phi=phi,
        density=density(program, run),
        synops=synops(program, run),
        frames=Spread.of(images * steps / seconds),
        ratio=Spread.of(seconds / ours),
        difference=difference,
    )
