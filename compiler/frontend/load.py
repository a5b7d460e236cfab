"""A model in any form → the Graph that the passes work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from spikec.compiler.ann import run_model
from spikec.compiler.errors import CompileError, InvariantError, Where
from spikec.compiler.frontend.batch import with_batch_of_one
from spikec.compiler.frontend.from_graph import from_graph
from spikec.compiler.frontend.model_file import ModelLike, errors_naming
from spikec.compiler.frontend.read import check_model
from spikec.compiler.frontend.shapes import infer_shapes
from spikec.compiler.frontend.simplify import TOLERANCE, largest_difference, sample, simplify
from spikec.compiler.frontend.to_graph import to_graph
from spikec.compiler.ir import Graph


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model, ready for the passes.

    Attributes:
        graph: Canonical, with shapes.
        warnings: What was not done, and why; one sentence each.
        original: The model as it was given, checked and self-contained, for onnxruntime.
        sha256: Of the file, or of the serialised message.
    """

    graph: Graph
    warnings: tuple[str, ...]
    original: bytes
    sha256: str


def load_graph(
    model: ModelLike, *, input_shape: Sequence[int] | None = None, simplified: bool = True
) -> Loaded:
    """The graph of a model file, of bytes or of a message, equal to it on a random sample.

    Args:
        model: Never changed.
        input_shape: Without batch axis, for a model that leaves other axes open.
        simplified: Whether onnxslim goes over the model first.

    Raises:
        ModelFileError: The file, its structure or its numbers are broken.
        ShapeError: The input's shape is open, or shapes disagree.
        UnsupportedModelError: With one finding per node that cannot be converted.
    """
    try:
        return _loaded(model, input_shape, simplified=simplified)
    except CompileError:
        raise
    except Exception as error:  # a file broken in a way that no check foresees
        raise InvariantError(
            f"its import failed with {type(error).__name__}: {error}",
            Where(file=str(model)) if isinstance(model, str | Path) else Where(),
            "please report this model",
        ) from error


def _loaded(model: ModelLike, input_shape: Sequence[int] | None, *, simplified: bool) -> Loaded:
    checked = check_model(model)
    with errors_naming(checked.file):
        own = with_batch_of_one(checked.proto, input_shape)
        slim, warnings = simplify(own, run_model) if simplified else (own, ())
        if slim is own:
            graph = _imported(own, own)
        else:
            try:
                graph = _imported(slim, own)
            except CompileError as error:
                graph = _imported(own, own)
                warnings = (f"not simplified: {error.problem}",)
    return Loaded(graph, warnings, checked.proto.SerializeToString(), checked.sha256)


def _imported(model: onnx.ModelProto, own: onnx.ModelProto) -> Graph:
    """The graph of ``model``, checked against the file's own model on one random sample."""
    graph = infer_shapes(to_graph(model))
    exported = from_graph(graph, [graph.output])
    inputs = sample(own)
    difference = largest_difference(run_model(own, inputs), run_model(exported, inputs))
    if not difference <= TOLERANCE:
        raise InvariantError(
            f"the imported graph differs from the file by {difference:.1e}, "
            f"more than {TOLERANCE:.0e} of its largest output",
            Where(graph.output),
            "please report this model",
        )
    return graph
