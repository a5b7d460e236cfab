from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from graphs import Sketch

from spikec.backends.reference import ReferenceBackend
from spikec.compiler.connections import Conv, Gather
from spikec.compiler.ir import Quantized
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.place_neurons import place_neurons
from spikec.compiler.paths import current_paths
from spikec.compiler.populations import AdaFire
from spikec.compiler.quantization import quantize
from spikec.compiler.weight_fit import Evidence, fit_weights
from spikec.compiler.weight_inputs import at_places, inputs_of, matrix, places_of

OPTIONS = CompileOptions(timesteps=2, phi=15, weight_bits=4)
SIZE = 6


def layer(channels: int = 3, options: CompileOptions = OPTIONS) -> tuple[Quantized, np.ndarray]:
    """A convolution of ``channels`` maps to 4, its source's scale 0.1, and its float weights."""
    sketch = Sketch(channels, SIZE, SIZE).conv("c", 4).add("r", "Relu").conv("out", 2)
    graph = place_neurons(options).apply(sketch.graph())
    neuron = graph["r"].neuron
    assert neuron is not None
    node = graph["r"].updated(neuron=replace(neuron, threshold=np.full(4, 0.2)))
    scales = {"x": np.full((1, 1, 1), 0.1)}
    quantized = quantize(node, current_paths(graph, "r"), scales, np.zeros((1, 1, 1)), options)
    return quantized, np.asarray(graph["c"].params[1], np.float64)


def payloads(images: int = 48, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Correlated payloads of two steps: weights can stand in for each other."""
    generator = np.random.default_rng(seed)
    common = generator.poisson(4, (1, images, 1, SIZE, SIZE))
    own = generator.poisson(1, (2, images, channels, SIZE, SIZE))
    return np.minimum(common + own, 15).astype(np.int8)


def convolved(weights: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Same-padded 3×3 cross-correlation, tap by tap."""
    padded = np.pad(maps, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return sum(
        np.einsum("oc,nchw->nohw", weights[:, :, y, x], padded[:, :, y : y + SIZE, x : x + SIZE])
        for y in range(3)
        for x in range(3)
    )


def current(quantized: Quantized, spikes: Mapping[str, np.ndarray]) -> np.ndarray:
    return ReferenceBackend().currents(quantized.population, quantized.connections, spikes)


def fitted(
    quantized: Quantized, drive: np.ndarray, spikes: np.ndarray, options: CompileOptions = OPTIONS
) -> Quantized:
    given = {"x": spikes}
    evidence = Evidence(drive.astype(np.float32), current(quantized, given), given)
    return fit_weights(quantized, evidence, ReferenceBackend(), options)


def rectified_error(quantized: Quantized, drive: np.ndarray, spikes: np.ndarray) -> np.ndarray:
    """Of the rectified mean current per channel, the best of many biases."""
    got = current(quantized, {"x": spikes}).mean(axis=0) * quantized.step
    population = quantized.population
    assert isinstance(population, AdaFire)
    top = population.phi * population.scale
    shifts = np.linspace(-0.5, 0.5, 201)
    errors = [
        (np.clip(got + b, 0, top) - np.clip(drive, 0, top)).__pow__(2).mean(axis=(0, 2, 3))
        for b in shifts
    ]
    return np.min(errors, axis=0)


def test_coarse_weights_together_come_closer_to_the_network_on_unseen_images() -> None:
    quantized, weights = layer()
    spikes, unseen = payloads(), payloads(seed=1)
    changed = fitted(quantized, convolved(weights, 0.1 * spikes.mean(axis=0)), spikes)
    wanted = convolved(weights, 0.1 * unseen.mean(axis=0))
    before = rectified_error(quantized, wanted, unseen)
    after = rectified_error(changed, wanted, unseen)
    assert after.mean() < 0.7 * before.mean()


def test_weights_that_bring_too_much_shrink_towards_the_networks_own() -> None:
    options = CompileOptions(timesteps=2, phi=15)
    quantized, weights = layer(options=options)
    weights = weights * 0.8
    spikes = payloads()
    changed = fitted(quantized, convolved(weights, 0.1 * spikes.mean(axis=0)), spikes, options)
    old, new = (matrix(part.connections[0]).astype(float) for part in (quantized, changed))
    assert 0.8 < (old * new).sum() / (old**2).sum() < 0.92


def test_weights_keep_their_width_and_everything_else_stays() -> None:
    quantized, weights = layer()
    spikes = payloads()
    changed = fitted(quantized, convolved(3 * weights, 0.1 * spikes.mean(axis=0)), spikes)
    assert np.abs(matrix(changed.connections[0])).max() == 7
    assert changed.population is quantized.population
    assert changed.step is quantized.step
    assert changed.connections[0].exponent == quantized.connections[0].exponent


def test_too_few_samples_leave_the_weights_alone() -> None:
    quantized, weights = layer()
    spikes = payloads(images=1)
    drive = convolved(weights, 0.1 * spikes.mean(axis=0))
    assert fitted(quantized, drive, spikes) is quantized


def test_noise_alone_changes_few_channels_for_the_worse() -> None:
    options = CompileOptions(timesteps=2, phi=15)
    quantized, weights = layer(options=options)
    spikes, unseen = payloads(), payloads(seed=2)
    noise = np.random.default_rng(3).normal(0, 0.3, (48, 4, SIZE, SIZE))
    changed = fitted(
        quantized, convolved(weights, 0.1 * spikes.mean(axis=0)) + noise, spikes, options
    )
    wanted = convolved(weights, 0.1 * unseen.mean(axis=0))
    assert (rectified_error(changed, wanted, unseen) < 0.01 * 0.3**2 + 1e-3).all()


@pytest.mark.parametrize("gathered", [False, True])
def test_what_weights_read_gives_the_current_when_multiplied_by_them(gathered: bool) -> None:
    quantized, _ = layer()
    connection = quantized.connections[0]
    if gathered:
        mirrored = np.arange(3 * SIZE * SIZE).reshape(3, SIZE, SIZE)[:, :, ::-1]
        factors = (Gather(np.ascontiguousarray(mirrored, np.int32)), *connection.factors)
        connection = replace(connection, factors=factors, exponent=2)
    spikes = payloads()
    quantized = replace(quantized, connections=(connection,))
    places = places_of(spikes[0], 100, seed=4)
    read = inputs_of(connection, spikes, places, ReferenceBackend())
    expected = at_places(current(quantized, {"x": spikes}).mean(axis=0), places)
    assert np.allclose(read @ matrix(connection).T, expected, rtol=1e-12)


def test_strided_dilated_and_padded_windows_are_read_as_they_are_convolved() -> None:
    quantized, _ = layer()
    (connection,) = quantized.connections
    (factor,) = connection.factors
    assert isinstance(factor, Conv)
    odd = replace(factor, strides=(2, 1), pads=(0, 2, 3, 1), dilations=(2, 1))
    connection = replace(connection, factors=(odd,))
    population = replace(quantized.population, shape=(4, 3, 7))
    spikes = payloads()
    expected = ReferenceBackend().currents(population, (connection,), {"x": spikes}).mean(axis=0)
    places = places_of(expected, 200, seed=5)
    read = inputs_of(connection, spikes, places, ReferenceBackend())
    assert np.allclose(read @ matrix(connection).T, at_places(expected, places), rtol=1e-12)
