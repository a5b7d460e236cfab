"""Simplification by onnxslim, believed only where onnxruntime sees no difference."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable

import numpy as np
import onnx

from spikec.compiler.arrays import Array, Float32
from spikec.compiler.errors import CompileError
from spikec.compiler.frontend import structure

Run = Callable[[onnx.ModelProto, Float32], Array]
"""(model, inputs with batch axis) → its output, by onnxruntime."""

TOLERANCE = 1e-4
"""Largest difference that counts as equal, relative to the largest output."""


def simplify(model: onnx.ModelProto, run: Run) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """The simplified model, or the model itself with a warning that says why.

    Args:
        model: Checked, with a batch of one; not changed.
        run: Gives the outputs that are compared on one random sample.
    """
    try:
        slim = _slimmed(model)
        structure.name_nodes(slim.graph)
        structure.sort_nodes(slim.graph)
        difference = largest_difference(run(model, sample(model)), run(slim, sample(model)))
    except CompileError as error:
        return model, (f"not simplified: {error.problem}",)
    except Exception as error:  # onnxslim raises whatever its rewriting meets
        return model, (f"not simplified: onnxslim failed with {type(error).__name__}: {error}",)
    if not difference <= TOLERANCE:
        return model, (f"not simplified: onnxslim moved the outputs by {difference:.1e}",)
    return slim, ()


def sample(model: onnx.ModelProto) -> Float32:
    """One random input, always the same one."""
    (value,) = structure.inputs(model.graph)
    shape = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def largest_difference(expected: Array, actual: Array) -> float:
    """Max |expected − actual| / max |expected|; infinite where shapes or finite values differ."""
    finite = np.isfinite(expected)
    if expected.shape != actual.shape or not np.array_equal(finite, np.isfinite(actual)):
        return float("inf")
    if not finite.any():
        return 0.0
    left, right = expected[finite].astype(np.float64), actual[finite].astype(np.float64)
    scale = max(float(np.abs(left).max()), float(np.finfo(np.float32).tiny))
    return float(np.abs(left - right).max()) / scale


def _slimmed(model: onnx.ModelProto) -> onnx.ModelProto:
    import onnxslim  # 1.2 s to import

    copy = onnx.ModelProto()
    copy.CopyFrom(model)  # onnxslim changes its argument
    level = logging.root.manager.disable
    silence = io.StringIO()
    with (
        contextlib.redirect_stdout(silence),
        contextlib.redirect_stderr(silence),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            slim = onnxslim.slim(copy)
        finally:
            logging.disable(level)
    if not isinstance(slim, onnx.ModelProto):
        raise TypeError("it returned no model")
    return slim
