"""The benchmarks of the simulator measure what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_programs import tiny_program

from spikec.backends.reference import ReferenceBackend
from spikec.backends.simulator import SimulatorBackend
from spikec.compiler.connections import Connection, Conv, Dense, Gather, Identity, SumPool
from spikec.compiler.populations import AdaFire, Fire, Input, Readout
from spikec.compiler.program import Program

BENCHMARKS = Path(__file__).resolve().parents[1] / "models" / "benchmarks"
sys.path.append(str(BENCHMARKS))

import measured  # noqa: E402
import simulator  # noqa: E402
import simulator_report  # noqa: E402
import single_layers  # noqa: E402
from timing import Spread, interleaved  # noqa: E402

SPREAD = Spread(1.0, 2.0, 4.0)
PEAK = measured.Peak("peaks", measured.ADDITIONS, SPREAD)
LAYER = measured.Layer(
    "conv phi=1", "conv", 1, 0.05, 2e6, SPREAD, SPREAD, SPREAD, Spread(0.1, 0.5, 0.6)
)
ENGINE = measured.Engine("net", "net", "PyTorch loop", 4, 8, 1, 0.1, 2e6, SPREAD, SPREAD, 0.0)
ONE = np.ones((1, 1, 1))


def neurons(name: str, shape: tuple[int, ...], phi: int, fire: Fire) -> AdaFire:
    random = np.random.default_rng(len(name))
    size = (shape[0], 1, 1)
    values = (random.integers(low, high, size) for low, high in ((400, 900), (-9, 9), (0, 300)))
    return AdaFire(name, shape, *values, phi, fire, False, ONE)


def two_branches(phi: int = 1, fire: Fire = Fire.PLAIN) -> Program:
    """Every factor that the measured networks have, asymmetric pads and exponents."""
    random = np.random.default_rng(0)

    def weights(*shape: int) -> np.ndarray:
        return random.integers(-60, 61, shape).astype(np.int8)

    slices = np.arange(5 * 36).reshape(5, 6, 6)[:, ::2, ::2]
    padded = np.concatenate([slices, np.full((1, 3, 3), -1)])
    first = Conv(weights(5, 2, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1))
    strided = Conv(weights(6, 5, 3, 3), (2, 2), (0, 0, 1, 1), (1, 1))
    pool = SumPool((3, 3), (3, 3), (0, 0, 0, 0), (1, 1))
    return Program(
        (
            Input("image", (2, 6, 6), 8, ONE, ONE, ONE * 0),
            neurons("a", (5, 6, 6), phi, fire),
            neurons("bb", (6, 3, 3), phi, fire),
            Readout("scores", (4,), np.array([5, -3, 0, 9]), np.ones(1)),
        ),
        (
            Connection("image", "a", (first,)),
            Connection("a", "bb", (strided,)),
            Connection("a", "bb", (Gather(padded), Identity(weights(6))), 2),
            Connection("bb", "scores", (pool, Gather(np.arange(6)), Dense(weights(4, 6))), 1),
        ),
        9,
    )


def images(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(-127, 128, (count, 2, 6, 6))


def test_a_spread_is_the_median_and_the_quartiles() -> None:
    values = np.random.default_rng(0).random(11)
    assert Spread.of(values) == pytest.approx(np.percentile(values, [25, 50, 75]))
    assert Spread.of([3.0]) == (3.0, 3.0, 3.0)


def test_works_run_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("timing.SHORTEST_SAMPLE", 0.0)
    order: list[str] = []
    samples = interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert order[-6:] == ["a", "b"] * 3
    assert [len(s.cpu) for s in samples.values()] == [3, 3]


def test_measurements_survive_the_file_unit_by_unit(tmp_path: Path) -> None:
    file = tmp_path / "new" / "results.json"
    first = measured.Measurements(file, {"processor": "x"})
    first.replace("peaks", "peaks", [PEAK])
    first.replace("layers", "conv phi=1", [LAYER, LAYER])
    first.replace("layers", "conv phi=1", [LAYER])
    again = measured.Measurements(file, {"processor": "x"})
    assert list(again.of(measured.Cell)) == [PEAK, LAYER]
    assert again.finished("layers", "conv phi=1")
    assert not again.finished("layers", "conv phi=15")


def test_figures_of_two_machines_do_not_mix(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    measured.Measurements(file, {"processor": "x"}).replace("peaks", "peaks", [PEAK])
    with pytest.raises(SystemExit, match="processor differ"):
        measured.Measurements(file, {"processor": "y"})


def test_figures_of_another_version_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text('{"machine": {}, "peaks": [{"unit": "peaks", "operation": "adds"}]}')
    with pytest.raises(SystemExit, match="other figures than this version measures"):
        measured.Measurements(file)


def test_units_are_chosen_by_section_and_beginning_of_the_name() -> None:
    options = simulator.Options(Path("folder"), Path("programs"), 3)
    everything = list(simulator.units(options))
    assert simulator.chosen(everything, []) == everything
    names = [u[:2] for u in simulator.chosen(everything, ["peaks", "networks/vgg16"])]
    assert names == [("peaks", "peaks"), ("networks", "vgg16 5%"), ("networks", "vgg16 10%")]
    without = simulator.units(replace(options, folder=None))
    assert not [name for _, name, _ in without if "trained" in name]


def test_a_layer_is_counted_as_its_frames_say() -> None:
    shape = single_layers.LayerShape("1×1", (3, 2, 2), (5, 2, 2), 1, images=2, timesteps=4)
    frames = single_layers.random_frames(shape, 3, 0.4)
    (cell,) = single_layers.measured(shape, 3, [0.4], repeats=2)
    assert cell.density == pytest.approx((frames != 0).mean())
    assert cell.events == pytest.approx((frames != 0).sum() * 5 / 8)


@pytest.mark.parametrize("shape", single_layers.LAYERS, ids=lambda shape: shape.name)
def test_copies_of_a_layer_receive_the_frames_and_never_fire(
    shape: single_layers.LayerShape,
) -> None:
    short = replace(shape, images=1, timesteps=2)
    frames = single_layers.random_frames(short, 15, 0.4)
    program = single_layers.program(short, 15, 2)
    run = SimulatorBackend(threads=1).run(program, frames, record=frozenset({"source"}))
    assert np.array_equal(run.spikes["source"], frames)
    assert not run.populations["copy0"].events.any()
    assert not run.populations["copy1"].events.any()
    assert run.connections[1].events.sum() == run.connections[2].events.sum() > 0


def macs(program: Program) -> float:
    """Multiply-accumulates of all convolutions, from the shapes of weights and results."""
    sizes = {p.name: np.prod(p.shape[1:]) for p in program.populations}
    return sum(
        float(factor.weights.size * sizes[connection.sink])
        for connection in program.connections
        for factor in connection.factors
        if isinstance(factor, Conv)
    )


def test_random_networks_have_the_size_of_those_they_are_named_after() -> None:
    pytest.importorskip("torch")
    from synthetic import SHAPES

    assert macs(SHAPES["VGG-16"](1)) / 1e6 == pytest.approx(313, abs=1)
    assert macs(SHAPES["ResNet-20"](1)) / 1e6 == pytest.approx(41, abs=1)


def test_thresholds_are_tuned_to_the_density() -> None:
    pytest.importorskip("torch")
    from synthetic import SHAPES, random_images, with_density

    program = with_density(SHAPES["ResNet-20"](4), random_images(1), 0.1)
    run = SimulatorBackend(threads=1).run(program, random_images(1))
    for population in (p for p in program.populations if isinstance(p, AdaFire)):
        counts = run.populations[population.name]
        assert counts.events.sum() / 4 / counts.neurons == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(("phi", "fire"), [(1, Fire.PLAIN), (7, Fire.PLAIN), (3, Fire.SIGNED)])
def test_the_pytorch_loop_emits_what_the_golden_model_emits(phi: int, fire: Fire) -> None:
    pytest.importorskip("torch")
    from engines import check_spikes

    program = two_branches(phi, fire)
    golden = ReferenceBackend().run(program, images(3), record=frozenset({"a", "bb"}))
    assert all(spikes.any() for spikes in golden.spikes.values())
    check_spikes(program, images(3), golden)


def test_a_difference_from_the_pytorch_loop_is_an_error() -> None:
    pytest.importorskip("torch")
    from engines import DifferenceError, check_spikes

    program = two_branches()
    other = replace(program, timesteps=9, membrane_bits=11)  # saturates
    run = ReferenceBackend().run(other, images(1), record=frozenset({"a", "bb"}))
    with pytest.raises(DifferenceError):
        check_spikes(program, images(1), run)


@pytest.mark.parametrize(
    ("library", "name"),
    [
        ("torch", "PyTorch loop"),
        ("spikingjelly", "SpikingJelly, step by step"),
        ("spikingjelly", "SpikingJelly, multi-step"),
        ("sinabs", "sinabs"),
    ],
)
def test_a_rival_gives_the_scores_of_the_golden_model_at_every_step(
    library: str, name: str
) -> None:
    pytest.importorskip(library)
    from rivals import RIVALS

    program = two_branches()
    program = replace(
        program,
        populations=tuple(
            replace(p, threshold=np.full((1, 1, 1), 700)) if isinstance(p, AdaFire) else p
            for p in program.populations
        ),
    )
    golden = ReferenceBackend().run(program, images(3)).readout
    rival = RIVALS[name](program)
    for _ in range(2):
        assert np.array_equal(rival.run(images(3)), golden)


def test_the_float_twin_gives_the_rates_that_spikes_approach() -> None:
    from float_twin import float_twin

    program = replace(two_branches(phi=255), timesteps=2000)
    golden = SimulatorBackend(threads=1).run(program, images(2)).readout[:, -1] / 2000
    assert float_twin(program)(images(2)) == pytest.approx(golden, rel=0.01, abs=5)


def test_a_new_process_tells_times_and_memory(tmp_path: Path) -> None:
    tiny_program().save(tmp_path / "tiny.spikec")
    np.save(tmp_path / "inputs.npy", np.ones((2, 1, 4, 4), np.int8))
    command = [sys.executable, str(BENCHMARKS / "first_run.py"), "tiny.spikec", "inputs.npy"]
    done = subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.PIPE, text=True)
    figures = json.loads(done.stdout)
    memory = {"before", "peak"}
    assert {*figures} == {"imports", "load", "first", "later", "start", *memory}
    assert figures["start"] == pytest.approx(figures["first"] - figures["later"])
    assert all(value > 0 for value in figures.values())
    assert figures["peak"] >= figures["before"] > 10


def test_the_report_stands_between_its_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulator_report, "plot", lambda *_: None)
    results = measured.Measurements(tmp_path / "results.json", {"processor": "x"})
    results.replace("peaks", "peaks", [PEAK])
    results.replace("layers", "conv phi=1", [LAYER])
    results.replace("networks", "net", [ENGINE])
    file = tmp_path / "page.md"
    file.write_text(f"before\n{simulator_report.BEGIN}\nold\n{simulator_report.END}\nafter\n")
    simulator_report.write_report(results, file)
    text = file.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| conv | 1 | 5 | 2 | 2 (1–4) | 2 (1–4) | 2 (1–4) | 50% |" in text
    assert "| net | 8, 1, 4 | 10.0 % | 2 | PyTorch loop | 2 (1–4) | 2 (1–4) |" in text
    assert "A new process" not in text
    file.write_text("no marks")
    with pytest.raises(SystemExit, match="no lines"):
        simulator_report.write_report(results, file)


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    results = measured.Measurements(tmp_path / "results.json")
    results.replace("layers", "conv phi=1", [LAYER])
    results.replace("networks", "net", [ENGINE])
    simulator_report.plot(results, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
