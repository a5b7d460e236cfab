from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from spikec.backends.base import Backend
from spikec.compiler import ann
from spikec.compiler.arrays import Array
from spikec.compiler.errors import InputError, ModelFileError, OptionError
from spikec.compiler.program import Program, TailOp
from spikec.runtime.encode import quantise
from spikec.runtime.evaluate import among_top, ann_classes, evaluate
from spikec.runtime.inputs import ImageFiles
from spikec.runtime.tables import joules, layer_rows, quantity, step_rows, summary_rows

FLOAT = TensorProto.FLOAT
WEIGHTS = np.array([[1.0, -0.5], [0.3, 0.2], [-0.7, 0.4]], np.float32)


def linear_model(tail: Sequence[str] = (), outputs: int = 2) -> onnx.ModelProto:
    names = ["x", *(f"v{i}" for i in range(len(tail))), "y"]
    nodes = [helper.make_node("MatMul", ["x", "w"], [names[1]])]
    for i, op in enumerate(tail):
        nodes.append(helper.make_node(op, [names[i + 1]], [names[i + 2]], axis=1))
    kind = TensorProto.INT64 if "ArgMax" in tail else FLOAT
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", kind, None)],
        [onnx.numpy_helper.from_array(WEIGHTS[:, :outputs].copy(), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.fixture
def labels(images: Array) -> Array:
    return np.random.default_rng(3).integers(0, 2, len(images))


def test_accuracy_at_every_step_equals_a_plain_loop(
    program: Program, plain_loops: Backend, images: Array, labels: Array
) -> None:
    readout = plain_loops.run(program, quantise(program, images)).readout
    expected = [
        sum(int(readout[i, t].argmax() == labels[i]) for i in range(23)) / 23 for t in range(4)
    ]
    report = evaluate(program, images, labels, backend=plain_loops, batch_size=5)
    assert report.accuracy_by_step == pytest.approx(expected)
    assert report.accuracy == pytest.approx(expected[-1])
    p = expected[-1]
    assert report.accuracy_error == pytest.approx((p * (1 - p) / 23) ** 0.5)
    assert (report.images, report.timesteps, report.backend) == (23, 4, "plain loops")
    assert report.digest == program.digest


def test_agreement_and_ann_accuracy_equal_the_float_model(
    program: Program, plain_loops: Backend, images: Array, labels: Array
) -> None:
    float_classes = (images @ WEIGHTS).argmax(axis=1)
    snn = plain_loops.run(program, quantise(program, images)).readout[:, -1].argmax(axis=1)
    report = evaluate(program, images, labels, linear_model(), plain_loops, batch_size=7)
    assert report.ann_accuracy == pytest.approx((float_classes == labels).mean())
    assert report.agreement == pytest.approx((float_classes == snn).mean())
    assert 0 < report.agreement < 1


@pytest.mark.parametrize("tail", [("Softmax",), ("ArgMax",), ("Softmax", "ArgMax")])
def test_the_tail_of_the_model_does_not_change_its_class(
    make_program: Callable[..., Program],
    plain_loops: Backend,
    images: Array,
    labels: Array,
    tail: tuple[str, ...],
) -> None:
    program = make_program(tail=tuple(TailOp(op) for op in tail))
    report = evaluate(program, images, labels, linear_model(tail), plain_loops)
    expected = ((images @ WEIGHTS).argmax(axis=1) == labels).mean()
    assert report.ann_accuracy == pytest.approx(expected)


def test_a_single_sigmoid_output_is_split_at_one_half(with_output: Callable[..., Program]) -> None:
    program = with_output(1)
    logits = np.array([[0.4], [-0.1]])
    assert ann_classes(program, logits).tolist() == [1, 0]
    sigmoid = replace(program, tail=(TailOp("Sigmoid"),))
    assert ann_classes(sigmoid, 1 / (1 + np.exp(-logits))).tolist() == [1, 0]


def test_another_model_is_refused_by_its_outputs(
    program: Program, plain_loops: Backend, images: Array
) -> None:
    with pytest.raises(InputError, match="1 outputs per image, the program has 2") as caught:
        evaluate(program, images, ann=linear_model(outputs=1), backend=plain_loops)
    assert caught.value.where.node == "scores"


def test_a_model_that_is_no_model_is_refused_by_name(
    program: Program, plain_loops: Backend, images: Array, tmp_path: Path
) -> None:
    file = tmp_path / "net.onnx"
    file.write_text("no model")
    with pytest.raises(ModelFileError) as caught:
        evaluate(program, images, ann=file, backend=plain_loops)
    assert caught.value.where.file == str(file)


def test_counts_do_not_depend_on_the_batches(
    program: Program, plain_loops: Backend, images: Array
) -> None:
    whole = evaluate(program, images, backend=plain_loops)
    parts = evaluate(program, images, backend=plain_loops, batch_size=4)
    assert parts.to_dict() == whole.to_dict()
    raw = plain_loops.run(program, quantise(program, images))
    hidden = parts.layers[1]
    assert hidden.spikes.sum() == raw.populations["hidden"].spikes.sum()
    assert parts.layers[2].graded.sum() == raw.connections[1].events.sum()


def test_images_are_taken_a_batch_at_a_time(
    program: Program, plain_loops: Backend, images: Array, labels: Array
) -> None:
    class Slices:
        longest = 0

        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, rows: slice, /) -> Array:
            self.longest = max(self.longest, rows.stop - rows.start)
            return images[rows]

    source = Slices()
    seen: list[tuple[int, int]] = []
    evaluate(
        program,
        source,
        labels,
        backend=plain_loops,
        batch_size=10,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert source.longest == 10
    assert seen == [(10, 23), (20, 23), (23, 23)]


def test_without_labels_there_are_counts_but_no_accuracy(
    program: Program, plain_loops: Backend, images: Array
) -> None:
    report = evaluate(program, images, backend=plain_loops)
    assert report.accuracy is None
    assert report.accuracy_error is None
    assert report.agreement is None
    assert report.accuracy_by_step == ()
    assert report.layers[1].spikes.sum() > 0
    assert report.firing_rate == report.layers[1].firing_rate


def test_top_five_counts_the_five_highest_and_the_first_of_equals() -> None:
    random = np.random.default_rng(0)
    scores = random.integers(0, 6, (200, 9)).astype(float)
    labels = random.integers(0, 9, 200)
    expected = [
        labels[i] in sorted(range(9), key=lambda c: (-scores[i, c], c))[:5] for i in range(200)
    ]
    assert among_top(scores, labels, 5).tolist() == expected


def test_two_classes_have_no_top_five(
    program: Program, plain_loops: Backend, images: Array, labels: Array
) -> None:
    assert evaluate(program, images, labels, backend=plain_loops).top5 is None


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (lambda y: y[:-1], "22 labels for 23 images"),
        (lambda y: y + 1, r"label 2 of image \d+ is no class; classes are 0…1"),
        (lambda y: y.astype(str), "one class number per image"),
    ],
)
def test_labels_that_do_not_fit_are_refused_before_the_run(
    program: Program,
    images: Array,
    labels: Array,
    changed: Callable[[Array], Array],
    problem: str,
) -> None:
    class NeverRun:
        name = "never run"

        def run(self, *args: object, **options: object) -> object:
            raise AssertionError("the labels should have been checked first")

    with pytest.raises(InputError, match=problem):
        evaluate(program, images, changed(labels), backend=NeverRun())  # type: ignore[arg-type]


def test_labels_of_a_program_that_does_not_classify_are_refused(
    with_output: Callable[..., Program], plain_loops: Backend, images: Array, labels: Array
) -> None:
    maps = with_output(2, 3)
    with pytest.raises(InputError, match="one score per class") as caught:
        evaluate(maps, images, labels, backend=plain_loops)
    assert caught.value.where.node == "scores"


def test_no_images_and_empty_batches_are_refused(
    program: Program, plain_loops: Backend, images: Array
) -> None:
    with pytest.raises(InputError, match="no images") as caught:
        evaluate(program, ImageFiles((), "hwc"), backend=plain_loops)
    assert caught.value.where.node == "pixels"
    with pytest.raises(OptionError, match="batch size is 0"):
        evaluate(program, images, backend=plain_loops, batch_size=0)


def test_a_report_is_json(
    program: Program, plain_loops: Backend, images: Array, labels: Array
) -> None:
    report = evaluate(program, images, labels, linear_model(), plain_loops)
    content = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert content["accuracy"] == report.accuracy
    assert set(content["energy"]) == {"cmos45_fp32", "cmos45_int8", "loihi1_2018"}
    assert content["layers"][1]["spikes"] == int(report.layers[1].spikes.sum())
    assert content["energy"]["cmos45_int8"]["status"] == "estimate"


def test_rows_show_what_was_measured(
    program: Program, plain_loops: Backend, images: Array, labels: Array
) -> None:
    report = evaluate(program, images, labels, linear_model(), plain_loops)
    assert [name for name, _ in summary_rows(report)] == [
        *("images", "time steps T", "accuracy", "accuracy of the ANN"),
        *("agreement with the ANN", "firing rate", "saturated updates", "backend", "program"),
    ]
    rows = layer_rows(report.layers)
    assert [row[0] for row in rows] == ["pixels", "hidden", "scores", "total"]
    assert rows[-1][2:] == (*rows[1][2:4], *rows[2][4:6], rows[1][6])


@pytest.mark.parametrize(
    ("timesteps", "first", "columns", "number"),
    [
        (1, "t = 1", 1, 1),
        (4, "t = 1 … 4", 4, 1),
        (20, "t = 1 … 8", 8, 3),
        (130, "t = 1 … 22", 8, 6),
    ],
)
def test_accuracy_stands_eight_steps_in_a_row_and_ends_with_the_last(
    program: Program, plain_loops: Backend, images: Array, labels: Array,
    timesteps: int, first: str, columns: int, number: int,
) -> None:  # fmt: skip
    measured = evaluate(program, images, labels, backend=plain_loops)
    shares = tuple(t / timesteps for t in range(1, timesteps + 1))
    rows = step_rows(replace(measured, timesteps=timesteps, accuracy_by_step=shares))
    assert (rows[0][0], len(rows)) == (first, number)
    assert {len(row) for row in rows} == {columns + 1}
    assert [text for text in rows[-1] if text][-1] == "100.00"


def test_the_ann_is_loaded_once(
    program: Program, plain_loops: Backend, images: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[object] = []

    class Counted(ann.OnnxSession):
        def __init__(self, model: onnx.ModelProto) -> None:
            loaded.append(model)
            super().__init__(model)

    monkeypatch.setattr(ann, "OnnxSession", Counted)
    model = linear_model()
    evaluate(program, images, ann=model, backend=plain_loops, batch_size=4)
    assert loaded == [model]


def test_quantities_and_energies_have_three_digits_and_a_prefix() -> None:
    assert [quantity(x) for x in (0, 12.25, 9999, 12345, 4.1e6, 7e9)] == [
        *("0", "12.2", "9,999", "12.3 k", "4.1 M", "7 G"),
    ]
    assert [joules(x) for x in (0.5, 1234, 5.67e6, 8.9e9)] == [
        *("0.5 pJ", "1.23 nJ", "5.67 µJ", "8.9 mJ"),
    ]
