from __future__ import annotations

import numpy as np
import pytest
from graphs import Sketch

from spikec.compiler.ann import Ann
from spikec.compiler.calibration import Calibration
from spikec.compiler.errors import InvariantError
from spikec.compiler.ir import Graph
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.calibrate_thresholds import calibrate_thresholds
from spikec.compiler.passes.place_neurons import place_neurons


def chain() -> Graph:
    sketch = Sketch(2, 5, 5).conv("a", 4).add("ra", "Relu").conv("b", 3).add("rb", "Relu")
    sketch.conv("c", 3, kernel=1).conv("head", 2)
    return sketch.graph()


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    images = np.random.default_rng(1).normal(0, 1, (24, 2, 5, 5)).astype(np.float32)
    return Calibration(images, Ann())


def caps(calibration: Calibration, **choices: object) -> dict[str, np.ndarray]:
    """φθ by node name."""
    options = CompileOptions(**{"timesteps": 4, "phi": 3} | choices)  # type: ignore[arg-type]
    graph = place_neurons(options).apply(chain())
    graph = calibrate_thresholds(calibration, options).apply(graph)
    found = {}
    for node in graph:
        if node.neuron is not None and node.neuron.threshold is not None:
            found[node.name] = node.neuron.threshold * node.neuron.phi
    return found


def activations(calibration: Calibration, name: str) -> np.ndarray:
    """(channels, values) of the ANN on all images."""
    batches = calibration.activations(place_neurons(CompileOptions()).apply(chain()), [name])
    values = np.concatenate([batch[name] for batch in batches])
    return np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)


def test_maximum_is_the_largest_activation_of_each_channel(calibration: Calibration) -> None:
    found = caps(calibration, threshold_method="maximum")
    for name in ("ra", "rb", "c"):
        assert found[name] == pytest.approx(np.abs(activations(calibration, name)).max(axis=1))


def test_a_percentile_is_taken_per_channel_of_positive_values(calibration: Calibration) -> None:
    found = caps(calibration, threshold_method="percentile", threshold_percentile=80.0)
    expected = [np.percentile(row[row > 0], 80.0) for row in activations(calibration, "rb")]
    assert found["rb"] == pytest.approx(expected)


@pytest.mark.parametrize("method", ["mmse", "percentile", "maximum", "balancing"])
def test_a_layer_can_have_one_threshold_whatever_the_method(
    calibration: Calibration, method: str
) -> None:
    found = caps(calibration, threshold_method=method, threshold_per="layer")
    apart = caps(calibration, threshold_method=method)
    for name in ("ra", "rb", "c"):
        assert found[name].shape == (1,)
        assert 0.5 * apart[name].min() < found[name][0] <= 1.06 * apart[name].max()
    assert found["x"].shape == (2,)


def test_balancing_converges_to_the_maximum_of_few_values(calibration: Calibration) -> None:
    # 600 values per channel: 4,000 steps leave an excess of about 600/8,000 of the last gap.
    few = Calibration(calibration.images[:2], calibration.ann)
    found = caps(few, threshold_method="balancing")
    peak = activations(few, "ra").max(axis=1)
    assert (found["ra"] <= peak).all()
    assert found["ra"] == pytest.approx(peak, rel=0.02)


def test_a_layer_is_balanced_on_what_the_clipped_layers_before_it_send(
    calibration: Calibration,
) -> None:
    # The channels of "ra" are clipped, so what reaches "rb" differs from the ANN's activation.
    found = caps(calibration, threshold_method="balancing")
    graph = place_neurons(CompileOptions()).apply(chain())
    (batch,) = calibration.activations(graph, ["ra"])
    clipped = np.minimum(batch["ra"], found["ra"].reshape(1, -1, 1, 1)).astype(np.float32)
    region = calibration.ann.region(graph, ["ra"], ["rb"])
    rows = np.moveaxis(region({"ra": clipped})["rb"], 1, 0).reshape(3, -1).astype(np.float64)
    expected = np.zeros(3)
    for _ in range(4000):
        expected += 2 * np.maximum(rows - expected[:, None], 0).mean(axis=1)
    assert found["rb"] == pytest.approx(expected, rel=1e-6)


def test_a_ceiling_bounds_every_method(calibration: Calibration) -> None:
    sketch = Sketch(2, 5, 5).conv("a", 4)
    sketch.add("r", "Clip", params={1: np.float32(0), 2: np.float32(0.5)}).conv("head", 2)
    for method in ("mmse", "percentile", "maximum", "balancing"):
        options = CompileOptions(threshold_method=method)
        graph = place_neurons(options).apply(sketch.graph())
        neuron = calibrate_thresholds(calibration, options).apply(graph)["r"].neuron
        assert neuron is not None
        assert neuron.threshold is not None
        assert (neuron.threshold * neuron.phi <= 0.5).all()


def test_the_batches_of_a_stream_make_no_difference(calibration: Calibration) -> None:
    images = np.random.default_rng(2).normal(0, 1, (200, 2, 5, 5)).astype(np.float32)
    found = []
    for size in (1, 13, 200):
        stream = (images[at : at + size] for at in range(0, 200, size))
        streamed = Calibration(images[:16], Ann(), stream)
        found.append(caps(streamed, threshold_images=200))
    for name in ("ra", "rb", "c"):
        assert np.array_equal(found[0][name], found[1][name])
        assert np.array_equal(found[0][name], found[2][name])


def test_thresholds_need_neurons(calibration: Calibration) -> None:
    (placed,) = calibrate_thresholds(calibration, CompileOptions()).requires
    with pytest.raises(InvariantError):
        placed(chain())


def test_progress_counts_images(calibration: Calibration) -> None:
    told: list[tuple[int, int]] = []
    graph = place_neurons(CompileOptions()).apply(chain())
    step = calibrate_thresholds(
        calibration, CompileOptions(), lambda done, total: told.append((done, total))
    )
    step.apply(graph)
    assert told == [(0, 24), (24, 24)]


@pytest.mark.parametrize(
    ("choices", "beyond"),
    [
        ({"windowed": True, "phi": 8}, True),
        ({"timesteps": 1, "phi": 32}, True),
        ({"windowed": True, "phi": 7}, False),
        ({"phi": 8}, False),
    ],
)
def test_caps_reach_beyond_what_was_seen_where_levels_are_many_and_charge_is_whole(
    calibration: Calibration, choices: dict[str, object], beyond: bool
) -> None:
    few = calibration.first(3)
    for name, found in caps(few, **choices).items():
        peak = np.abs(activations(few, name)).max(axis=1)
        assert (found > 1.06 * peak).any() == (beyond and name in ("ra", "rb", "c"))
