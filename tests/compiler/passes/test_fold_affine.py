from __future__ import annotations

import numpy as np
import pytest
from graphs import Sketch

from spikec.compiler.ann import Ann
from spikec.compiler.invariants import nothing_left_to_fold
from spikec.compiler.ir import Graph
from spikec.compiler.passes.fold_affine import FOLD_AFFINE


def outputs(graph: Graph, seed: int = 0) -> np.ndarray:
    shape = (3, *graph.input.known_shape())
    inputs = np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)
    (batch,) = Ann().activations(graph, [graph.output], [inputs])
    return batch[graph.output]


def folded(graph: Graph) -> Graph:
    result = FOLD_AFFINE.apply(graph)
    nothing_left_to_fold(result)
    before, after = outputs(graph), outputs(result)
    assert np.abs(before - after).max() <= 1e-5 * np.abs(before).max()
    return result


def names(graph: Graph) -> list[str]:
    return [node.name for node in graph]


def test_a_batch_norm_behind_a_convolution_is_inside_it() -> None:
    graph = Sketch(3, 6, 6).conv("c", 4).batch_norm("bn").add("r", "Relu").graph()
    assert names(folded(graph)) == ["x", "c", "r"]


def test_a_batch_norm_behind_a_dense_layer_is_inside_it() -> None:
    assert names(folded(Sketch(7).gemm("g", 4).batch_norm("bn").graph())) == ["x", "g"]


def test_a_grouped_convolution_scales_its_own_channels() -> None:
    graph = Sketch(4, 6, 6).conv("c", 8, groups=2).batch_norm("bn").graph()
    assert names(folded(graph)) == ["x", "c"]


def test_a_grouped_transposed_convolution_scales_its_own_channels() -> None:
    weights = np.random.default_rng(0).normal(0, 1, (4, 3, 2, 2)).astype(np.float32)
    sketch = Sketch(4, 5, 5).add(
        "t",
        "ConvTranspose",
        shape=(6, 10, 10),
        params={1: weights},
        kernel_shape=(2, 2),
        strides=(2, 2),
        pads=(0, 0, 0, 0),
        dilations=(1, 1),
        group=2,
    )
    assert names(folded(sketch.batch_norm("bn").graph())) == ["x", "t"]


def test_scales_and_shifts_by_constants_are_inside_the_layer() -> None:
    sketch = Sketch(3, 6, 6).conv("c", 4).add("m", "Mul", params={1: np.float32(0.5)})
    sketch.add("a", "Add", params={1: np.arange(4, dtype=np.float32).reshape(4, 1, 1)})
    assert names(folded(sketch.add("d", "Div", params={1: np.float32(4)}).graph())) == ["x", "c"]


def test_identity_and_dropout_are_gone() -> None:
    sketch = Sketch(3, 6, 6).conv("c", 4).add("i", "Identity").add("d", "Dropout").add("r", "Relu")
    assert names(folded(sketch.graph())) == ["x", "c", "r"]


def test_a_layer_that_others_read_too_keeps_its_weights() -> None:
    sketch = Sketch(3, 6, 6).conv("c", 3).batch_norm("bn").add("sum", "Add", ["c", "bn"])
    assert names(folded(sketch.graph())) == ["x", "c", "bn", "sum"]


def test_a_scale_that_differs_within_a_channel_stays() -> None:
    sketch = Sketch(3, 6, 6).conv("c", 4)
    sketch.add("m", "Mul", params={1: np.arange(1, 7, dtype=np.float32)})
    assert "m" in names(folded(sketch.graph()))


def test_scales_at_the_input_stay_for_its_encoding() -> None:
    sketch = Sketch(3, 6, 6).add("s", "Sub", params={1: np.float32(0.5)}).conv("c", 4)
    assert "s" in names(folded(sketch.graph()))


@pytest.mark.parametrize("axis", [0, 1])
def test_nothing_is_changed_in_the_argument(axis: int) -> None:
    graph = Sketch(3, 6, 6).conv("c", 4).batch_norm("bn").graph()
    before = graph["c"].params[1].copy()
    FOLD_AFFINE.apply(graph)
    assert np.array_equal(graph["c"].params[1], before)
    assert not graph["c"].params[1 + axis].flags.writeable
