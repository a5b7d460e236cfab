"""The golden model and the simulator agree on whole trained networks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import model_files
import numpy as np
import pytest
from equal_runs import assert_equal, names, piece

from spikec.backends.reference import ReferenceBackend
from spikec.backends.simulator import SimulatorBackend
from spikec.backends.simulator.backend import Engine
from spikec.backends.simulator.events.engine import EventEngine
from spikec.backends.simulator.events.machine import Level, host_machine
from spikec.compiler.errors import OptionError
from spikec.compiler.preprocessing import Preprocessing
from spikec.compiler.program import Program
from spikec.compiler.program_file import load
from spikec.runtime.compile import compile_model
from spikec.runtime.encode import model_inputs, quantise

RAW = Preprocessing(layout="chw")
IMAGENET = Preprocessing(
    scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), layout="chw"
)
CIFAR = Preprocessing(
    scale=1 / 255, mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.201), layout="chw"
)


@dataclass(frozen=True)
class Network:
    """A network for CIFAR-10, and how to compile it."""

    name: str
    preprocessing: Preprocessing
    options: dict[str, Any] = field(default_factory=dict)
    images: int = 16

    def __str__(self) -> str:
        return " ".join([self.name, *(f"{k}={v}" for k, v in self.options.items())])


RESNET8 = Network("mlperftiny_resnet8_cifar10", RAW, {"timesteps": 4, "phi": 4}, 4)
SLOW = [
    Network("mlperftiny_resnet8_cifar10", RAW, {"timesteps": 3, "phi": 255}),
    Network("resnet20_cifar10", IMAGENET, {"timesteps": 8, "phi": 1}),
    Network("resnet20_cifar10", IMAGENET, {"timesteps": 4, "phi": 4}),
    Network(
        "resnet20_cifar10",
        IMAGENET,
        {"timesteps": 2, "phi": 15, "membrane_bits": 12, "weight_bits": 4},
    ),
    Network("resnet20_cifar10_bn", IMAGENET, {"timesteps": 4, "phi": 2, "fire": "retract"}),
    Network("resnet20_cifar10_dynamo20", IMAGENET, {"timesteps": 4, "phi": 1, "windowed": True}),
    Network("resnet20b_cifar10", CIFAR, {"timesteps": 4, "phi": 3, "membrane_bits": 32}),
]


def compiled(network: Network) -> tuple[Program, np.ndarray]:
    """The program, and quantised test images."""
    model = model_files.file(f"nets/{network.name}.onnx")
    with np.load(model_files.file("cifar10.npz")) as archive:
        calibration, images = archive["calib_x"][:8], archive["test_x"][: network.images]
    program = compile_model(
        model, calibration, preprocessing=network.preprocessing, bias_rounds=1, **network.options
    )
    return program, quantise(program, model_inputs(program, images))


def others() -> list[EventEngine]:
    """Engines that plan, order or compute in another way."""
    engines = [EventEngine(1, 1), EventEngine(2, 2**30, narrow=False)]
    for level in (Level.AVX2, Level.GENERIC):
        try:
            host_machine(level)
        except OptionError:
            continue
        engines.append(EventEngine(2, 2**30, level))
    return engines


@pytest.mark.parametrize(
    "network", [RESNET8, *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)], ids=str
)
def test_every_integer_of_a_network_is_the_same(network: Network, tmp_path: Path) -> None:
    program, inputs = compiled(network)
    program.save(tmp_path / "net.spikec")
    reloaded = load(tmp_path / "net.spikec")
    assert reloaded.digest == program.digest
    everything = names(program)
    golden = ReferenceBackend().run(program, inputs, record=everything)
    backend = SimulatorBackend(2, engine=Engine.EVENTS)
    assert_equal(backend.run(reloaded, inputs, record=everything), golden)
    for engine in others():
        assert_equal(engine.run(program, inputs, record=everything), golden)
    repeated = np.arange(40) % len(inputs)  # a batch of 32 and the rest of another
    many = EventEngine(1, 2**30).run(program, inputs[repeated])
    assert_equal(many, piece(golden, repeated, slice(None)))
