"""Clock: which step of which sample a population is in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """Samples follow each other without a gap; every population runs them ``depth`` steps late.

    Attributes:
        timesteps: T, the steps of a sample.
        samples: Samples in a run.
        depth: Steps by which the population starts after the input.
    """

    timesteps: int
    samples: int
    depth: int = 0

    @property
    def steps(self) -> int:
        """The steps of all samples."""
        return self.timesteps * self.samples

    def local(self, time_step: int) -> int:
        """The population's own step, from 0, at Lava's ``time_step``, from 1; before: negative."""
        return time_step - 1 - self.depth

    def resets(self, local: int) -> bool:
        """Whether a sample starts here, or the last one has just ended."""
        return local >= 0 and local % self.timesteps == 0

    def runs(self, local: int) -> bool:
        """Whether a sample is going on."""
        return 0 <= local < self.steps
