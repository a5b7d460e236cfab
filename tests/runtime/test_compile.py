from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from spikec.compiler.ann import run_model
from spikec.compiler.arrays import Array
from spikec.compiler.errors import CalibrationError, CompileWarning, InputError, OptionError
from spikec.compiler.populations import AdaFire
from spikec.compiler.preprocessing import Preprocessing
from spikec.runtime import compile as compiling
from spikec.runtime.compile import compile_model
from spikec.runtime.preprocess import Raw
from spikec.runtime.session import run

STEPS = Preprocessing(scale=1 / 255, mean=(0.5,), std=(0.25,), layout="hwc")
PHOTOS = np.random.default_rng(2).integers(0, 256, (60, 6, 5, 3), np.uint8)


def convolution() -> onnx.ModelProto:
    """Input with open height and width → 3×3 convolution → Relu → mean over space."""
    weights = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["y"], "mean"),
    ]
    shapes = {"x": ["N", 3, "H", "W"], "y": ["N", 4, 1, 1]}
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()]
    graph = helper.make_graph(
        nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(weights, "w")]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def test_raw_calibration_images_give_the_program_of_ready_ones() -> None:
    ready = ((PHOTOS / np.float32(255) - 0.5) / 0.25).transpose(0, 3, 1, 2).astype(np.float32)
    options = {"timesteps": 2, "calibration_images": 20, "seed": 3}
    raw = compile_model(convolution(), PHOTOS, preprocessing=STEPS, **options)
    expected = compile_model(convolution(), ready, **options)
    assert raw.preprocessing == STEPS
    assert expected.preprocessing is None
    for one, other in zip(raw.populations, expected.populations, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one.scale, other.scale, rtol=1e-5)


def test_only_the_calibration_images_that_are_used_are_preprocessed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []

    def counted(raw: Raw, steps: Preprocessing) -> Array:
        seen.append(len(raw))
        raise InputError("seen")

    monkeypatch.setattr(compiling, "preprocess", counted)
    with pytest.raises(InputError, match="seen"):
        compile_model(convolution(), PHOTOS, preprocessing=STEPS, calibration_images=7)
    assert seen == [7]


def test_open_axes_are_those_of_the_calibration_inputs() -> None:
    batches = [PHOTOS.transpose(0, 3, 1, 2).astype(np.float32)]
    for calibration in (batches[0], batches):
        program = compile_model(convolution(), calibration, timesteps=1, calibration_images=8)
        assert program.input.shape == (3, 6, 5)


@pytest.mark.parametrize("wrong", [{"timesteps": 0}, {"phi": 0}, {"calibration_images": 0}])
def test_options_out_of_range_are_refused_before_the_model_is_read(wrong: dict[str, int]) -> None:
    with pytest.raises(OptionError, match="is 0"):
        compile_model("absent.onnx", PHOTOS, **wrong)


def test_potentials_per_neuron_run_alike_on_both_backends() -> None:
    pattern = np.random.default_rng(4).normal(size=(1, 3, 6, 5))
    noise = np.random.default_rng(5).normal(0, 0.2, (60, 3, 6, 5))
    inputs = (pattern + noise).astype(np.float32)
    with pytest.warns(CompileWarning, match="initial potential"):
        program = compile_model(
            convolution(), inputs, timesteps=4, phi=9, weight_bits=3, potential_calibration=True
        )
    assert any(p.initial.shape == (4, 6, 5) for p in program.populations if isinstance(p, AdaFire))
    one, other = (run(program, inputs[:7], backend) for backend in ("simulator", "reference"))
    np.testing.assert_array_equal(one.outputs_by_step, other.outputs_by_step)


def test_a_stream_of_images_is_not_held() -> None:
    read = 0

    def batches() -> Iterator[Array]:
        nonlocal read
        random = np.random.default_rng(0)
        for _ in range(200):
            read += 250
            yield random.normal(size=(250, 3, 6, 5)).astype(np.float32)

    tracemalloc.start()
    program = compile_model(
        convolution(),
        batches(),
        input_shape=(3, 6, 5),
        timesteps=2,
        bias_rounds=1,
        calibration_images=64,
        threshold_images=1_000_000,
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert read == 50_000
    # All images are 18 MB, their activations 24 MB as float32.
    assert peak < 12e6
    assert program.provenance["calibration_images"] == "64"


def test_labels_go_with_their_images_whatever_is_drawn() -> None:
    images = PHOTOS.transpose(0, 3, 1, 2).astype(np.float32)
    outputs = run_model(convolution(), images).reshape(60, -1)
    options = {"timesteps": 3, "phi": 1, "calibration_images": 40, "exit_loss": 20.0}
    expected = compile_model(convolution(), images, **options)
    assert expected.exit_rule is not None
    for calibration in (images, [images]):
        by_ann = compile_model(convolution(), calibration, **options)
        by_labels = compile_model(
            convolution(), calibration, labels=outputs.argmax(axis=1).tolist(), **options
        )
        assert by_labels.digest == by_ann.digest
        assert '"right_by": "labels"' in by_labels.provenance["exits"]


def test_labels_that_nobody_asks_for_or_that_are_too_few_are_refused() -> None:
    images = PHOTOS.transpose(0, 3, 1, 2).astype(np.float32)
    with pytest.raises(OptionError, match="nothing asks for them"):
        compile_model(convolution(), images, labels=[0] * 60)
    with pytest.raises(InputError, match="59 labels for 60 images"):
        compile_model(convolution(), images, labels=[0] * 59, exit_loss=1.0)
    with pytest.raises(CalibrationError, match="30 labels for 60"):
        compile_model(convolution(), [images], labels=[0] * 30, exit_loss=1.0)
