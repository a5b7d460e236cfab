"""The host: starts a worker, follows it, ends it with all its processes, and says why it failed.

Lava keeps silent about most failures: a model that raises or is killed leaves the others waiting
for ever. So the worker runs in a group of its own, and its events, its processes, the file that a
failing model writes, and the clock are all watched.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from spikec.backends.lava.diagnosis import (
    check_protocol,
    death_error,
    exit_error,
    late_error,
    model_error,
    worker_error,
)
from spikec.backends.lava.errors import LavaRunError
from spikec.backends.lava.folder import JobFolder
from spikec.backends.lava.processes import (
    clean_environment,
    end_group,
    is_alive,
    members,
    segments,
    unlink_segments,
)
from spikec.backends.lava.watch import Event, Limits, Watch, event_in

Progress = Callable[[int, int], None]
"""Called with the number of Lava steps done, and of all."""

LOG = "worker.log"
"""What the worker and Lava print; the reason is often in its last lines."""

_LOOK_SECONDS = 0.05
_CORPSE_SECONDS = 0.25
"""Between two looks for dead processes: each reads all of /proc."""

_CORPSE_LOOKS = 3
"""A process may be dead for a moment until its parent takes note."""

_EXIT_SECONDS = 2.0

_TEMPORARY = {"TMPDIR": "/proc/self/cwd"}
"""The worker's temporary files go with its job. They are sockets too, whose paths must be short."""


def supervise(
    command: Sequence[str | Path],
    folder: JobFolder,
    *,
    jobs: Sequence[Path] = (),
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> None:
    """Run a worker to its end; afterwards ``result.json`` is in the folder of each job.

    Args:
        command: The worker's; it runs in the folder, so paths in it are absolute.
        folder: The worker's log goes there.
        jobs: Folders of the jobs in it that the worker runs, one after the other; by default it is
            one job itself.
        limits: When to give up.
        progress: Told of finished steps.

    Raises:
        LavaRunError: The run failed; names the layer, the exception, the lines before it.
    """
    worker = _Worker(command, folder)
    atexit.register(worker.end)
    try:
        jobs = tuple(jobs) or (folder.path,)
        run = _Run(worker, jobs, Watch(limits or Limits(), time.monotonic()), progress)
        while run.watch.finished < len(jobs):
            run.look()
            time.sleep(_LOOK_SECONDS)
        with suppress(subprocess.TimeoutExpired):
            worker.process.wait(_EXIT_SECONDS)
    finally:
        worker.end()
        atexit.unregister(worker.end)
    if not all((job / "result.json").is_file() for job in jobs):
        raise LavaRunError("the worker says that it is done, and has left no result")


class _Worker:
    """A worker's processes, its pipes, and the shared memory that it is known to have taken."""

    def __init__(self, command: Sequence[str | Path], folder: JobFolder) -> None:
        self.folder = folder
        self.log = folder.path / LOG
        self._segments: set[str] = set()
        try:
            with self.log.open("wb") as log:
                self.process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,  # its end tells the worker that the host is gone
                    stdout=subprocess.PIPE,
                    stderr=log,
                    cwd=folder.path,
                    env=clean_environment() | _TEMPORARY,
                    start_new_session=True,
                )
        except OSError as error:
            problem = f"{command[0]} does not start: {error.strerror or error}"
            raise LavaRunError(problem) from error
        folder.leave_to_guardian("group", self.process.pid)
        os.set_blocking(self._output, False)

    @property
    def _output(self) -> int:
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def chunks(self) -> Iterator[bytes]:
        """What it has written since the last call."""
        with suppress(BlockingIOError):
            while chunk := os.read(self._output, 65536):
                yield chunk

    def note_segments(self, pids: Sequence[int] = ()) -> None:
        """Take note of its shared memory, which nobody finds any more once all are killed.

        Args:
            pids: Processes that are asked; by default the leader, which takes it for all.
        """
        for pid in pids or (self.process.pid,):
            for name in segments(pid) - self._segments:
                self._segments.add(name)
                self.folder.leave_to_guardian("segment", name)

    def end(self) -> None:
        """End its processes, close its pipes, remove its shared memory."""
        self.note_segments([member.pid for member in members(self.process.pid)])
        end_group(self.process)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        if not is_alive(self.process.pid):
            unlink_segments(self._segments)


class _Run:
    """One worker that runs.

    Args:
        worker: Its processes.
        jobs: What it runs.
        watch: Its state.
        progress: Told of finished steps.
    """

    def __init__(
        self, worker: _Worker, jobs: Sequence[Path], watch: Watch, progress: Progress | None
    ) -> None:
        self.worker = worker
        self._jobs = jobs
        self.watch = watch
        self._progress = progress
        self._rest = b""
        self._looked = 0.0
        self._corpses: dict[int, int] = {}

    def look(self) -> None:
        """Hear what there is to hear; raise LavaRunError if the run has failed."""
        code = self.worker.process.poll()  # before reading: what it wrote before its end is read
        for chunk in self.worker.chunks():
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                self._hear(event_in(line))
        if self.watch.finished == len(self._jobs):
            return
        if error := model_error(self._job):
            raise error
        if code is not None:
            raise exit_error(code, self.watch.stage, self.worker.log)
        if time.monotonic() - self._looked > _CORPSE_SECONDS:
            self._looked = time.monotonic()
            self._look_at_processes()
        if late := self.watch.lateness(time.monotonic()):
            raise late_error(late, self.worker.log)

    @property
    def _job(self) -> Path:
        """The job that runs."""
        return self._jobs[min(self.watch.finished, len(self._jobs) - 1)]

    def _hear(self, event: Event) -> None:
        self.watch.hear(event, time.monotonic())
        if event.kind == "error":
            raise worker_error(event, self._job)
        if event.kind == "hello":
            check_protocol(event)
        if event.kind == "progress" and self._progress is not None:
            self._progress(event.number("done"), event.number("total"))

    def _look_at_processes(self) -> None:
        if not self.watch.saw("progress"):  # the first piece of work has taken all it needs
            self.worker.note_segments()
        if self.watch.saw("stopping"):
            return
        leader = self.worker.process.pid
        dead = {m.pid: m.status for m in members(leader) if m.dead and m.pid != leader}
        self._corpses = {pid: self._corpses.get(pid, 0) + 1 for pid in dead}
        for pid, looks in self._corpses.items():
            if looks >= _CORPSE_LOOKS:
                raise death_error(dead[pid], self.watch.stage, self.worker.folder.path)
