"""Lava emits the integers of the golden model on whole trained networks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import model_files
import numpy as np
import pytest
from lava_runs import Task, assert_same, golden, run_in_lava, same

from spikec.backends.simulator import SimulatorBackend
from spikec.compiler.preprocessing import Preprocessing
from spikec.compiler.program import Program
from spikec.runtime.compile import compile_model
from spikec.runtime.encode import model_inputs, quantise

MODELS = Path(__file__).resolve().parents[3] / "models"
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


@dataclass(frozen=True)
class Network:
    """A network, its images, and how it is compiled."""

    model: str
    preprocessing: Preprocessing
    images: str = "cifar10.npz"
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join([self.model, *(f"{k}={v}" for k, v in self.options.items())])

    def compiled(self, images: int) -> tuple[Program, np.ndarray]:
        """The program, and quantised test images."""
        bundled = MODELS / "networks" / f"{self.model}.onnx"
        model = bundled if bundled.exists() else model_files.file(f"nets/{self.model}.onnx")
        file = MODELS / self.images if bundled.exists() else model_files.file(self.images)
        with np.load(file) as archive:
            calibration = archive["calib_x" if "calib_x" in archive else "x"][:16]
            test = archive["test_x" if "test_x" in archive else "x"][-images:]
        program = compile_model(
            model, calibration, preprocessing=self.preprocessing, bias_rounds=1, **self.options
        )
        return program, quantise(program, model_inputs(program, test))


def fashion(pooling: str, **options: object) -> Network:
    grey = Preprocessing(scale=1 / 255, layout="hw")
    return Network(f"fashion_{pooling}", grey, "demo_images.npz", options)


def resnet20(**options: object) -> Network:
    preprocessing = Preprocessing(scale=1 / 255, layout="chw", **IMAGENET)
    return Network("resnet20_cifar10", preprocessing, options=options)


def resnet8(**options: object) -> Network:
    return Network("mlperftiny_resnet8_cifar10", Preprocessing(layout="chw"), options=options)


RESNET8 = resnet8(timesteps=4, phi=4)
MOBILENET = Network(
    "mobilenet_v1_0p25_128",
    Preprocessing(mean=(127.5,), std=(127.5,), layout="hwc"),
    "imagenet_sample_200_u8_128.npz",
    {"timesteps": 4, "phi": 8},
)
RULES = [
    {"phi": 1, "timesteps": 16},
    {"phi": 15, "timesteps": 4},
    {"phi": 1, "timesteps": 8, "fire": "retract"},
    {"phi": 15, "timesteps": 4, "fire": "retract"},
    {"phi": 1, "timesteps": 8, "windowed": True},
    {"phi": 15, "timesteps": 2, "windowed": True},
]
BY_LAYER = [
    *(fashion(pooling, **rule) for pooling in ("avgpool", "maxpool") for rule in RULES),
    *(network(**rule) for network in (resnet8, resnet20) for rule in RULES),
]


@pytest.mark.slow
@pytest.mark.parametrize("network", BY_LAYER, ids=str)
def test_every_integer_of_a_network_is_the_same_layer_by_layer(network: Network) -> None:
    program, inputs = network.compiled(4)
    for processes in ("own", "auto"):
        task = Task(program, inputs, "layer", processes)
        (results,) = run_in_lava([task])
        assert_same(results, golden(task), task)


@pytest.mark.slow
def test_a_network_on_lavas_own_convolutions_is_the_same() -> None:
    program, inputs = RESNET8.compiled(1)
    task = Task(program, inputs, "layer", "stock")
    (results,) = run_in_lava([task])
    assert_same(results, golden(task), task)


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    BY_LAYER,
    ids=str,
)
def test_the_outputs_of_a_hundred_images_are_the_same_in_one_process(network: Network) -> None:
    program, inputs = network.compiled(100)
    (results,) = run_in_lava([Task(program, inputs, "network", probes=frozenset())])
    same(results.outputs, SimulatorBackend().run(program, inputs).readout, "readout")


@pytest.mark.slow
def test_every_integer_of_a_mobilenet_is_the_same_in_one_process() -> None:
    program, inputs = MOBILENET.compiled(1)
    task = Task(program, inputs, "network")
    (results,) = run_in_lava([task])
    assert_same(results, golden(task), task)
