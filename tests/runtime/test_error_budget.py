from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import Sketch, silenced
from onnx_models import small_cnn
from typer.testing import CliRunner, Result

import spikec
from spikec.backends.reference import ReferenceBackend
from spikec.compiler.ann import run_model
from spikec.compiler.errors import CompileError, InputError, ModelFileError, OptionError
from spikec.compiler.frontend.from_graph import from_graph
from spikec.compiler.populations import AdaFire, Coding
from spikec.compiler.program import Program
from spikec.runtime import error_walk
from spikec.runtime.cli.application import app
from spikec.runtime.compile import compile_model
from spikec.runtime.encode import quantise
from spikec.runtime.error_budget import ErrorBudget, error_budget
from spikec.runtime.session import run

IMAGES = np.random.default_rng(1).normal(size=(40, 2, 8, 8)).astype(np.float32)
UNSEEN = np.random.default_rng(2).normal(size=(30, 2, 8, 8)).astype(np.float32)


def deep() -> onnx.ModelProto:
    """A residual sum, a max pool, a linear bottleneck, a Clip and an average."""
    sketch = Sketch(2, 8, 8).conv("stem", 4).add("r", "Relu").conv("a", 4).add("ra", "Relu")
    sketch.conv("b", 4).add("sum", "Add", ["b", "r"]).add("rs", "Relu")
    sketch.add("pool", "MaxPool", shape=(4, 4, 4), kernel_shape=(2, 2), strides=(2, 2))
    sketch.conv("narrow", 2, kernel=1).conv("wide", 4, kernel=1)
    sketch.add("clip", "Clip", params={1: np.float32(0), 2: np.float32(1)})
    sketch.add("mean", "GlobalAveragePool", shape=(4, 1, 1))
    graph = sketch.add("flat", "Flatten", shape=(4,), axis=1).gemm("scores", 3).graph()
    return from_graph(graph, ["scores"])


MODELS: dict[str, Callable[[], onnx.ModelProto]] = {"small": small_cnn, "deep": deep}


@pytest.fixture(scope="module", params=list(MODELS))
def case(request: pytest.FixtureRequest) -> tuple[onnx.ModelProto, Program, ErrorBudget]:
    model = MODELS[request.param]()
    program = compile_model(model, IMAGES, timesteps=4, phi=2, bias_rounds=2, simplify=False)
    return model, program, error_budget(program, model, UNSEEN)


def squares(values: np.ndarray) -> float:
    return float((values.astype(np.float64) ** 2).mean())


def log_softmax(values: np.ndarray) -> np.ndarray:
    exact = values.astype(np.float64)
    return np.asarray(exact - np.log(np.exp(exact).sum(axis=1, keepdims=True)))


def test_every_population_has_parts_that_add_up(
    case: tuple[onnx.ModelProto, Program, ErrorBudget],
) -> None:
    _, program, budget = case
    assert [layer.name for layer in budget.layers] == [p.name for p in program.populations]
    for layer in budget.layers:
        assert layer.residual < 1e-9
        assert layer.total == pytest.approx(sum(layer.parts.values()) + layer.cross, abs=1e-12)
        assert layer.bias == pytest.approx(sum(layer.part_bias.values()), abs=1e-9)
        assert layer.saturations == 0
        assert 0 <= layer.offset <= 1 + 1e-9


def test_the_last_effect_is_the_difference_of_program_and_network(
    case: tuple[onnx.ModelProto, Program, ErrorBudget],
) -> None:
    model, program, budget = case
    outputs, expected = run(program, UNSEEN).outputs, run_model(model, UNSEEN)
    assert budget.output == budget.layers[-1].effect
    assert budget.output.output_error == pytest.approx(
        squares(outputs - expected) / squares(expected), rel=1e-4
    )
    logs = [log_softmax(each) for each in (expected, outputs)]
    divergence = (np.exp(logs[0]) * (logs[0] - logs[1])).sum(axis=1).mean()
    assert budget.output.divergence == pytest.approx(divergence, rel=1e-4, abs=1e-9)
    changed = (expected.argmax(axis=1) != outputs.argmax(axis=1)).mean()
    assert budget.output.changed == pytest.approx(changed)


def test_errors_are_those_of_the_recorded_spikes(
    case: tuple[onnx.ModelProto, Program, ErrorBudget],
) -> None:
    model, program, budget = case
    names = [p.name for p in program.populations if p.name != program.readout.name]
    spikes = run(program, UNSEEN, record=names).spikes
    for layer in budget.layers[1:-1]:
        expected = activation(model, layer.name, UNSEEN)
        mean = spikes[layer.name].sum(axis=1) * program.population(layer.name).scale / 4
        assert layer.mean_square == pytest.approx(squares(expected), rel=1e-4)
        assert layer.total == pytest.approx(squares(mean - expected) / squares(expected), rel=1e-4)


def activation(model: onnx.ModelProto, name: str, inputs: np.ndarray) -> np.ndarray:
    """What the model's own node computes."""
    inner = onnx.ModelProto()
    inner.CopyFrom(model)
    found = next(node for node in inner.graph.node if node.name == name)
    del inner.graph.output[:]
    value = onnx.helper.make_tensor_value_info(found.output[0], onnx.TensorProto.FLOAT, None)
    inner.graph.output.append(value)
    return run_model(inner, inputs)


def test_effects_are_those_of_the_float_tail_by_hand() -> None:
    model = small_cnn()
    program = compile_model(model, IMAGES, timesteps=4, phi=2, bias_rounds=2, simplify=False)
    layer = error_budget(program, model, UNSEEN).layers[1]
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}

    def tail(hidden: np.ndarray) -> np.ndarray:
        pooled = hidden.reshape(-1, 4, 4, 2, 4, 2).mean(axis=(3, 5)).reshape(len(hidden), -1)
        return np.asarray(pooled @ constants["v"].T + constants["c"])

    exact = activation(model, "relu", UNSEEN)
    spikes = run(program, UNSEEN, record=["relu"]).spikes["relu"]
    mean = spikes.sum(axis=1) * program.population("relu").scale / 4
    seen = (quantise(program, UNSEEN) * program.input.scale).astype(np.float32)
    own = exact + mean - activation(model, "relu", seen)
    reference = squares(tail(exact))
    for effect, hidden in ((layer.own_effect, own), (layer.effect, mean)):
        error = squares(tail(hidden) - tail(exact)) / reference
        assert effect.output_error == pytest.approx(error, rel=1e-3)


def test_both_backends_and_all_batches_give_the_same_budget(
    case: tuple[onnx.ModelProto, Program, ErrorBudget], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, program, budget = case
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(error_walk, "_BATCH", 7)
    other = error_budget(
        program,
        model,
        UNSEEN,
        simulate=ReferenceBackend(),
        progress=lambda done, total: told.append((done, total)),
    )
    for one, two in zip(budget.layers, other.layers, strict=True):
        assert (one.over, one.under) == (two.over, two.under)
        assert two.total == pytest.approx(one.total, rel=1e-3, abs=1e-9)
        assert two.parts == pytest.approx(one.parts, rel=1e-3, abs=1e-9)
        assert two.own_effect.size == pytest.approx(one.own_effect.size, rel=1e-2, abs=1e-9)
    assert told == sorted(told)
    assert told[-1] == (30, 30)


def test_a_windowed_program_has_no_unevenness() -> None:
    model = deep()
    program = compile_model(
        model, IMAGES, timesteps=4, phi=1, windowed=True, bias_rounds=1, simplify=False
    )
    for layer in error_budget(program, model, UNSEEN, count=5).layers:
        assert layer.parts.get("unevenness", 0.0) == 0.0
        assert layer.over == layer.under == 0.0


@pytest.mark.parametrize("choice", [{"reuse_silent": True}, {"extra_neurons": 0.5}])
def test_copies_are_compared_with_what_they_copy(choice: dict[str, object]) -> None:
    sketch = Sketch(2, 8, 8).conv("stem", 4).add("r", "Relu").conv("a", 4).add("ra", "Relu")
    graph = sketch.add("flat", "Flatten", shape=(256,)).gemm("scores", 3).graph()
    model = from_graph(silenced(graph, "stem", [1]), ["scores"])
    usual = {"timesteps": 8, "phi": 1, "windowed": True, "simplify": False}
    plain, reused = (compile_model(model, IMAGES, **chosen, **usual) for chosen in ({}, choice))
    assert "copies" in reused.provenance
    before, after = (error_budget(each, model, UNSEEN).layers[1] for each in (plain, reused))
    assert after.own_effect.output_error < before.own_effect.output_error
    assert after.parts["rounding"] < before.parts["rounding"]
    assert after.own < before.own


def test_each_kind_of_bad_choice_shows_in_its_part() -> None:
    model = small_cnn()
    usual = {"timesteps": 16, "phi": 15, "bias_rounds": 0}

    def parts(program: Program) -> dict[str, float]:
        return error_budget(program, model, UNSEEN).layers[1].own_parts

    fine = compile_model(model, IMAGES, **usual)
    assert parts(fine)["rounding"] < 1e-4
    coarse = compile_model(model, IMAGES, **usual, weight_bits=3)
    assert next(iter(parts(coarse))) == "weights"
    levels = compile_model(model, IMAGES, timesteps=1, phi=3, threshold_method="maximum")
    assert next(iter(parts(levels))) == "rounding"
    hidden = fine.population("relu")
    assert isinstance(hidden, AdaFire)
    low = replace(hidden, threshold=hidden.threshold // 4, scale=hidden.scale / 4)
    populations = tuple(low if p is hidden else p for p in fine.populations)
    assert next(iter(parts(replace(fine, populations=populations)))) == "clipping"
    moved = replace(hidden, bias=hidden.bias + hidden.threshold)
    populations = tuple(moved if p is hidden else p for p in fine.populations)
    assert next(iter(parts(replace(fine, populations=populations)))) == "correction"


def test_another_model_is_refused() -> None:
    program = compile_model(small_cnn(), IMAGES, timesteps=2, bias_rounds=0)
    with pytest.raises(ModelFileError, match="SHA-256") as caught:
        error_budget(program, small_cnn(seed=5), UNSEEN)
    assert program.provenance["model_sha256"][:12] in caught.value.problem
    assert caught.value.hint


def test_a_program_of_unknown_origin_is_matched_by_its_populations() -> None:
    program = compile_model(small_cnn(), IMAGES, timesteps=2, bias_rounds=0)
    nameless = replace(program, provenance={})
    budget = error_budget(nameless, small_cnn(), UNSEEN, count=3)
    assert len(budget.warnings) == 1
    assert budget.images == 3
    with pytest.raises(CompileError, match="populations"):
        error_budget(nameless, deep(), UNSEEN)


def test_inputs_and_counts_that_cannot_be_used_are_refused() -> None:
    program = compile_model(small_cnn(), IMAGES, timesteps=2, bias_rounds=0)
    with pytest.raises(OptionError, match="count is 0"):
        error_budget(program, small_cnn(), UNSEEN, count=0)
    with pytest.raises(InputError, match="no images"):
        error_budget(program, small_cnn(), UNSEEN[:0])
    with pytest.raises(InputError, match="shape"):
        error_budget(program, small_cnn(), UNSEEN[:, :1])
    frames = replace(program.input, coding=Coding.FRAMES)
    stream = replace(program, populations=(frames, *program.populations[1:]))
    with pytest.raises(InputError, match="event stream"):
        error_budget(stream, small_cnn(), UNSEEN)


def test_it_is_part_of_the_python_interface() -> None:
    assert spikec.error_budget is error_budget


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    onnx.save(deep(), folder / "net.onnx")
    np.savez(folder / "images.npz", x=UNSEEN)
    program = compile_model(
        folder / "net.onnx", IMAGES, timesteps=4, phi=1, bias_rounds=1, simplify=False
    )
    program.save(folder / "net.spikec")
    return folder


def inspect(folder: Path, *arguments: object) -> Result:
    return CliRunner().invoke(app, ["inspect", str(folder / "net.spikec"), *map(str, arguments)])


def test_the_command_prints_parts_effects_and_advice(files: Path) -> None:
    given = ("--errors", "--ann", files / "net.onnx", "--images", f"{files / 'images.npz'}:x")
    result = inspect(files, *given)
    assert result.exit_code == 0, result.output
    for words in ("unevenness", "changed decisions", "narrow", "KL", "try --"):
        assert words in result.stdout


def test_the_command_prints_one_json_object(files: Path) -> None:
    given = ("--ann", files / "net.onnx", "--images", files / "images.npz", "--array", "x")
    result = inspect(files, "--errors", *given, "--count", 9, "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["images"] == 9
    assert content["layers"][1]["parts"].keys() >= {"clipping", "unevenness"}
    assert content["advice"]


def test_the_command_refuses_what_it_cannot_use(files: Path) -> None:
    for arguments in (["--errors"], ["--ann", "a.onnx"], ["--count", "3"]):
        result = inspect(files, *arguments)
        assert result.exit_code == 2, result.output
        assert "--errors" in result.stderr
    onnx.save(small_cnn(), files / "other.onnx")
    images = ("--images", f"{files / 'images.npz'}:x")
    result = inspect(files, "--errors", "--ann", files / "other.onnx", *images)
    assert result.exit_code == 1
    assert "other.onnx" in result.stderr
    assert "SHA-256" in result.stderr
    result = inspect(files, "--errors", "--ann", files / "absent.onnx", *images)
    assert result.exit_code == 1
    assert "absent.onnx" in result.stderr
