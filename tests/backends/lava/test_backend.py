"""LavaBackend: the golden model's integers and counts, by any number of jobs."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from equal_runs import assert_equal, names
from lava_environment import lava_python
from lava_interpreters import SHIM, script
from tiny_programs import INPUT, POPULATIONS, tiny_program, with_population

from spikec.backends.base import Progress
from spikec.backends.lava import backend as module
from spikec.backends.lava.backend import LavaBackend
from spikec.backends.lava.environment import LAVA_PYTHON
from spikec.backends.lava.errors import LavaEnvironmentError
from spikec.backends.lava.job import LavaResults
from spikec.backends.reference import ReferenceBackend
from spikec.compiler.arrays import Array
from spikec.compiler.errors import InputError, OptionError
from spikec.compiler.populations import Coding, Fire
from spikec.compiler.program import Program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Lava runs on Linux only")

IMAGES = np.random.default_rng(0).integers(-127, 128, (5, 1, 4, 4))
TIGHT = with_population("hidden", threshold=np.full((2, 1, 1), 50), bias=np.full((2, 1, 1), 99))
FRAMES = tiny_program(populations=(replace(INPUT, coding=Coding.FRAMES), *POPULATIONS[1:]))


class FromGolden(LavaBackend):
    """Takes what Lava would have recorded from the golden model."""

    def results(
        self, program: Program, inputs: Array, progress: Progress | None = None
    ) -> LavaResults:
        if progress is not None:
            progress(len(inputs))
        run = ReferenceBackend().run(program, inputs, record=names(program))
        spikes = {name: np.swapaxes(n, 0, 1) for name, n in run.spikes.items()}
        membranes = {name: np.swapaxes(v, 0, 1) for name, v in run.membranes.items()}
        saturated = {name: run.populations[name].saturations.T for name in membranes}
        totals = {name: int(counts.sum()) for name, counts in saturated.items()}
        outputs = np.swapaxes(run.readout, 0, 1)
        return LavaResults(outputs, spikes, membranes, totals, saturated)


@pytest.mark.parametrize("program", [tiny_program(), replace(TIGHT, membrane_bits=9)])
def test_counts_follow_from_the_spikes(program: Program) -> None:
    golden = ReferenceBackend().run(program, IMAGES, record=names(program))
    assert_equal(FromGolden().run(program, IMAGES, record=names(program)), golden)


def test_many_images_are_run_by_several_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_JOB_BYTES", 8 * 4 * (16 + 32 + 8 + 3) * 2)
    finished: list[int] = []
    run = FromGolden().run(tiny_program(), IMAGES, progress=finished.append)
    assert finished == [2, 2, 1]
    assert_equal(run, ReferenceBackend().run(tiny_program(), IMAGES))


def test_no_images_are_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LAVA_PYTHON, "never started")
    assert LavaBackend().run(tiny_program(), IMAGES[:0]).readout.shape == (0, 4, 3)


def test_inputs_and_options_are_checked_before_anything_is_started() -> None:
    with pytest.raises(InputError, match="no population"):
        LavaBackend("never started").run(tiny_program(), IMAGES, record=frozenset({"conv9"}))
    with pytest.raises(OptionError, match="granularity is 'neuron'"):
        LavaBackend(granularity="neuron")


def test_without_an_interpreter_the_error_says_what_was_tried(tmp_path: Path) -> None:
    shim = script(tmp_path / "python3.10", SHIM)
    with pytest.raises(LavaEnvironmentError, match="exit code 127"):
        LavaBackend(str(shim)).run(tiny_program(), IMAGES)


SATURATING = replace(TIGHT, membrane_bits=9)
RETRACTING = with_population("hidden", fire=Fire.RETRACT)
WINDOWED = with_population("hidden", fire=Fire.SIGNED, windowed=True)
SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("program", "granularity"),
    [
        pytest.param(SATURATING, "layer", id="saturating-layer"),
        pytest.param(SATURATING, "network", id="saturating-network", marks=SLOW),
        pytest.param(RETRACTING, "layer", id="retracting-layer", marks=SLOW),
        pytest.param(RETRACTING, "network", id="retracting-network", marks=SLOW),
        pytest.param(WINDOWED, "layer", id="windowed-layer", marks=SLOW),
        pytest.param(WINDOWED, "network", id="windowed-network"),
    ],
)
def test_lava_computes_the_integers_of_the_golden_model(program: Program, granularity: str) -> None:
    golden = ReferenceBackend().run(program, IMAGES, record=names(program))
    assert golden.populations["hidden"].spikes.all()
    lava = LavaBackend(lava_python(), granularity=granularity)
    assert_equal(lava.run(program, IMAGES, record=names(program)), golden)


def test_lava_runs_frames_and_records_what_it_is_asked_for() -> None:
    frames = np.random.default_rng(1).integers(-127, 128, (3, 4, 1, 4, 4))
    steps: list[tuple[int, int]] = []
    lava = LavaBackend(lava_python(), step_progress=lambda done, total: steps.append((done, total)))
    record = frozenset({"pool"})
    finished: list[int] = []
    run = lava.run(FRAMES, frames, record=record, progress=finished.append)
    assert_equal(run, ReferenceBackend().run(FRAMES, frames, record=record))
    assert sum(finished) == 3
    assert steps[-1] == (3 * 4 + 3, 3 * 4 + 3)
