"""Every way in which a run on Lava fails ends soon, says why, and leaves nothing behind."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import lava_faulty
import numpy as np
import pytest
from lava_environment import lava_python
from lava_traces import processes_with, wait_for
from tiny_programs import tiny_program

from spikec.backends.lava.backend import WORKER
from spikec.backends.lava.errors import LavaRunError
from spikec.backends.lava.folder import job_folder, reserve
from spikec.backends.lava.host import supervise
from spikec.backends.lava.job import write_job
from spikec.backends.lava.processes import SHARED_MEMORY, is_alive, segments
from spikec.backends.lava.watch import Limits
from spikec.compiler.arrays import Array

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Lava runs on Linux only")

PROGRAM = tiny_program()
INPUTS = np.random.default_rng(4).integers(-127, 128, (20, 1, 4, 4))
LIMITS = Limits(start=30.0, stall=3.0, patience=3.0, total=60.0)


class Run:
    """A run that is observed from outside: its processes and its shared memory."""

    def __init__(self, temporary: Path) -> None:
        self.temporary = temporary
        self.group = 0
        self.segments: frozenset[str] = frozenset()

    def observe(self, *_: object) -> None:
        """Take note of what runs."""
        for group in leaders(self.temporary):
            self.group = group
            self.segments |= segments(group)  # their leader has mapped all of them

    def attempt(
        self,
        *command: object,
        inputs: Array = INPUTS,
        change: Callable[[Path], object] = lambda job: None,
        progress: Callable[..., object] | None = None,
    ) -> None:
        """Lay out a job, change it, and run it by a command."""
        with job_folder() as folder:
            write_job(PROGRAM, inputs, folder.path, granularity="layer", probes=("hidden",))
            reserve(folder.path)
            change(folder.path)
            words = [str(word) for word in (*command, folder.path)]
            supervise(words, folder, limits=LIMITS, progress=progress or self.observe)

    def error(self, *command: object, change: Callable[[Path], object] = lambda job: None) -> str:
        """What the error of such a run says."""
        with pytest.raises(LavaRunError) as caught:
            self.attempt(*command, change=change)
        return str(caught.value)

    def wait_until_gone(self) -> None:
        wait_for(lambda: not (self.group and is_alive(self.group)) and not leaders(self.temporary))
        wait_for(lambda: not list(self.temporary.iterdir()))
        assert not [name for name in self.segments if (SHARED_MEMORY / name).exists()]


def leaders(temporary: Path) -> list[int]:
    """Leaders of groups that work on a job in a folder."""
    return [process for process in processes_with(str(temporary)) if leads(process)]


def leads(process: int) -> bool:
    """Whether a process leads its group; it may have ended since it was seen."""
    try:
        return os.getpgid(process) == process
    except OSError:
        return False


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setenv("TMPDIR", str(temporary))
    observed = Run(temporary)
    yield observed
    observed.wait_until_gone()


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("raise", ("'hidden'", "ArithmeticError: boom at step 30", "lava_faulty.py")),
        pytest.param("die", ("died", "exit code 7", "after step"), marks=pytest.mark.slow),
        ("killed", ("died", "SIGKILL", "memory")),
        ("hang", ("nothing was heard for 3 s", "after step")),
    ],
)
def test_a_model_that_fails_is_named(run: Run, mode: str, words: tuple[str, ...]) -> None:
    error = run.error(lava_python(), "-u", lava_faulty.__file__, mode, WORKER)
    for word in words:
        assert word in error
    assert run.segments


def test_a_worker_that_is_killed_is_told_from_one_that_fails(run: Run) -> None:
    def killing(*_: object) -> None:
        run.observe()
        os.kill(run.group, signal.SIGKILL)

    python = lava_python()
    many = np.tile(INPUTS, (200, 1, 1, 1))  # more than are done until the signal arrives
    with pytest.raises(LavaRunError, match="killed by SIGKILL"):
        run.attempt(python, "-u", WORKER, inputs=many, progress=killing)
    assert run.segments


def truncate(job: Path) -> None:
    """Cut job.json in two."""
    text = (job / "job.json").read_text()
    (job / "job.json").write_text(text[: len(text) // 2])


def other_protocol(job: Path) -> None:
    content = json.loads((job / "job.json").read_text())
    (job / "job.json").write_text(json.dumps(content | {"protocol": 99}))


def lose_a_trace(job: Path) -> None:
    (job / "population1_spikes.npy").write_bytes(b"no array")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (truncate, ("JSONDecodeError",)),
        pytest.param(other_protocol, ("ProtocolError", "99"), marks=pytest.mark.slow),
        (lose_a_trace, ("ValueError",)),
    ],
)
def test_a_job_that_cannot_be_read_says_so(
    run: Run, change: Callable[[Path], None], words: tuple[str, ...]
) -> None:
    error = run.error(lava_python(), "-u", WORKER, change=change)
    for word in words:
        assert word in error


def test_a_wrong_interpreter_says_what_it_misses(run: Run) -> None:
    assert "the worker ended (exit code 1)" in run.error("false")
    assert "lava" in run.error(sys.executable, "-u", WORKER)


def with_builders(**variables: str) -> dict[str, str]:
    """Environment variables of a process that imports what tests share."""
    builders = str(Path(lava_faulty.__file__).parent)
    path = os.pathsep.join([builders, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, **variables}


HOST = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
import numpy as np
from tiny_programs import tiny_program
from spikec.backends.lava.backend import LavaBackend
backend = LavaBackend(sys.argv[1], step_progress=lambda done, total: print("step", flush=True))
backend.run(tiny_program(timesteps=1000), np.zeros((100, 1, 4, 4), np.int64))
"""


@pytest.mark.parametrize(
    "sent",
    [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGKILL],
)
def test_a_host_that_is_ended_takes_lava_with_it(run: Run, sent: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOST, lava_python()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=with_builders(TMPDIR=str(run.temporary)),
        text=True,
    ) as host:
        assert host.stdout is not None
        assert host.stdout.readline().strip() == "step"
        run.observe()
        host.send_signal(sent)
        _, errors = host.communicate(timeout=60)
    assert run.segments
    assert ("KeyboardInterrupt" in errors) == (sent == signal.SIGINT)


FULL = """
import sys
import numpy as np
from tiny_programs import tiny_program
from spikec.backends.lava.folder import job_folder, reserve
from spikec.backends.lava.job import write_job
inputs = np.zeros((500, 1, 4, 4), np.int64)
try:
    with job_folder() as folder:
        program = tiny_program(timesteps=200)
        write_job(program, inputs, folder.path, granularity="layer", probes=("hidden",))
        reserve(folder.path)
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def test_a_disk_that_is_too_small_is_an_error_before_the_run(run: Run) -> None:
    alone = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"'
    place = str(run.temporary)
    try:
        subprocess.run([*alone, mount, place, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no small file system can be mounted here: {error}")
    done = subprocess.run(
        [*alone, mount, place, sys.executable, "-c", FULL],
        capture_output=True,
        env=with_builders(TMPDIR=place),
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"LavaRunError: the temporary folder {place}")
    assert "No space left on device" in done.stderr
    assert "TMPDIR" in done.stderr


def test_a_disk_that_fills_up_is_an_error_before_the_run(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(LavaRunError, match="No space left on device"):
        run.attempt("false")
