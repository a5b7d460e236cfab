"""Recorder: rows of results, written into files that were laid out before the run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


class Recorder:
    """One .npy file per recorded quantity, with one row per step of all samples.

    Args:
        files: Path by name of quantity; a quantity without a file is not recorded.
    """

    def __init__(self, files: Mapping[str, str] | None) -> None:
        self._rows = {
            quantity: np.load(path, mmap_mode="r+", allow_pickle=False)
            for quantity, path in (files or {}).items()
        }

    def write(self, quantity: str, row: int, values: NDArray[np.int64] | int) -> None:
        """Store what a step gave; rows outside the run are dropped."""
        rows = self._rows.get(quantity)
        if rows is not None and 0 <= row < len(rows):
            rows[row] = values
