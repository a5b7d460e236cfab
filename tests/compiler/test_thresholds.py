from __future__ import annotations

import numpy as np
import pytest

from spikec.compiler import thresholds
from spikec.compiler.ir import Neuron
from spikec.compiler.options import CompileOptions
from spikec.compiler.thresholds import best_threshold, samples_of

OPTIONS = CompileOptions(timesteps=1, phi=63, threshold_per="layer")
NEURON = Neuron("adafire", phi=63, per_channel=False)


def test_one_threshold_of_a_wide_layer_is_told_by_a_part_of_its_samples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(0)
    sizes = np.exp(random.normal(0, 1, (1, 200, 1))) * np.exp(random.normal(0, 0.3, (64, 200, 1)))
    activations = np.maximum(random.normal(0, 1, (64, 200, 100)), 0) * sizes
    samples = samples_of("a", activations.astype(np.float32), OPTIONS)
    (by_all,) = best_threshold(samples, NEURON, OPTIONS)
    monkeypatch.setattr(thresholds, "_LAYER_SAMPLES", 200 * 100)
    (by_some,) = best_threshold(samples, NEURON, OPTIONS)
    assert by_some != by_all
    assert by_some == pytest.approx(by_all, rel=0.02)
