from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
from onnx_models import small_cnn

from spikec.backends.reference import ReferenceBackend
from spikec.compiler.errors import OptionError
from spikec.compiler.frontend.load import load_graph
from spikec.compiler.options import CompileOptions
from spikec.compiler.pipeline import compile_graph
from spikec.compiler.pipelines import PRESETS, chosen_options, pass_names
from spikec.compiler.report import Compiled

torch = importlib.util.find_spec("torch") is not None


def names(pipeline: str, **given: object) -> tuple[str, ...]:
    return pass_names(chosen_options(pipeline, given))


LIGHT = ("calibrate-thresholds", "quantize-weights", "calibrate-bias")


@pytest.mark.parametrize(
    ("pipeline", "expected"),
    [
        ("none", LIGHT[:2]),
        ("light", LIGHT),
        ("adaptive", (*LIGHT[:2], "assign-firing", "calibrate-bias", "compress-spikes")),
        ("advanced", (*LIGHT, *["calibrate-weights"] * torch, "calibrate-potential")),
        ("best", (*LIGHT, *["calibrate-weights"] * torch)),
    ],
)
def test_a_pipeline_is_a_list_of_passes(pipeline: str, expected: tuple[str, ...]) -> None:
    assert names(pipeline) == expected


def test_what_the_user_gives_counts_more_than_the_pipeline() -> None:
    assert "calibrate-bias" in names("none", bias_rounds=2)
    assert "compress-spikes" not in names("adaptive", compress=False)
    assert chosen_options("adaptive", {"energy_ratio": 0.5}).search.accuracy_loss is None


def test_in_best_silent_channels_carry_copies_where_thresholds_differ_by_channel() -> None:
    assert chosen_options("best", {}).reuse_silent
    assert not chosen_options("best", {"reuse_silent": False}).reuse_silent
    assert not chosen_options("best", {"threshold_per": "layer"}).reuse_silent
    assert not chosen_options("light", {}).reuse_silent


def test_best_searches_where_there_is_a_budget() -> None:
    assert "assign-firing" not in names("best")
    searched = names("best", accuracy_loss=1.0)
    assert {"assign-firing", "compress-spikes"} <= set(searched)


def test_without_torch_weights_are_fitted_layer_by_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert chosen_options("best", {}).weight_calibration == "fit"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"pipeline": "heavy"}, "pipeline is 'heavy'"),
        ({"time_steps": 3}, "there is no option 'time_steps'"),
        ({"passes": ("calibrate-spikes",)}, "passes holds 'calibrate-spikes'"),
        ({"passes": ("quantize-weights",)}, "quantize-weights without calibrate-thresholds"),
        ({"passes": ("calibrate-thresholds",)}, "no program without quantize-weights"),
    ],
)
def test_a_wrong_word_is_named(given: dict[str, Any], problem: str) -> None:
    pipeline = given.pop("pipeline", "light")
    with pytest.raises(OptionError) as caught:
        names(pipeline, **given)
    assert problem in caught.value.problem
    assert caught.value.hint


def compiled(**options: Any) -> Compiled:
    images = np.random.default_rng(0).normal(0, 1, (24, 2, 8, 8)).astype(np.float32)
    loaded = load_graph(small_cnn())
    return compile_graph(loaded, images, CompileOptions(**options), ReferenceBackend())


def test_passes_of_the_users_own_run_in_his_order() -> None:
    passes = ("calibrate-thresholds", "quantize-weights", "calibrate-potential", "calibrate-bias")
    found = compiled(timesteps=2, phi=2, passes=passes)
    assert tuple(record.name for record in found.records)[-4:] == passes


def test_a_list_of_passes_that_says_the_same_gives_the_same_program() -> None:
    implied = compiled(timesteps=2, phi=2).program
    listed = compiled(timesteps=2, phi=2, passes=LIGHT).program
    assert listed.digest == implied.digest


def test_a_search_that_has_nothing_to_search_is_refused() -> None:
    with pytest.raises(OptionError, match="do not say what to search"):
        compiled(timesteps=2, phi=2, passes=(*LIGHT[:2], "assign-firing"))


def test_every_pipeline_has_a_name_that_says_what_it_does() -> None:
    assert tuple(PRESETS) == ("none", "light", "advanced", "adaptive", "best")
