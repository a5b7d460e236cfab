"""The fast exact simulator: whole layers, all steps and a batch at once."""

from spikec.backends.simulator.backend import SimulatorBackend

__all__ = ["SimulatorBackend"]
