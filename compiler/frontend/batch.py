"""The input's shape: its batch axis fixed to one sample, the others known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx

from spikec.compiler.errors import ModelFileError, ShapeError, Where
from spikec.compiler.frontend.structure import inputs
from spikec.compiler.ir import INPUT

LARGEST_SAMPLE = 2**28
"""Values of one input, 1 GiB in float32: beyond every network that a program is made for."""


def with_batch_of_one(
    model: onnx.ModelProto, input_shape: Sequence[int] | None = None
) -> onnx.ModelProto:
    """A copy whose input holds one sample; shapes that the file states for other values are gone.

    Args:
        model: With one input.
        input_shape: Without batch axis; for a model that leaves other axes open.

    Raises:
        ModelFileError: The input has no batch axis.
        ShapeError: An axis is open, or ``input_shape`` contradicts the file.
    """
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    (value,) = inputs(fixed.graph)
    shape = _sample_shape(value, input_shape)
    if min(shape) < 1 or math.prod(shape) > LARGEST_SAMPLE:
        raise ShapeError(
            f"the input's shape is {_text(value)}; 1 to {LARGEST_SAMPLE} values fit",
            Where(value.name, INPUT),
            "export the network with the shape of its inputs",
        )
    del value.type.tensor_type.shape.dim[:]
    for length in (1, *shape):
        value.type.tensor_type.shape.dim.add(dim_value=length)
    del fixed.graph.value_info[:]
    for output in fixed.graph.output:
        kind = output.type.tensor_type.elem_type
        output.ClearField("type")
        if kind:  # a model may leave the type of its output to inference
            output.type.tensor_type.elem_type = kind
    return fixed


def own_batch(model: onnx.ModelProto) -> int | None:
    """The batch size that the file insists on; None if any will do."""
    (value,) = inputs(model.graph)
    dims = value.type.tensor_type.shape.dim
    return dims[0].dim_value or None if dims else None


def _sample_shape(value: onnx.ValueInfoProto, given: Sequence[int] | None) -> tuple[int, ...]:
    where, tensor = Where(value.name, INPUT), value.type.tensor_type
    stated = [dim.dim_value or None for dim in tensor.shape.dim] if tensor.HasField("shape") else []
    if tensor.HasField("shape") and len(stated) < 2:
        raise ModelFileError(
            f"the input has {len(stated)} axes; the first is the batch, the others one sample",
            where,
            "export the network with inputs of shape (batch, ...)",
        )
    if given is None:
        if None in stated[1:] or not stated:
            raise ShapeError(
                f"the input's shape {_text(value)} is open",
                where,
                "give the shape of one sample, for example --input-shape 3,224,224",
            )
        return tuple(length for length in stated[1:] if length is not None)
    shape = tuple(int(length) for length in given)
    agrees = len(shape) == len(stated) - 1 and all(
        known is None or known == length for known, length in zip(stated[1:], shape, strict=True)
    )
    if (stated and not agrees) or not shape:
        wanted = ", ".join(map(str, ("N", *shape)))
        raise ShapeError(
            f"the model's input has shape {_text(value)}, not ({wanted})",
            where,
            "leave --input-shape out, or let it agree with the file",
        )
    return shape


def _text(value: onnx.ValueInfoProto) -> str:
    dims = value.type.tensor_type.shape.dim
    return f"({', '.join(str(dim.dim_param or dim.dim_value or '?') for dim in dims)})"
