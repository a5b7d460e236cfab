"""Runs an exported network: inputs in, potentials of the read-out out."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from kernels.windows import Array, Shape
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg


@dataclass(frozen=True)
class Encoding:
    """Payloads of the input: q = clip(round((gain·x + offset) / scale), ±limit).

    Attributes:
        shape: Of a sample: of the input, or (T, *shape of a frame).
        gain: Broadcastable to the shape.
        offset: Broadcastable.
        scale: Broadcastable.
        limit: Largest payload.
    """

    shape: Shape
    gain: Array
    offset: Array
    scale: Array
    limit: int

    def payloads(self, samples: Array) -> Array:
        """Payloads, int32: whole numbers are payloads already; ValueError if they cannot be."""
        if samples.shape[1:] != self.shape or not len(samples):
            raise ValueError(f"inputs have shape {samples.shape}, expected (samples, {self.shape})")
        if samples.dtype.kind in "iu":
            if np.abs(samples.astype(np.int64)).max() > self.limit:
                raise ValueError(f"whole numbers are payloads, at most ±{self.limit}")
            return samples.astype(np.int32)
        if not np.isfinite(samples).all():
            raise ValueError("inputs hold NaN or infinity")
        real = (samples.astype(np.float64) * self.gain + self.offset) / self.scale
        return np.clip(np.rint(real), -self.limit, self.limit).astype(np.int32)


@dataclass(frozen=True)
class Exported:
    """A network that can be run.

    Attributes:
        folder: Where inputs.npy and expected.npy are.
        build: Makes its processes for so many samples, whose payloads are in the first file, and
            whose read-out goes to the second one; returns the source.
        encoding: Of inputs.
        timesteps: T.
        latency: Steps of a run besides S·T.
        readout: Shape of the potentials.
        scale: Potential · scale / T approximates the output of the network.
    """

    folder: Path
    build: Callable[[int, str, str], AbstractProcess]
    encoding: Encoding
    timesteps: int
    latency: int
    readout: Shape
    scale: Array


def run(network: Exported, samples: Array) -> Array:
    """Potentials of the read-out after every step, int64, (samples, T, *read-out shape)."""
    payloads = network.encoding.payloads(samples)
    rows = len(payloads) * network.timesteps
    with tempfile.TemporaryDirectory() as folder:
        inputs, outputs = os.path.join(folder, "inputs.npy"), os.path.join(folder, "outputs.npy")
        np.save(inputs, payloads)
        shape = (rows, *network.readout)
        np.lib.format.open_memmap(outputs, mode="w+", dtype=np.int64, shape=shape).flush()
        source = network.build(len(payloads), inputs, outputs)
        try:
            # Without the tag Lava takes its floating-point models and says nothing.
            configuration = Loihi2SimCfg(select_tag="fixed_pt")
            steps = RunSteps(num_steps=rows + network.latency)
            source.run(condition=steps, run_cfg=configuration)
        finally:
            source.stop()
        found: Array = np.load(outputs)
    return found.reshape(len(payloads), network.timesteps, *network.readout)


def main(network: Exported) -> int:
    """The command line; its exit code: 1 if the potentials are not those that are expected."""
    parser = argparse.ArgumentParser(description="Run the network in Lava.")
    example, expected = network.folder / "inputs.npy", network.folder / "expected.npy"
    help_inputs = "inputs of the network, (samples, *shape); by default those of the export"
    parser.add_argument("inputs", nargs="?", type=Path, default=example, help=help_inputs)
    help_output = "where to save the outputs, (samples, *shape of the read-out)"
    parser.add_argument("--output", type=Path, metavar="FILE.npy", help=help_output)
    options = parser.parse_args()
    try:
        potentials = run(network, np.load(options.inputs, allow_pickle=False))
    except (OSError, ValueError) as error:
        print(f"error: {options.inputs}: {error}", file=sys.stderr)
        return 2
    outputs = potentials[:, -1] * network.scale / network.timesteps
    for number, values in enumerate(outputs):
        print(f"sample {number}: largest output at {values.argmax()}: {values.max():.4g}")
    if options.output is not None:
        np.save(options.output, outputs)
    if options.inputs != example:
        return 0
    equal = np.array_equal(potentials, np.load(expected, allow_pickle=False))
    verdict = "all equal to" if equal else "NOT equal to"
    print(f"{potentials.size} potentials, {verdict} those that spikec computed")
    return 0 if equal else 1
