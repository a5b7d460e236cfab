"""Model → Graph in canonical form; everything that cannot be converted is found at once."""

from __future__ import annotations

from dataclasses import replace

import onnx

from spikec.compiler.errors import (
    CompileError,
    ShapeError,
    UnsupportedModelError,
    UnsupportedOpError,
)
from spikec.compiler.frontend.canonical import OPSET, RULES
from spikec.compiler.frontend.emit import Emit
from spikec.compiler.frontend.source import Source
from spikec.compiler.frontend.trace import Trace, trace
from spikec.compiler.ir import Graph, Node
from spikec.compiler.ops import op_of


def to_graph(model: onnx.ModelProto) -> Graph:
    """The canonical Graph of a checked model with a batch of one.

    Nodes keep the names of the file; a node that becomes several lends its name to the last one.

    Raises:
        UnsupportedModelError: With one finding per node that cannot be converted.
        ModelFileError: The output does not depend on the input.
    """
    traced = trace(model)
    emit = Emit(traced.input, traced.input_shape[1:])
    emit.reserve([source.name for source in traced.sources])
    findings = _converted(traced, emit)
    if findings:
        raise UnsupportedModelError(findings)
    makers = {value: source.name for source in traced.sources for value in source.outputs[:1]}
    return Graph.build(emit.nodes, emit.operands, makers[traced.output], OPSET)


def _converted(traced: Trace, emit: Emit) -> list[CompileError]:
    names = {traced.input: traced.input}
    used = {o for source in traced.sources for o in source.operands if isinstance(o, str)}
    used.add(traced.output)
    findings: list[CompileError] = []
    for source in traced.sources:
        operands = tuple(names.get(o, o) if isinstance(o, str) else o for o in source.operands)
        finding = _convert(replace(source, operands=operands), emit, used, unsure=bool(findings))
        if finding is not None:
            findings.append(finding)
        if source.shape is not None:
            emit.assume(source.name, source.shape[1:])
        names[source.outputs[0]] = source.name
    return findings


def _convert(source: Source, emit: Emit, used: set[str], *, unsure: bool) -> CompileError | None:
    """What is wrong with the node; ``unsure``: nodes before it were refused already."""
    try:
        if source.foreign or source.op not in RULES:
            _refuse(source)
        if any(value in used for value in source.outputs[1:]):
            raise UnsupportedOpError("its second output is used", source.where)
        if source.problem is not None:
            return source.problem
        if source.shape is None or not _operands_known(source):
            return None if unsure else _unknown_shape(source)
        RULES[source.op](source, emit)
        _check_batch(source)
    except CompileError as error:
        error.where = source.where  # not that of a canonical node, which the file does not have
        return error
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        return ShapeError(f"its operands and attributes do not fit: {error}", source.where)
    return None


def _refuse(source: Source) -> None:
    op_of(Node(source.name, source.op))
    raise UnsupportedOpError(
        "this operator is of a foreign domain",
        source.where,
        "export the network with the operators of ONNX itself",
    )


def _operands_known(source: Source) -> bool:
    pairs = zip(source.operands, source.shapes, strict=True)
    return all(shape is not None for operand, shape in pairs if isinstance(operand, str))


def _unknown_shape(source: Source) -> ShapeError:
    return ShapeError(
        "the shape of its operands or its output depends on values",
        source.where,
        "export the network with fixed shapes, or give --input-shape",
    )


def _check_batch(source: Source) -> None:
    if source.result()[:1] != (1,):
        raise ShapeError(
            f"yields {source.result()} for one sample: its batch axis is not the first",
            source.where,
            "export the network with a batch axis that stays first and with a dynamic length",
        )
