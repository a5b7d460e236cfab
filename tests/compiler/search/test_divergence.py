from __future__ import annotations

import math

import numpy as np
import pytest
from graphs import Sketch

from spikec.compiler.search.divergence import (
    Divergence,
    relative_distance,
    symmetric_divergence,
)


def softmax(scores: list[float]) -> list[float]:
    total = math.fsum(math.exp(s) for s in scores)
    return [math.exp(s) / total for s in scores]


def test_symmetric_divergence_is_the_mean_of_both_directions() -> None:
    left, right = [0.5, -1.0, 2.0], [1.5, 0.0, 0.25]
    p, q = softmax(left), softmax(right)
    one = math.fsum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    other = math.fsum(b * math.log(b / a) for a, b in zip(p, q, strict=True))
    found = symmetric_divergence(np.array([left]), np.array([right]), 1)
    assert found == pytest.approx([(one + other) / 2], rel=1e-12)


def test_a_class_that_one_network_excludes_counts_no_more_than_a_million() -> None:
    found = symmetric_divergence(np.array([[1e6, 0.0]]), np.array([[0.0, 1e6]]), 1)
    assert found == pytest.approx([math.log(1e6)])


def test_positions_are_averaged_where_every_pixel_has_classes() -> None:
    random = np.random.default_rng(0)
    left, right = random.normal(size=(2, 3, 4, 5)), random.normal(size=(2, 3, 4, 5))
    pixels = [
        symmetric_divergence(left[:, :, i, j], right[:, :, i, j], 1)
        for i in range(4)
        for j in range(5)
    ]
    assert symmetric_divergence(left, right, 1) == pytest.approx(np.mean(pixels, axis=0))


def test_distance_is_relative_to_the_size_of_the_outputs() -> None:
    expected = np.array([[3.0, 4.0], [0.0, 5.0]])
    outputs = expected + np.array([[1.0, 0.0], [0.0, 2.0]])
    assert relative_distance(outputs, expected) == pytest.approx([1 / 25, 4 / 25])


def test_what_all_classes_share_is_no_distance() -> None:
    scores = np.random.default_rng(0).normal(size=(5, 4))
    shifted = scores + np.arange(5)[:, None]
    assert Divergence(0).losses(shifted, scores) == pytest.approx(np.zeros(5), abs=1e-12)
    assert Divergence(None).losses(shifted, scores)[1:].min() > 0.1


def test_agreement_counts_equal_decisions() -> None:
    expected = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert list(Divergence(0).agreement(expected[:, ::-1] * [[1], [0]], expected)) == [0.0, 1.0]
    assert list(Divergence(None).agreement(-expected, expected)) == [1.0, 1.0]


def test_classes_are_found_in_a_row_of_scores_and_in_front_of_a_softmax() -> None:
    row = Sketch(3, 4, 4).conv("c", 2).add("flat", "Flatten", shape=(32,)).gemm("scores", 4)
    assert Divergence.of(row.graph()).axis == 0
    row.add("p", "Softmax", axis=1)
    assert Divergence.of(row.graph()).axis == 0
    assert Divergence.of(Sketch(3, 4, 4).conv("c", 2).graph()).axis is None
    pixels = Sketch(3, 4, 4).conv("c", 2).add("p", "Softmax", axis=1)
    assert Divergence.of(pixels.graph()).axis == 0
