"""The golden model: plain NumPy, int64, step by step."""

from spikec.backends.reference.backend import ReferenceBackend

__all__ = ["ReferenceBackend"]
