"""Checks of the numbers in a model file: as many as announced, finite, of a known type."""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from spikec.compiler.errors import ModelFileError, Where
from spikec.compiler.frontend.external_data import tensors

_MAY_BE_INFINITE = {"Clip", "Max", "Min", "Pad"}
"""Operators for which an infinite operand means "no limit"; their rows judge it."""


def check_weights(graph: onnx.GraphProto) -> None:
    """Nothing if every tensor has as many values as its shape says, and all weights are finite.

    Raises:
        ModelFileError: Names the tensor and, where there is one, the node that uses it.
    """
    if graph.sparse_initializer:
        name = graph.sparse_initializer[0].values.name
        raise ModelFileError("is a sparse tensor", Where(name), "save the weights as dense tensors")
    readers = {value: node for node in reversed(graph.node) for value in node.input}
    for tensor in tensors(graph):
        _check_size(tensor, _reader(tensor, readers))
    for tensor in graph.initializer:
        _check_finite(tensor, readers.get(tensor.name))
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.HasField("t"):
                _check_finite(attribute.t, readers.get(node.output[0]))


def _reader(tensor: TensorProto, readers: dict[str, onnx.NodeProto]) -> Where:
    node = readers.get(tensor.name)
    return Where(tensor.name) if node is None else Where(node.name, node.op_type)


def _check_size(tensor: TensorProto, where: Where) -> None:
    if tensor.data_type == TensorProto.STRING:
        return
    try:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except (KeyError, ValueError, TypeError) as error:
        raise ModelFileError(
            f"its tensor '{tensor.name}' has the unknown type {tensor.data_type}", where
        ) from error
    if any(length < 0 for length in tensor.dims):
        raise ModelFileError(f"its tensor '{tensor.name}' has shape {tuple(tensor.dims)}", where)
    if tensor.HasField("raw_data"):
        halves = tensor.data_type in (TensorProto.INT4, TensorProto.UINT4)
        bits = 4 if halves else dtype.itemsize * 8
        expected = math.ceil(math.prod(tensor.dims) * bits / 8)
        if len(tensor.raw_data) != expected:
            raise ModelFileError(
                f"its tensor '{tensor.name}' of shape {tuple(tensor.dims)} has "
                f"{len(tensor.raw_data)} bytes of {expected}",
                where,
                "export the model again; the file is damaged",
            )
        return
    try:
        numpy_helper.to_array(tensor)
    except Exception as error:  # onnx answers with whatever NumPy or protobuf raised
        raise ModelFileError(
            f"its tensor '{tensor.name}' of shape {tuple(tensor.dims)} cannot be read: {error}",
            where,
        ) from error


def _check_finite(tensor: TensorProto, reader: onnx.NodeProto | None) -> None:
    if reader is None or tensor.data_type == TensorProto.STRING:
        return
    values = numpy_helper.to_array(tensor)
    if not np.issubdtype(values.dtype, np.floating) or np.isfinite(values).all():
        return
    nans, infinite = int(np.isnan(values).sum()), int(np.isinf(values).sum())
    if nans == 0 and reader.op_type in _MAY_BE_INFINITE:
        return
    raise ModelFileError(
        f"its weights '{tensor.name}' hold {nans} NaN and {infinite} infinite values",
        Where(reader.name, reader.op_type),
        "train or export the network again; its training has diverged",
    )
