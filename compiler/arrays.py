"""Array types, and the one way to make an array that nobody can change."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Int8 = NDArray[np.int8]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Integers = NDArray[np.signedinteger[Any]]
Array = NDArray[Any]


def frozen(array: Any, dtype: DTypeLike | None = None) -> Array:
    """A contiguous, read-only copy in the given type; a read-only original is not copied again."""
    result = np.ascontiguousarray(array, dtype=dtype)
    result = result.reshape(np.shape(array))  # ascontiguousarray makes scalars one-dimensional
    if result.flags.writeable:
        if np.shares_memory(result, array):
            result = result.copy()
        result.flags.writeable = False
    return result
