from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from spikec.compiler.arrays import Array
from spikec.compiler.errors import InputError
from spikec.compiler.populations import Coding, Input
from spikec.compiler.preprocessing import Preprocessing
from spikec.compiler.program import Program, TailOp
from spikec.runtime.encode import class_scores, decode, decode_steps, model_inputs, quantise, tail

MakeProgram = Callable[..., Program]


def with_input(program: Program, population: Input) -> Program:
    return replace(program, populations=(population, *program.populations[1:]))


def test_input_integers_are_the_clipped_rounded_affine_map(program: Program) -> None:
    gain, offset = np.array([2.0, 0.5, 1.0]), np.array([0.1, -0.2, 0.0])
    population = Input("pixels", (3,), 6, np.array([0.04]), gain, offset)
    x = np.random.default_rng(0).uniform(-1, 1, (50, 3)).astype(np.float32)
    expected = np.clip(np.rint((x.astype(np.float64) * gain + offset) / 0.04), -31, 31)
    q = quantise(with_input(program, population), x)
    assert q.dtype == np.int8
    np.testing.assert_array_equal(q, expected)
    assert {q.min(), q.max()} == {-31, 31}


def test_halves_round_to_the_even_integer(program: Program) -> None:
    population = Input("pixels", (3,), 8, np.array([1.0]), np.ones(1), np.zeros(1))
    q = quantise(with_input(program, population), np.array([[0.5, 1.5, -2.5]]))
    assert q.tolist() == [[0, 2, -2]]


def test_more_than_8_bits_make_16_bit_integers(program: Program) -> None:
    population = Input("pixels", (3,), 16, np.array([1e-5]), np.ones(1), np.zeros(1))
    q = quantise(with_input(program, population), np.ones((1, 3)))
    assert q.dtype == np.int16
    assert q.tolist() == [[32767] * 3]


def test_an_event_stream_has_a_step_axis(program: Program) -> None:
    population = Input("pixels", (3,), 8, np.array([1.0]), np.ones(1), np.zeros(1), Coding.FRAMES)
    frames = with_input(program, population)
    assert quantise(frames, np.ones((2, 4, 3))).shape == (2, 4, 3)
    with pytest.raises(InputError, match=r"\(images, 4, 3\)"):
        quantise(frames, np.ones((2, 3)))


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        (np.zeros((2, 4)), r"shape \(2, 4\), expected \(images, 3\)"),
        (np.zeros(3), r"shape \(3,\)"),
        (np.zeros((0, 3)), "no images"),
        (np.array([[0, 0, 0], [0, np.nan, 0]]), "image 1 holds NaN"),
        (np.array([[np.inf, 0, 0]]), "image 0 holds NaN or infinity"),
        (np.zeros((1, 3), complex), "numbers are needed"),
    ],
)
def test_inputs_that_do_not_fit_name_the_input(
    program: Program, inputs: Array, problem: str
) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        model_inputs(program, inputs)
    assert caught.value.where.node == "pixels"


def test_a_missing_batch_axis_is_hinted_at(program: Program) -> None:
    with pytest.raises(InputError) as caught:
        quantise(program, np.zeros(3))
    assert "batch axis" in caught.value.hint


def test_stored_preprocessing_applies_to_raw_inputs(make_program: MakeProgram) -> None:
    program = make_program(preprocessing=Preprocessing(scale=0.5, mean=(1.0,)))
    raw = np.array([[0, 2, 255]], np.uint8)
    assert model_inputs(program, raw).tolist() == [[-1.0, 0.0, 126.5]]


def test_images_without_stored_preprocessing_are_refused(program: Program) -> None:
    with pytest.raises(InputError, match="no preprocessing") as caught:
        model_inputs(program, [np.zeros((2, 2, 3), np.uint8)])
    assert caught.value.where.node == "pixels"


def test_outputs_are_means_over_the_steps_so_far(program: Program) -> None:
    v = np.array([[[4, 8], [4, -8], [9, 0], [16, 4]]], np.int64)
    assert decode(program, v[:, 2], 3).tolist() == [[0.75, 0.0]]
    by_step = decode_steps(program, v)
    assert by_step.dtype == np.float32
    assert by_step.tolist() == [[[1.0, 2.0], [0.5, -1.0], [0.75, 0.0], [1.0, 0.25]]]


def test_the_tail_is_what_onnx_says(make_program: MakeProgram) -> None:
    x = np.array([[1.0, 2.0], [900.0, -900.0]], np.float32)
    softmax = tail(make_program(tail=(TailOp("Softmax", 0),)), x)
    np.testing.assert_allclose(softmax, [[1 / (1 + np.e), np.e / (1 + np.e)], [1, 0]], rtol=1e-6)
    logarithm = tail(make_program(tail=(TailOp("LogSoftmax", -1),)), x)
    np.testing.assert_allclose(logarithm[1], [0, -1800])
    sigmoid = tail(make_program(tail=(TailOp("Sigmoid"),)), x)
    np.testing.assert_allclose(sigmoid, [[0.7310586, 0.880797], [1, 0]], rtol=1e-6)
    reshaped = tail(make_program(tail=(TailOp("Reshape", shape=(2, 1)), TailOp("ArgMax"))), x)
    assert reshaped.tolist() == [[1], [0]]
    kept = tail(make_program(tail=(TailOp("ArgMax", 0, keepdims=True),)), x)
    assert kept.shape == (2, 1)


def test_an_output_with_one_long_axis_classifies(with_output: MakeProgram) -> None:
    scores = class_scores(with_output(5, 1, 1), np.zeros((2, 4, 5, 1, 1)))
    assert scores is not None
    assert scores.shape == (2, 4, 5)
    assert class_scores(with_output(5, 2, 2), np.zeros((2, 5, 2, 2))) is None


def test_a_single_output_is_two_classes_split_at_zero(with_output: MakeProgram) -> None:
    scores = class_scores(with_output(1), np.array([[0.5], [-0.5]]))
    assert scores is not None
    assert np.argmax(scores, axis=-1).tolist() == [1, 0]
