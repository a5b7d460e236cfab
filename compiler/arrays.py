"""Array types, and how the fields of a program become exact, frozen values."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikec.compiler.errors import ProgramError, Where

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


def freeze_array(owner: object, field: str, dtype: DTypeLike, where: Where) -> None:
    """Replace an array field by a frozen array of the type, its values unchanged.

    Raises:
        ProgramError: The field holds no numbers, or some that the type cannot hold.
    """
    value = getattr(owner, field)
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ProgramError(f"{field} is no array: {error}", where) from error
    goal = np.dtype(dtype)
    if array.dtype.kind not in "iuf":
        raise ProgramError(f"{field} holds {array.dtype}, not {goal}", where)
    if array.size and goal.kind == "i" and array.dtype != goal:
        limits, low, high = np.iinfo(goal), array.min(), array.max()
        whole = array.dtype.kind != "f" or bool((array == np.rint(array)).all())
        if not (whole and limits.min <= low and high <= limits.max):
            raise ProgramError(f"{field} from {low} to {high} does not fit {goal}", where)
    object.__setattr__(owner, field, frozen(value, goal))


def freeze_numbers(owner: object, field: str, where: Where) -> None:
    """Replace a field by a Python int, or a sequence of them by a tuple.

    Raises:
        ProgramError: It holds something else.
    """
    value = getattr(owner, field)
    try:
        many = isinstance(value, tuple | list | np.ndarray)
        whole = tuple(map(_index, value)) if many else _index(value)
    except TypeError as error:
        raise ProgramError(f"{field} is {value!r}, not whole numbers", where) from error
    object.__setattr__(owner, field, whole)


def _index(value: Any) -> int:
    if isinstance(value, bool | np.bool_):
        raise TypeError
    return operator.index(value)
