"""The host against a worker that runs well, and one that fails in every way; no Lava."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import lava_worker
import pytest
from lava_traces import processes_with, wait_for

from spikec.backends.lava import processes
from spikec.backends.lava.errors import LavaRunError
from spikec.backends.lava.folder import job_folder
from spikec.backends.lava.host import supervise
from spikec.backends.lava.processes import SHARED_MEMORY, is_alive
from spikec.backends.lava.watch import Limits

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Lava runs on Linux only")

WORKER = Path(lava_worker.__file__)
LIMITS = Limits(start=5.0, stall=1.0, patience=1.0, total=20.0)


class Traces:
    """What a run may leave behind: processes, a segment, a folder."""

    def __init__(self, temporary: Path) -> None:
        self.temporary = temporary
        self.segment = ""
        self.steps: list[tuple[int, int]] = []

    def run(self, mode: str, limits: Limits = LIMITS) -> None:
        with job_folder() as folder:
            try:
                command = [sys.executable, WORKER, mode, folder.path]
                supervise(
                    command,
                    folder,
                    limits=limits,
                    progress=lambda done, total: self.steps.append((done, total)),
                )
            finally:
                self.read_segment(folder.path)

    def read_segment(self, job: Path) -> None:
        if (job / "segment").exists():
            self.segment = (job / "segment").read_text()

    def assert_none(self) -> None:
        assert list(self.temporary.iterdir()) == []
        if self.segment:
            assert not (SHARED_MEMORY / self.segment).exists()
        assert processes_with(str(self.temporary)) == []


@pytest.fixture
def traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Traces]:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    kept = Traces(temporary)
    yield kept
    kept.assert_none()


@pytest.mark.parametrize("mode", ["fine", "slow", "stop-slowly"])
def test_a_good_run_leaves_nothing_behind(traces: Traces, mode: str) -> None:
    traces.run(mode)
    assert traces.steps == [(2, 11), (5, 11), (8, 11), (11, 11)]
    assert traces.segment


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("raise", ("'conv3'", "ValueError: boom at step 30", "neurons.py")),
        ("die", ("died", "exit code 7")),
        ("killed", ("died", "SIGKILL", "memory")),
        ("bus", ("died", "SIGBUS", "/dev/shm")),
        ("hang", ("1 s", "after step 11 of 11")),
        ("deaf-hang", ("1 s", "after step 11 of 11")),
        ("exit", ("exit code 5", "after step 11 of 11", "no such file")),
        ("early", ("exit code 1", "before Lava was imported", "cannot import lava")),
        ("kill", ("SIGKILL", "memory")),
        ("massacre", ("SIGKILL", "memory")),
        ("garbage", ("Hello, world", "no event")),
        ("event-error", ("KeyError: 'weights'", "line 2")),
        ("foreign", ("protocol 9", "the host 1")),
        ("no-result", ("no result",)),
    ],
)
def test_a_failing_run_says_why_and_leaves_nothing_behind(
    traces: Traces, monkeypatch: pytest.MonkeyPatch, mode: str, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 1.0)
    begun = time.monotonic()
    with pytest.raises(LavaRunError) as caught:
        traces.run(mode)
    assert time.monotonic() - begun < 1 + 15
    for word in words:
        assert word in str(caught.value)


def test_the_error_names_the_layer(traces: Traces) -> None:
    with pytest.raises(LavaRunError) as caught:
        traces.run("raise")
    assert caught.value.where.node == "conv3"


@pytest.mark.parametrize(
    ("mode", "limits", "words"),
    [
        ("dumb", Limits(start=0.5), "0.5 s, before Lava was imported"),
        ("slow", Limits(total=1.5), "1.5 s for the whole run"),
    ],
)
def test_every_limit_ends_a_run(traces: Traces, mode: str, limits: Limits, words: str) -> None:
    with pytest.raises(LavaRunError, match=words):
        traces.run(mode, limits)


def test_an_interpreter_that_is_not_there_is_named(traces: Traces) -> None:
    with job_folder() as folder, pytest.raises(LavaRunError, match="no-such-python"):
        supervise(["no-such-python", WORKER, "fine", folder.path], folder)


HOST = """
import signal, sys, threading
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
from pathlib import Path
from spikec.backends.lava.folder import job_folder
from spikec.backends.lava.host import supervise
with job_folder() as folder:
    print(folder.path, flush=True)
    supervise([sys.executable, sys.argv[1], "hang", folder.path], folder)
"""


@pytest.mark.parametrize(
    ("sent", "killed_too"),
    [
        (signal.SIGINT, False),
        (signal.SIGTERM, False),
        (signal.SIGKILL, False),
        (signal.SIGKILL, True),  # the worker's own watchdog, then, does not live to see it
    ],
)
def test_a_host_that_is_ended_leaves_nothing_behind(
    traces: Traces, sent: signal.Signals, killed_too: bool
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOST, str(WORKER)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(traces.temporary)},
        text=True,
    ) as host:
        assert host.stdout is not None
        job = Path(host.stdout.readline().strip())
        wait_for(lambda: (job / "segment").exists())
        time.sleep(0.5)
        traces.read_segment(job)
        assert (SHARED_MEMORY / traces.segment).exists()
        workers = {*processes_with(str(WORKER))} & {*processes_with(str(job))}
        host.send_signal(sent)
        if killed_too:
            os.killpg(os.getpgid(min(workers)), signal.SIGKILL)
        _, errors = host.communicate(timeout=60)
    assert ("KeyboardInterrupt" in errors) == (sent == signal.SIGINT)
    wait_for(lambda: not processes_with(str(traces.temporary)))


def test_an_interpreter_that_ends_in_the_middle_of_a_run_leaves_nothing_behind(
    traces: Traces,
) -> None:
    program = f"""
import threading, time
def host():
    import sys
    sys.argv[1] = {str(WORKER)!r}
    exec({HOST!r})
threading.Thread(target=host, daemon=True).start()
time.sleep(2)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, "worker"],
        capture_output=True,
        env={**os.environ, "TMPDIR": str(traces.temporary)},
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout
    wait_for(lambda: not processes_with(str(traces.temporary)))


def test_a_group_without_processes_is_not_alive() -> None:
    process = subprocess.Popen(["true"], start_new_session=True)
    process.wait()
    assert not is_alive(process.pid)
