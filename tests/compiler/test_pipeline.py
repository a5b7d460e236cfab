from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
from onnx_models import small_cnn

from spikec.backends.reference import ReferenceBackend
from spikec.compiler.ann import run_model
from spikec.compiler.errors import CalibrationError, CompileError
from spikec.compiler.frontend.load import Loaded, load_graph
from spikec.compiler.options import CompileOptions
from spikec.compiler.pipeline import compile_graph
from spikec.compiler.populations import AdaFire, Fire
from spikec.compiler.program import Program


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load_graph(small_cnn())


def images(count: int = 48, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (count, 2, 8, 8)).astype(np.float32)


def compiled(loaded: Loaded, **options: object) -> Program:
    chosen = CompileOptions(**options)  # type: ignore[arg-type]
    return compile_graph(loaded, images(), chosen, ReferenceBackend()).program


def outputs(program: Program, inputs: np.ndarray) -> np.ndarray:
    source = program.input
    units = np.rint((source.gain * inputs + source.offset) / source.scale)
    top = 2 ** (source.bits - 1) - 1
    run = ReferenceBackend().run(program, units.clip(-top, top).astype(np.int64))
    return run.readout[:, -1] * program.readout.scale / program.timesteps


def relative_error(program: Program, inputs: np.ndarray) -> float:
    expected = run_model(small_cnn(), inputs)
    return float(((outputs(program, inputs) - expected) ** 2).mean() / expected.var())


@pytest.mark.parametrize(
    ("options", "bound"),
    [
        ({"timesteps": 1, "phi": 255}, 0.002),
        ({"timesteps": 4, "phi": 15}, 0.01),
        ({"timesteps": 16, "phi": 1}, 0.03),
        ({"timesteps": 16, "phi": 1, "windowed": True}, 0.02),
        ({"timesteps": 8, "phi": 1, "fire": Fire.RETRACT}, 0.06),
    ],
)
def test_a_program_gives_the_networks_outputs_on_unseen_images(
    loaded: Loaded, options: dict[str, object], bound: float
) -> None:
    assert relative_error(compiled(loaded, **options), images(64, seed=1)) < bound


def test_calibrated_biases_lower_the_error_on_unseen_images(loaded: Loaded) -> None:
    options = {"timesteps": 8, "phi": 1}
    without = relative_error(compiled(loaded, **options, bias_rounds=0), images(64, seed=1))
    assert relative_error(compiled(loaded, **options), images(64, seed=1)) < without


def test_the_read_out_has_the_networks_mean_on_the_calibration_images(loaded: Loaded) -> None:
    program = compiled(loaded, timesteps=4, phi=4)
    expected = run_model(small_cnn(), images()).mean(axis=0)
    step = float(program.readout.scale.max())
    assert np.abs(outputs(program, images()).mean(axis=0) - expected).max() <= step


def test_equal_seeds_give_equal_programs(loaded: Loaded) -> None:
    first, again, other = (compiled(loaded, seed=seed, calibration_images=16) for seed in (0, 0, 1))
    assert first.digest == again.digest
    assert first.digest != other.digest


@pytest.mark.parametrize(("weights", "times"), [("none", 1), ("fit", 2)])
def test_calibration_simulates_a_population_again_only_with_its_fitted_weights(
    loaded: Loaded, weights: str, times: int
) -> None:
    class Counting(ReferenceBackend):
        calls = 0

        def currents(self, *arguments: object) -> np.ndarray:
            Counting.calls += 1
            return super().currents(*arguments)  # type: ignore[arg-type]

    options = CompileOptions(weight_calibration=weights)
    program = compile_graph(loaded, images(), options, Counting()).program
    firing = sum(isinstance(population, AdaFire) for population in program.populations)
    assert firing == 1
    assert Counting.calls == times * firing + 1


def test_batches_are_as_good_as_an_array(loaded: Loaded) -> None:
    options = CompileOptions(calibration_images=30)

    def batches() -> Iterator[np.ndarray]:
        for at in range(0, 48, 12):
            yield images()[at : at + 12]

    program = compile_graph(loaded, batches(), options, ReferenceBackend()).program
    assert program.provenance["calibration_images"] == "30"


def test_too_little_memory_means_fewer_images_for_biases_and_a_warning(loaded: Loaded) -> None:
    options = CompileOptions(memory_bytes=2**20, timesteps=64)
    result = compile_graph(loaded, images(), options, ReferenceBackend())
    assert result.program.provenance["calibration_images"] == "48"
    (warning,) = result.warnings
    assert re.match(
        r"biases are calibrated on \d+ of 48 images: .* 0.000977 GiB of memory", warning
    )


def test_too_little_memory_leaves_thresholds_as_they_are(loaded: Loaded) -> None:
    few, all_images = (
        compile_graph(
            loaded,
            images(),
            CompileOptions(memory_bytes=size, timesteps=64, bias_rounds=0),
            ReferenceBackend(),
        )
        for size in (2**20, 2**30)
    )
    assert few.warnings
    assert not all_images.warnings
    assert few.program.digest == all_images.program.digest


def test_thresholds_do_not_depend_on_how_the_stream_is_cut(loaded: Loaded) -> None:
    options = CompileOptions(calibration_images=20, threshold_images=300, bias_rounds=1)
    many = images(320)

    def batches(size: int) -> Iterator[np.ndarray]:
        return (many[at : at + size] for at in range(0, len(many), size))

    programs = [
        compile_graph(loaded, batches(size), options, ReferenceBackend()).program
        for size in (9, 320)
    ]
    assert programs[0].digest == programs[1].digest
    few = CompileOptions(calibration_images=20, bias_rounds=1)
    program = compile_graph(loaded, batches(320), few, ReferenceBackend()).program
    assert program.digest != programs[0].digest


def test_potentials_per_neuron_come_with_a_warning(loaded: Loaded) -> None:
    options = CompileOptions(timesteps=4, phi=15, weight_bits=3, potential_calibration=True)
    pattern = 3 * images(1, seed=7)
    result = compile_graph(loaded, images() * 0.1 + pattern, options, ReferenceBackend())
    assert "size" in result.warnings[-1]
    assert result.program.population("relu").initial.shape == (4, 8, 8)  # type: ignore[union-attr]
    assert result.records[-1].name == "calibrate-potential"


def test_provenance_names_model_images_and_options(loaded: Loaded) -> None:
    provenance = compiled(loaded, timesteps=3).provenance
    assert provenance["model_sha256"] == loaded.sha256
    assert len(provenance["calibration_sha256"]) == 64
    assert '"timesteps": 3' in provenance["options"]


@pytest.mark.parametrize(
    "calibration",
    [
        np.zeros((4, 2, 8, 7), np.float32),
        np.zeros((2, 8, 8), np.float32),
        np.zeros((0, 2, 8, 8), np.float32),
        np.full((4, 2, 8, 8), np.nan, np.float32),
        np.full((4, 2, 8, 8), np.inf, np.float32),
        np.full((4, 2, 8, 8), "a"),
    ],
)
def test_calibration_inputs_that_do_not_fit_are_refused_by_the_inputs_name(
    loaded: Loaded, calibration: np.ndarray
) -> None:
    with pytest.raises(CalibrationError) as caught:
        compile_graph(loaded, calibration, CompileOptions(), ReferenceBackend())
    assert caught.value.where.node == "x"


def test_no_batch_at_all_is_refused(loaded: Loaded) -> None:
    with pytest.raises(CompileError) as caught:
        compile_graph(loaded, iter(()), CompileOptions(), ReferenceBackend())
    assert caught.value.where.node == "x"


def test_the_populations_are_those_of_the_network(loaded: Loaded) -> None:
    program = compiled(loaded, timesteps=4, phi=3)
    (hidden,) = (p for p in program.populations if isinstance(p, AdaFire))
    assert (hidden.name, hidden.phi, hidden.shape) == ("relu", 3, (4, 8, 8))
    assert program.readout.name == "logits"
