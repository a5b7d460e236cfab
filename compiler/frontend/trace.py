"""Model → Sources: one walk that evaluates what is constant and infers every other shape.

What depends only on constants and on the shape of the input is computed by ONNX's own reference
implementation, node by node, so that a file needs no other tool to lose its shape arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import AttributeProto, TypeProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from spikec.compiler.arrays import Array
from spikec.compiler.errors import CompileError, ModelFileError, ShapeError, Where
from spikec.compiler.frontend import structure
from spikec.compiler.frontend.read import ONNX_DOMAINS, opset_of
from spikec.compiler.frontend.source import Source
from spikec.compiler.ir import Attribute
from spikec.compiler.populations import Shape

_RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"} | {
    "Multinomial",
    "Bernoulli",
}

_SCHEMA_OPSET = {"MaxPool": 22, "AveragePool": 22}
"""Before opset 22, ONNX inferred one window too many where ceil_mode meets padding."""

_SMALL = 4096
"""Constants of at most this many values may decide about shapes."""


@dataclass(frozen=True, eq=False)
class Trace:
    """The part of a model that computes its output from its input.

    Attributes:
        input: Name of the input value.
        input_shape: With batch axis.
        sources: The nodes between input and output, each behind those that it reads.
        output: Name of the output value.
    """

    input: str
    input_shape: Shape
    sources: tuple[Source, ...]
    output: str


class _Walk:
    """Constants and types of the values seen so far."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.opset = opset_of(model)
        self.imports = model.opset_import
        self.constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        (value,) = structure.inputs(model.graph)
        self.types: dict[str, TypeProto] = {value.name: value.type}

    def visit(self, node: onnx.NodeProto) -> Source | None:
        """The node as a Source; None if it is a constant now."""
        constants = self._evaluated(node)
        if constants is not None:
            self.constants.update(constants)
            return None
        problem = self._infer(node)
        operands = tuple(self.constants.get(v, v) if v else None for v in node.input)
        first = self.types.get(node.output[0])
        return Source(
            name=node.name,
            op=node.op_type,
            opset=self.opset,
            attrs=_attributes(node),
            operands=operands,
            shapes=tuple(shape_of(self.types.get(value)) for value in node.input),
            outputs=tuple(node.output),
            shape=shape_of(first),
            elem_type=first.tensor_type.elem_type if first is not None else 0,
            problem=problem,
            foreign=node.domain not in ONNX_DOMAINS,
        )

    def _evaluated(self, node: onnx.NodeProto) -> Mapping[str, Array] | None:
        if node.domain not in ONNX_DOMAINS or node.op_type in _RANDOM:
            return None
        known = shape_of(self.types.get(node.input[0])) if node.input else None
        if node.op_type == "Shape" and known is not None:
            ends = {a.name: a.i for a in node.attribute}
            part = known[ends.get("start", 0) : ends.get("end", len(known))]
            return {node.output[0]: np.asarray(part, np.int64)}
        if node.op_type == "Size" and known is not None:
            return {node.output[0]: np.asarray(np.prod(known), np.int64)}
        if any(value not in self.constants for value in structure.reads(node)):
            return None
        return self._reference(node)

    def _reference(self, node: onnx.NodeProto) -> Mapping[str, Array] | None:
        inputs = structure.reads(node)
        outputs = [value for value in node.output if value]
        graph = helper.make_graph(
            [node],
            "constant",
            [onnx.ValueInfoProto(name=value) for value in inputs],
            [onnx.ValueInfoProto(name=value) for value in outputs],
        )
        model = helper.make_model(graph, opset_imports=self.imports)
        try:
            feeds = {value: self.constants[value] for value in inputs}
            with np.errstate(all="ignore"):
                results = ReferenceEvaluator(model).run(None, feeds)
        except Exception:  # whatever the operator's implementation raised
            return None  # the node stays, and is refused by name if there is no row for it
        return dict(zip(outputs, map(np.asarray, results), strict=True))

    def _infer(self, node: onnx.NodeProto) -> CompileError | None:
        version = max(self.opset, _SCHEMA_OPSET.get(node.op_type, 0))
        if node.domain not in ONNX_DOMAINS or not onnx.defs.has(node.op_type, version, ""):
            return None
        read = [value for value in node.input if value]
        if any(value not in self.types and value not in self.constants for value in read):
            return None
        types = {value: self._type(value) for value in read}
        small = {v: self.constants[v] for v in read if v in self.constants}
        tensors = {v: numpy_helper.from_array(a, v) for v, a in small.items() if a.size <= _SMALL}
        try:
            inferred = shape_inference.infer_node_outputs(
                onnx.defs.get_schema(node.op_type, version, ""),
                node,
                types,
                input_data=tensors,
                opset_imports=[helper.make_opsetid("", version)],
            )
        except Exception as error:  # onnx raises its own, RuntimeError or ValueError
            text = str(error).replace("[ShapeInferenceError]", "").strip().splitlines()
            problem = text[-1] if text else type(error).__name__
            shapes = ", ".join(str(shape_of(kind)) for kind in types.values())
            return ShapeError(
                f"its operands {shapes} do not fit: {problem}",
                structure.where(node),
                "if a batch size is built into the model, export it with a dynamic one",
            )
        self.types.update(inferred)
        return None

    def _type(self, value: str) -> TypeProto:
        if value in self.types:
            return self.types[value]
        array = self.constants[value]
        return helper.make_tensor_type_proto(
            helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )


def trace(model: onnx.ModelProto) -> Trace:
    """The nodes that the output depends on, constants evaluated, shapes inferred.

    Args:
        model: Checked, with a batch of one; not changed.

    Raises:
        ModelFileError: The output does not depend on the input.
    """
    walk = _Walk(model)
    (value,) = structure.inputs(model.graph)
    output = model.graph.output[0].name
    visited = [walk.visit(node) for node in _needed(model.graph)]
    sources = _live([source for source in visited if source is not None], output)
    if not sources:
        raise ModelFileError("its output does not depend on its input", Where(output))
    shape = shape_of(value.type)
    assert shape is not None, value.name  # with_batch_of_one has fixed it
    return Trace(value.name, shape, tuple(sources), output)


def shape_of(kind: TypeProto | None) -> Shape | None:
    """The shape that a type states; None if an axis is open."""
    if kind is None or not kind.tensor_type.HasField("shape"):
        return None
    dims = kind.tensor_type.shape.dim
    return tuple(d.dim_value for d in dims) if all(d.HasField("dim_value") for d in dims) else None


def _needed(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes that the output depends on, through constants too, in order."""
    wanted = {graph.output[0].name}
    kept = []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            wanted.update(structure.reads(node))
            kept.append(node)
    return kept[::-1]


def _live(sources: list[Source], output: str) -> list[Source]:
    wanted = {output}
    kept = []
    for source in reversed(sources):
        if wanted.intersection(source.outputs):
            wanted.update(o for o in source.operands if isinstance(o, str))
            kept.append(source)
    return kept[::-1]


def _attributes(node: onnx.NodeProto) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {}
    for attribute in node.attribute:
        match attribute.type:
            case AttributeProto.INT:
                found[attribute.name] = attribute.i
            case AttributeProto.FLOAT:
                found[attribute.name] = attribute.f
            case AttributeProto.STRING:
                found[attribute.name] = attribute.s.decode(errors="replace")
            case AttributeProto.INTS:
                found[attribute.name] = tuple(attribute.ints)
            case AttributeProto.FLOATS:
                found[attribute.name] = tuple(attribute.floats)
    return found
