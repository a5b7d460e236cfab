"""What is said of calibration images that are few, alike, or leave channels silent."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from graphs import Sketch, silenced

from spikec.backends.reference import ReferenceBackend
from spikec.compiler.arrays import Float32
from spikec.compiler.coverage import image_warnings, judging_warnings, silent_warnings
from spikec.compiler.frontend.load import Loaded
from spikec.compiler.ir import Graph
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.place_neurons import place_neurons
from spikec.compiler.pipeline import compile_graph
from spikec.compiler.report import Compiled
from spikec.compiler.search_options import SearchOptions

EVERY = [0, 1, 2, 3]


def chain() -> Graph:
    sketch = Sketch(3, 6, 6).conv("a", 4).add("ra", "Relu").conv("b", 4).add("rb", "Relu")
    return sketch.add("flat", "Flatten", shape=(144,), axis=1).gemm("head", 5).graph()


def images(count: int = 24) -> Float32:
    return np.random.default_rng(1).normal(0, 1, (count, 3, 6, 6)).astype(np.float32)


def compiled(graph: Graph, inputs: Float32, **choices: object) -> Compiled:
    options = CompileOptions(**{"timesteps": 2, "phi": 3} | choices)  # type: ignore[arg-type]
    return compile_graph(Loaded(graph, (), b"", ""), inputs, options, ReferenceBackend())


def test_images_that_are_many_and_differ_are_not_spoken_of() -> None:
    assert image_warnings(images(16)) == ()
    result = compiled(chain(), images(16))
    assert result.warnings == ()


@pytest.mark.parametrize(("count", "words"), [(1, "1 calibration image is"), (15, "15 calib")])
def test_few_images_are(count: int, words: str) -> None:
    (warning,) = compiled(chain(), images(count)).warnings
    assert warning.startswith(words)
    assert "16" in warning


def test_images_that_are_the_same_are() -> None:
    (warning,) = image_warnings(np.repeat(images(1), 20, axis=0))
    assert "all 20 calibration inputs are the same" in warning
    (warning,) = image_warnings(np.zeros_like(images()))
    assert "0 everywhere" in warning
    (warning,) = image_warnings(images(1))
    assert "same" not in warning


@pytest.mark.parametrize("method", ["mmse", "percentile", "maximum", "balancing"])
@pytest.mark.parametrize("dead", [[1, 2, 3], EVERY])
def test_layers_that_are_mostly_silent_are_named(method: str, dead: Sequence[int]) -> None:
    result = compiled(silenced(chain(), "a", dead), images(), threshold_method=method)
    (warning,) = result.warnings
    assert f"Relu 'ra' ({len(dead)} of 4)" in warning
    assert "'rb'" not in warning
    assert json.loads(result.program.provenance["warnings"]) == [warning]


def test_layers_of_which_half_is_silent_are_not() -> None:
    assert compiled(silenced(chain(), "a", [0, 3]), images()).warnings == ()


def test_one_threshold_for_a_layer_is_a_guess_if_all_of_it_is_silent() -> None:
    mostly = silenced(chain(), "a", [1, 2, 3])
    assert compiled(mostly, images(), threshold_per="layer").warnings == ()
    (warning,) = compiled(silenced(chain(), "a", EVERY), images(), threshold_per="layer").warnings
    assert "Relu 'ra' (4 of 4)" in warning


def test_one_channel_of_an_input_is_enough() -> None:
    inputs = images()
    inputs[:, 1] = 0
    (warning,) = compiled(chain(), inputs).warnings
    assert "Input 'x' (1 of 3)" in warning


def test_borders_of_a_flat_input_are_no_matter() -> None:
    graph = Sketch(8).gemm("a", 4).add("ra", "Relu").gemm("head", 3).graph()
    inputs = np.random.default_rng(2).random((20, 8)).astype(np.float32)
    inputs[:, :3] = 0
    assert compiled(graph, inputs).warnings == ()
    inputs[:, :5] = 0
    (warning,) = compiled(graph, inputs).warnings
    assert "Input 'x' (5 of 8)" in warning


def test_three_layers_are_named_and_the_others_counted() -> None:
    sketch = Sketch(2, 4, 4)
    for name in "abcde":
        sketch.conv(name, 2).add(f"r{name}", "Relu")
    graph = place_neurons(CompileOptions()).apply(sketch.conv("head", 2).graph())
    (warning,) = silent_warnings(graph, {f"r{name}": np.zeros(2) for name in "abcde"})
    assert "Relu 'ra' (2 of 2), Relu 'rb' (2 of 2), Relu 'rc' (2 of 2) and 2 more;" in warning


@pytest.mark.parametrize(
    ("held_out", "allowed", "told"),
    [(99, 1.0, True), (100, 1.0, False), (10, None, False), (10, 0.0, False), (150, 0.5, True)],
)
def test_a_loss_finer_than_one_held_out_image_is_told(
    held_out: int, allowed: float | None, told: bool
) -> None:
    found = judging_warnings(held_out, SearchOptions(phi=True, accuracy_loss=allowed))
    assert bool(found) == told
    if told:
        assert f"one of {held_out} held-out images is {100 / held_out:.3g} points" in found[0]
