"""The worker by itself: its events, its result, and what it says of jobs that it cannot run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from lava_environment import lava_python
from lava_runs import WORKER, run_worker
from tiny_programs import tiny_program

from spikec.backends.lava.job import PROTOCOL, write_job
from spikec.compiler.errors import OptionError

INPUTS = np.ones((2, 1, 4, 4), np.int8)


def written(folder: Path) -> Path:
    folder.mkdir()
    write_job(tiny_program(), INPUTS, folder, granularity="layer", probes=("hidden",))
    return folder


def events(*folders: Path) -> list[dict[str, object]]:
    """What the worker says of these jobs."""
    said = run_worker([lava_python(), "-u", WORKER, *folders], folders[0].parent)
    return [json.loads(line) for line in said.splitlines() if line.startswith('{"event"')]


def kinds(found: list[dict[str, object]]) -> list[object]:
    """Kinds in their order, repeated progress once."""
    every = [event["event"] for event in found]
    return [kind for kind, before in zip(every, [None, *every], strict=False) if kind != before]


def test_a_job_is_told_from_hello_to_done(tmp_path: Path) -> None:
    folder = written(tmp_path / "job")
    found = events(folder)
    assert kinds(found) == ["hello", "built", "started", "progress", "stopping", "done"]
    hello, built = found[:2]
    assert (hello["protocol"], hello["lava"]) == (PROTOCOL, "0.10.0")
    assert str(hello["python"]).startswith("3.10.")
    assert built["processes"] == 7
    progress = [event for event in found if event["event"] == "progress"]
    assert {event["total"] for event in progress} == {2 * 4 + 3}
    assert progress[-1]["done"] == 11
    assert json.loads((folder / "result.json").read_text())["steps"] == 11
    assert not (folder / "error").exists()


def test_nothing_that_can_be_executed_is_in_a_job(tmp_path: Path) -> None:
    folder = written(tmp_path / "job")
    assert {file.suffix for file in folder.iterdir()} == {".json", ".npy"}
    for file in folder.glob("*.npy"):
        np.load(file, allow_pickle=False)


def test_a_job_for_another_worker_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "job")
    content = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps(content | {"protocol": PROTOCOL + 1}))
    found = events(folder)
    assert kinds(found) == ["hello", "error"]
    assert found[-1]["type"] == "ProtocolError"
    assert str(PROTOCOL + 1) in str(found[-1]["message"])
    assert not (folder / "result.json").exists()


@pytest.mark.parametrize(
    ("file", "kind"), [("job.json", "FileNotFoundError"), ("inputs.npy", "FileNotFoundError")]
)
def test_an_incomplete_job_is_an_error_with_its_traceback(
    file: str, kind: str, tmp_path: Path
) -> None:
    folder = written(tmp_path / "job")
    (folder / file).unlink()
    found = events(folder)
    assert kinds(found) == ["hello", "error"]
    assert found[-1]["type"] == kind
    assert file in str(found[-1]["traceback"])


def test_a_damaged_job_is_an_error(tmp_path: Path) -> None:
    folder = written(tmp_path / "job")
    (folder / "job.json").write_text('{"protocol": 1, ')
    assert events(folder)[-1]["type"] == "JSONDecodeError"


def test_jobs_are_run_one_after_the_other_until_one_fails(tmp_path: Path) -> None:
    first, second, third = (written(tmp_path / name) for name in "abc")
    (second / "job.json").unlink()
    found = events(first, second, third)
    assert kinds(found).count("done") == 1
    assert found[-1]["event"] == "error"
    assert (first / "result.json").exists()
    assert not (third / "result.json").exists()


def test_unknown_processes_are_an_error_of_the_option(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="'dense'"):
        write_job(
            tiny_program(), INPUTS, tmp_path, granularity="layer", probes=(), processes="dense"
        )
