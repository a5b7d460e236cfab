"""Model file → checked model: after this, every later stage may believe what it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
from onnx import TensorProto, checker, inliner

from spikec.compiler.errors import ModelFileError, ShapeError, Where
from spikec.compiler.frontend import structure
from spikec.compiler.frontend.batch import with_batch_of_one
from spikec.compiler.frontend.model_file import (
    LARGEST_MESSAGE,
    ModelLike,
    errors_naming,
    open_model,
)
from spikec.compiler.frontend.weights import check_weights
from spikec.compiler.ir import INPUT

OLDEST_OPSET = 7
"""Before it, Add and Mul broadcast by attributes and BatchNormalization had other operands."""

ONNX_DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True, eq=False)
class CheckedModel:
    """A model whose container, structure and numbers are sound.

    Attributes:
        proto: Sorted, its nodes named, batch axis as in the file.
        file: Path, for errors; None for a model in memory.
        sha256: Of the file, or of the serialised message.
    """

    proto: onnx.ModelProto
    file: str | None
    sha256: str


def read_model(model: ModelLike, input_shape: Sequence[int] | None = None) -> onnx.ModelProto:
    """The checked model, its nodes sorted and named, its batch axis fixed to 1.

    Args:
        model: Path, bytes or message; never changed.
        input_shape: Without batch axis, for a model that leaves other axes open.

    Raises:
        ModelFileError: The file, its structure or its numbers are broken.
        ShapeError: The input's shape is open, or a stride is not positive.
    """
    checked = check_model(model)
    with errors_naming(checked.file):
        return with_batch_of_one(checked.proto, input_shape)


def check_model(model: ModelLike) -> CheckedModel:
    """The model with its own batch axis; errors as for ``read_model``."""
    opened = open_model(model)
    proto = opened.proto
    with errors_naming(opened.file):
        structure.check_text(proto.graph)
        _check_opset(proto)
        if proto.functions:
            proto = inliner.inline_local_functions(proto)
        structure.name_nodes(proto.graph)
        structure.sort_nodes(proto.graph)
        _check_interface(proto.graph)
        _check_nodes(proto)
        check_weights(proto.graph)
        _check_size(proto)
    return CheckedModel(proto, opened.file, opened.sha256)


def opset_of(model: onnx.ModelProto) -> int:
    """Version of the ONNX operators that the model uses."""
    return int(next(o.version for o in model.opset_import if o.domain in ONNX_DOMAINS))


def _check_opset(model: onnx.ModelProto) -> None:
    versions = [o.version for o in model.opset_import if o.domain in ONNX_DOMAINS]
    if not versions:
        raise ModelFileError("states no opset version", hint="export the model again")
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= versions[0] <= newest:
        raise ModelFileError(
            f"uses opset {versions[0]}; {OLDEST_OPSET} to {newest} are supported",
            hint="export it again, or use onnx.version_converter",
        )
    if not model.graph.node:
        raise ModelFileError("has no nodes", hint="export the model again")
    declared = {o.domain for o in model.opset_import}
    # An undeclared domain is refused with its nodes; shape inference must get so far.
    for domain in sorted({node.domain for node in model.graph.node} - declared):
        model.opset_import.add(domain=domain, version=versions[0] if domain == "ai.onnx" else 1)


def _check_interface(graph: onnx.GraphProto) -> None:
    """One float32 tensor in, one tensor out."""
    found = structure.inputs(graph)
    if len(found) != 1:
        reader = next((n for n in graph.node if found[1:] and found[1].name in n.input), None)
        raise ModelFileError(
            f"the model has {len(found)} inputs{_listed(found)}; a program has one",
            structure.where(reader) if reader else Where(),
            "make the others constants, or export the network without them",
        )
    if len(graph.output) != 1:
        last = graph.output[-1].name if graph.output else ""
        maker = next((n for n in graph.node if last in n.output), None)
        raise ModelFileError(
            f"the model has {len(graph.output)} outputs{_listed(graph.output)}; a program has one",
            structure.where(maker) if maker else Where(),
            "cut the model at one of them with onnx.utils.extract_model",
        )
    kind = found[0].type
    if not kind.HasField("tensor_type") or kind.tensor_type.elem_type != TensorProto.FLOAT:
        name = TensorProto.DataType.Name(kind.tensor_type.elem_type)
        raise ModelFileError(
            f"the input has type {name.lower()}; a program takes float32 tensors",
            Where(found[0].name, INPUT),
            "export the network with a float32 input",
        )


def _listed(values: Sequence[onnx.ValueInfoProto]) -> str:
    names = ", ".join(f"'{value.name}'" for value in values)
    return f" ({names})" if names else ""


def _check_nodes(model: onnx.ModelProto) -> None:
    """Every standard node has operands and attributes that its operator knows."""
    context = checker.C.CheckerContext()
    context.ir_version = model.ir_version
    context.opset_imports = {o.domain: o.version for o in model.opset_import}
    version = opset_of(model)
    for node in model.graph.node:
        _check_windows(node)
        known = node.domain in ONNX_DOMAINS and onnx.defs.has(node.op_type, version, "")
        if known and not any(a.HasField("g") for a in node.attribute):
            try:
                checker.check_node(node, context)
            except checker.ValidationError as error:
                problem = str(error).strip().splitlines()[0]
                raise ModelFileError(problem, structure.where(node)) from error


def _check_windows(node: onnx.NodeProto) -> None:
    for attribute in node.attribute:
        windows = attribute.name in ("strides", "dilations", "kernel_shape")
        if windows and any(length < 1 for length in attribute.ints):
            raise ShapeError(
                f"its {attribute.name} {tuple(attribute.ints)} are not all positive",
                structure.where(node),
                "export the model again",
            )


def _check_size(model: onnx.ModelProto) -> None:
    if model.ByteSize() > LARGEST_MESSAGE:
        raise ModelFileError(f"holds more than {LARGEST_MESSAGE} bytes with its external data")
