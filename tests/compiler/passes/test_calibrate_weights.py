from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from graphs import Sketch
from onnx_models import small_cnn
from source_tree import ROOT

import spikec
from spikec.backends.reference import ReferenceBackend
from spikec.compiler.ann import Ann, run_model
from spikec.compiler.calibration import Calibration
from spikec.compiler.errors import OptionError, UnsupportedOpError
from spikec.compiler.frontend.load import load_graph
from spikec.compiler.gradient.distillation import Lesson, distilled
from spikec.compiler.gradient.library import REQUIREMENT, need_torch
from spikec.compiler.gradient.operators import operation
from spikec.compiler.gradient.spiking import rounded
from spikec.compiler.gradient.student import Student
from spikec.compiler.ir import Graph, Node
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.calibrate_thresholds import calibrate_thresholds
from spikec.compiler.passes.calibrate_weights import calibrate_weights
from spikec.compiler.passes.fold_affine import FOLD_AFFINE
from spikec.compiler.passes.move_activations import MOVE_ACTIVATIONS
from spikec.compiler.passes.place_neurons import place_neurons
from spikec.compiler.passes.quantize_weights import quantize_weights
from spikec.compiler.pipeline import compile_graph
from spikec.compiler.softmax import log_softmax

if importlib.util.find_spec("torch") is None:
    pytest.skip("torch, an optional library, is not installed", allow_module_level=True)
import torch

OPTIONS = CompileOptions(timesteps=2, phi=2, weight_calibration="gradient")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def images(*shape: int, count: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (count, *shape)).astype(np.float32)


def placed(graph: Graph, options: CompileOptions = OPTIONS) -> Graph:
    for step in (FOLD_AFFINE, MOVE_ACTIVATIONS, place_neurons(options)):
        graph = step.apply(graph)
    calibration = Calibration(images(*graph.input.known_shape()), Ann())
    return calibrate_thresholds(calibration, options).apply(graph)


def residual() -> Sketch:
    sketch = Sketch(3, 6, 6).conv("stem", 4).add("r", "Relu").conv("a", 4).add("ra", "Relu")
    sketch.conv("b", 4).add("sum", "Add", ["b", "r"]).add("out", "Relu")
    return (
        sketch.add("pool", "GlobalAveragePool", shape=(4, 1, 1))
        .add("flat", "Flatten", shape=(4,))
        .gemm("head", 5)
    )


def windows() -> Sketch:
    sketch = Sketch(2, 9, 9).conv("stem", 4, stride=2).batch_norm("bn").add("r", "Relu")
    sketch.add(
        "max",
        "MaxPool",
        shape=(4, 3, 3),
        kernel_shape=(2, 2),
        strides=(2, 2),
        pads=(0, 1, 0, 0),
        ceil_mode=1,
    )
    sketch.add("mean", "AveragePool", shape=(4, 3, 3), kernel_shape=(3, 3), pads=(1, 1, 1, 1))
    sketch.conv("deep", 4, groups=4).add("r6", "Clip", params={1: np.float32(0), 2: np.float32(1)})
    return sketch


def maps() -> Sketch:
    sketch = Sketch(3, 4, 4).conv("stem", 4).add("r", "Relu")
    sketch.add("cut", "Slice", shape=(4, 2, 4), params={1: [0], 2: [4], 3: [2], 4: [2]})
    sketch.add("pad", "Pad", shape=(6, 2, 4), params={1: [0, 1, 0, 0, 0, 1, 0, 0]})
    sketch.add("turned", "Transpose", shape=(6, 4, 2), perm=(0, 1, 3, 2))
    sketch.add("both", "Concat", ["turned", "turned"], shape=(12, 4, 2), axis=1)
    return (
        sketch.conv("mix", 3)
        .add("r2", "Relu")
        .add("flat", "Reshape", shape=(24,), params={1: [0, -1]})
        .gemm("head", 4)
    )


def products() -> Sketch:
    random = np.random.default_rng(1)
    sketch = Sketch(6).gemm("a", 8).add("r", "Relu")
    weights = random.normal(0, 1, (8, 3)).astype(np.float32)
    return sketch.add("head", "MatMul", shape=(3,), params={1: weights})


def enlarged() -> Sketch:
    weights = np.random.default_rng(1).normal(0, 1, (4, 2, 3, 3)).astype(np.float32)
    sketch = Sketch(3, 4, 4).conv("stem", 4).add("r", "Relu")
    return sketch.add(
        "up",
        "ConvTranspose",
        shape=(2, 8, 8),
        params={1: weights},
        strides=(2, 2),
        pads=(1, 1, 1, 1),
        output_padding=(1, 1),
    )


GRAPHS = {f.__name__: f for f in (residual, windows, maps, products, enlarged)}


@pytest.mark.parametrize("name", GRAPHS)
def test_the_network_in_torch_equals_onnxruntime(name: str) -> None:
    graph = placed(GRAPHS[name]().graph())
    student = Student(graph, OPTIONS)
    inputs = images(*graph.input.known_shape(), count=8, seed=1)
    found = student.exact(student.parameters, torch.from_numpy(inputs))
    (expected,) = Ann().activations(graph, student.populations, [inputs])
    for population in student.populations:
        size = np.abs(expected[population]).max()
        assert np.abs(found[population].numpy() - expected[population]).max() < 1e-4 * size


@pytest.mark.parametrize("name", GRAPHS)
def test_weights_lie_where_their_integers_lie(name: str) -> None:
    graph = placed(GRAPHS[name]().graph())
    student = Student(graph, OPTIONS)
    calibration = Calibration(images(*graph.input.known_shape()), Ann())
    direct = quantize_weights(calibration, OPTIONS).apply(graph)
    learnt = quantize_weights(calibration, OPTIONS).apply(student.graph(student.parameters))
    for node in direct:
        if node.quantized is None:
            continue
        other = learnt[node.name].quantized
        assert other is not None
        for one, two in zip(node.quantized.connections, other.connections, strict=True):
            for factor, again in zip(one.factors, two.factors, strict=True):
                if hasattr(factor, "weights"):
                    # One unit: thresholds are rounded too, which moves the grid by a little.
                    assert np.abs(factor.weights.astype(int) - again.weights).max() <= 1


def loss_on(graph: Graph, student: Student, parameters: Any, inputs: np.ndarray) -> float:
    batch = torch.from_numpy(inputs)
    with torch.no_grad():
        exact = student.exact(student.parameters, batch)[student.output]
        found = rounded(student, parameters, batch)[student.output]
    return float((exact - found).square().mean() / exact.square().mean())


@pytest.mark.parametrize("name", ["residual", "products"])
def test_the_outputs_error_falls_on_unseen_inputs(name: str) -> None:
    graph = placed(GRAPHS[name]().graph())
    student = Student(graph, OPTIONS)
    shape = graph.input.known_shape()
    lesson = Lesson(steps=100, batch=32, scores=False)
    learnt = distilled(student, images(*shape, count=512), lesson)
    assert learnt.after < learnt.before
    unseen = images(*shape, count=256, seed=9)
    before = loss_on(graph, student, student.parameters, unseen)
    assert loss_on(graph, student, learnt.parameters, unseen) < before


def test_a_lesson_that_does_not_help_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = placed(residual().graph())
    worse = {"weight": 10.0, "bias": 10.0, "threshold": 1.0}
    monkeypatch.setattr("spikec.compiler.gradient.adam._RATES", worse)
    calibration = Calibration(images(3, 6, 6), Ann())
    graph = quantize_weights(calibration, OPTIONS).apply(graph)
    assert calibrate_weights(calibration, OPTIONS).apply(graph) is graph


def test_threads_change_nothing() -> None:
    student = Student(placed(residual().graph()), OPTIONS)
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        lesson = Lesson(steps=3, batch=32, scores=True, threads=4)
        found.append(distilled(student, images(3, 6, 6), lesson))
        assert torch.get_num_threads() == threads
    one, two = found
    assert (one.before, one.after) == (two.before, two.after)
    assert all(torch.equal(one.parameters[key], two.parameters[key]) for key in one.parameters)


def test_every_step_is_told() -> None:
    student = Student(placed(products().graph()), OPTIONS)
    told: list[tuple[int, int]] = []
    lesson = Lesson(steps=3, batch=8, scores=False)
    distilled(student, images(6, count=16), lesson, lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_the_same_seed_gives_the_same_program_and_it_is_closer_to_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("spikec.compiler.passes.calibrate_weights._STEPS", (40, 40))
    network = ROOT / "models/networks/fashion_avgpool.onnx"
    demo = np.load(ROOT / "models/demo_images.npz")
    calibration, unseen = (np.float32(demo[name][:, None] / 255) for name in ("calib_x", "test_x"))
    exact = log_softmax(run_model(network, unseen), 1)
    digests, distances = [], []
    for weights in ("gradient", "gradient", "none"):
        program = spikec.compile(
            network, calibration, timesteps=2, phi=1, weight_calibration=weights
        )
        found = log_softmax(spikec.run(program, unseen).outputs, 1)
        digests.append(program.digest)
        distances.append(float((np.exp(exact) * (exact - found)).sum(1).mean()))
    assert digests[0] == digests[1] != digests[2]
    assert distances[0] < distances[2]


def test_what_only_mixed_images_gain_by_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two images of white noise laid over each other are quieter, unlike any image."""
    monkeypatch.setattr("spikec.compiler.passes.calibrate_weights._STEPS", (200, 200))
    large = dict.fromkeys(("weight", "bias", "threshold"), 4e-4)  # few steps, random weights
    monkeypatch.setattr("spikec.compiler.gradient.adam._RATES", large)
    monkeypatch.setattr("spikec.compiler.gradient.distillation._PACES", (4.0, 4.0))
    loaded, inputs = load_graph(small_cnn()), images(2, 8, 8, count=512)
    digests = []
    for weights in ("gradient", "none"):
        options = CompileOptions(
            timesteps=2, phi=3, input_bits=9, calibration_images=512, weight_calibration=weights
        )
        compiled = compile_graph(loaded, inputs, options, ReferenceBackend())
        digests.append(compiled.program.digest)
    assert digests[0] == digests[1]


def test_an_operator_without_a_form_in_torch_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedOpError) as caught:
        operation(Node("soft", "Softmax", shape=(3,)), ((3,),))
    assert (caught.value.where.node, caught.value.where.op) == ("soft", "Softmax")
    assert "fit" in caught.value.hint


def test_without_torch_the_pinned_version_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else find(name)
    )
    with pytest.raises(OptionError) as caught:
        need_torch()
    assert f'pip install "{REQUIREMENT}"' in caught.value.hint
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert re.search(f"^{re.escape(REQUIREMENT)}$", pinned, re.MULTILINE)


def test_an_unknown_weight_calibration_is_refused() -> None:
    with pytest.raises(OptionError) as caught:
        CompileOptions(weight_calibration="best")
    assert "'best'" in caught.value.problem
    assert "gradient" in caught.value.hint
