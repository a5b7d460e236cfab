"""Session: images whose time goes on in pieces, and that leave when their answer is clear."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from spikec.backends.base import BackendRun, ConnectionCounts
from spikec.compiler.arrays import Array, Int64
from spikec.compiler.errors import OptionError
from spikec.compiler.populations import AdaFire
from spikec.compiler.program import Program


class Session(Protocol):
    """A batch in the middle of its T steps."""

    @property
    def images(self) -> int:
        """Images that are left."""
        ...

    @property
    def done(self) -> int:
        """Steps that are done."""
        ...

    def advance(self, steps: int) -> BackendRun:
        """So many steps more of all images that are left.

        Args:
            steps: At least 1, and not beyond T.

        Returns:
            What happened in these steps, (images, steps, …); nothing is recorded.
        """
        ...

    def keep(self, positions: Array) -> None:
        """Drop all images but these, which are renumbered.

        Args:
            positions: Ascending, among those that are left.
        """
        ...


class SlicedSession:
    """A session over a run that is already complete.

    Args:
        run: All T steps of a batch.
    """

    def __init__(self, run: BackendRun) -> None:
        self._run = run
        self.done = 0
        self._left: Int64 = np.arange(len(run.readout))

    @property
    def images(self) -> int:
        """Images that are left."""
        return len(self._left)

    def advance(self, steps: int) -> BackendRun:
        """The next steps of the run."""
        part = np.ix_(self._left, np.arange(self.done, self.done + steps))
        self.done += steps
        populations = {
            name: replace(
                counts,
                events=counts.events[part],
                spikes=counts.spikes[part],
                saturations=counts.saturations[part],
            )
            for name, counts in self._run.populations.items()
        }
        connections = tuple(
            ConnectionCounts(
                events=counts.events[part],
                spikes=counts.spikes[part],
                zero_events=counts.zero_events[part],
                zero_spikes=counts.zero_spikes[part],
            )
            for counts in self._run.connections
        )
        return BackendRun(self._run.readout[part], populations, connections, {}, {})

    def keep(self, positions: Array) -> None:
        """Drop all images but these."""
        self._left = self._left[positions]


class CheckedSession:
    """A session that refuses what it cannot do.

    Args:
        session: Does the work.
        program: That runs.
    """

    def __init__(self, session: Session, program: Program) -> None:
        self._session = session
        self._timesteps = program.timesteps
        self._windowed = next(
            (p.name for p in program.populations if isinstance(p, AdaFire) and p.windowed), ""
        )

    @property
    def images(self) -> int:
        """Images that are left."""
        return self._session.images

    @property
    def done(self) -> int:
        """Steps that are done."""
        return self._session.done

    def advance(self, steps: int) -> BackendRun:
        """See Session.advance.

        Raises:
            OptionError: No steps, more than are left, or, in a windowed program, not all of them.
        """
        left = self._timesteps - self.done
        if not 1 <= steps <= left:
            raise OptionError(f"{steps} steps were asked for, {left} of {self._timesteps} are left")
        if self._windowed and steps < self._timesteps:
            problem = (
                f"'{self._windowed}' is windowed: it fires behind all {left} steps, not {steps}"
            )
            raise OptionError(problem, hint="advance by all steps, or compile without windows")
        return self._session.advance(steps)

    def keep(self, positions: Array) -> None:
        """See Session.keep.

        Raises:
            OptionError: Positions are not ascending, or not among the images that are left.
        """
        chosen = np.asarray(positions)
        if chosen.size == 0:
            chosen = np.zeros(0, np.int64)  # an empty list has no integer type
        if chosen.dtype.kind not in "iu" or chosen.ndim != 1:
            raise OptionError(f"positions are {chosen.dtype} of shape {chosen.shape}, not integers")
        inside = (chosen >= 0) & (chosen < self.images)
        if not inside.all() or (chosen[1:] <= chosen[:-1]).any():
            problem = f"positions must ascend within 0 … {self.images - 1}"
            raise OptionError(problem)
        self._session.keep(chosen)
