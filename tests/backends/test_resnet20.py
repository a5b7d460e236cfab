"""The golden model and the simulator agree on a whole trained network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikec.backends.base import BackendRun
from spikec.backends.reference import ReferenceBackend
from spikec.backends.simulator import SimulatorBackend
from spikec.compiler.preprocessing import Preprocessing
from spikec.compiler.program import Program
from spikec.compiler.program_file import load
from spikec.runtime.compile import compile_model
from spikec.runtime.encode import model_inputs, quantise

FOLDER = Path(
    os.environ.get("SPIKEC_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data"
)
NETWORK = FOLDER / "nets" / "resnet20_cifar10.onnx"
IMAGES = FOLDER / "cifar10.npz"

pytestmark = pytest.mark.skipif(
    not (NETWORK.is_file() and IMAGES.is_file()),
    reason="SPIKEC_DATA has no nets/resnet20_cifar10.onnx and cifar10.npz",
)


def compiled(**options: Any) -> Program:
    with np.load(IMAGES) as archive:
        images = archive["calib_x"][:8]
    normalisation = Preprocessing(
        scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), layout="chw"
    )
    return compile_model(NETWORK, images, preprocessing=normalisation, bias_rounds=2, **options)


def inputs(program: Program) -> np.ndarray:
    with np.load(IMAGES) as archive:
        return quantise(program, model_inputs(program, archive["test_x"][:4]))


def assert_equal(ours: BackendRun, golden: BackendRun) -> None:
    assert np.array_equal(ours.readout, golden.readout)
    for name, spikes in golden.spikes.items():
        assert np.array_equal(ours.spikes[name], spikes), name
    for name, membranes in golden.membranes.items():
        assert np.array_equal(ours.membranes[name], membranes), name
    for name, counts in golden.populations.items():
        for field in ("events", "spikes", "saturations"):
            assert np.array_equal(getattr(ours.populations[name], field), getattr(counts, field))
    for mine, theirs in zip(ours.connections, golden.connections, strict=True):
        for field in ("events", "spikes", "zero_events", "zero_spikes"):
            assert np.array_equal(getattr(mine, field), getattr(theirs, field))


@pytest.mark.parametrize(
    "options",
    [
        {"timesteps": 4, "phi": 4},
        pytest.param({"timesteps": 8, "phi": 1}, marks=pytest.mark.slow),
        pytest.param({"timesteps": 4, "phi": 2, "fire": "retract"}, marks=pytest.mark.slow),
        {"timesteps": 4, "phi": 1, "windowed": True},
        pytest.param(
            {"timesteps": 2, "phi": 15, "membrane_bits": 12, "weight_bits": 4},
            marks=pytest.mark.slow,
        ),
    ],
    ids=str,
)
def test_every_integer_is_the_same_and_survives_the_file(
    options: dict[str, Any], tmp_path: Path
) -> None:
    program = compiled(**options)
    program.save(tmp_path / "net.spikec")
    reloaded = load(tmp_path / "net.spikec")
    assert reloaded.digest == program.digest
    everything = frozenset(population.name for population in program.populations)
    quantised = inputs(program)
    golden = ReferenceBackend().run(program, quantised, record=everything)
    assert_equal(SimulatorBackend().run(reloaded, quantised, record=everything), golden)
