"""The ANN's float behaviour: onnxruntime on exported graphs and on the user's own file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from spikec.compiler.arrays import Array, Float32
from spikec.compiler.errors import InputError, ModelFileError
from spikec.compiler.frontend.from_graph import from_graph
from spikec.compiler.frontend.model_file import ModelLike
from spikec.compiler.frontend.read import check_model
from spikec.compiler.ir import Graph

_SILENT = 4
"""Fatal errors only; all others are raised, and raised ones need not be printed too."""


class OnnxSession:
    """A model loaded into onnxruntime: arrays by input name in, arrays by output name out.

    Attributes:
        inputs: Names of its inputs.
        outputs: Names of its outputs.
        shape: Of the first input, with batch axis; None where a length is open.
    """

    def __init__(self, model: ModelLike, threads: int | None = None) -> None:
        """Load a model.

        Args:
            model: A path is read and checked; bytes and messages are taken as they are.
            threads: For one operator; None leaves the choice to onnxruntime.

        Raises:
            ModelFileError: Onnxruntime refuses the model.
        """
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _SILENT
        options.intra_op_num_threads = threads or 0
        options.inter_op_num_threads = 1
        # Its threads would wait at full speed between calls, and take cores from the simulator's.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        proto = check_model(model).proto if isinstance(model, str | Path) else model
        content = proto if isinstance(proto, bytes) else proto.SerializeToString()
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions share no base class but this
            raise ModelFileError(f"onnxruntime cannot load it: {_reason(error)}") from error
        self._run = onnxruntime.RunOptions()
        self._run.log_severity_level = _SILENT
        found = self._session.get_inputs()
        self.inputs: tuple[str, ...] = tuple(value.name for value in found)
        self.outputs: tuple[str, ...] = tuple(v.name for v in self._session.get_outputs())
        self.shape: tuple[int | None, ...] = tuple(
            length if isinstance(length, int) else None for length in found[0].shape
        )

    def __call__(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name.

        Args:
            feeds: Per input, float32 with batch axis; other entries are left alone.

        Raises:
            ModelFileError: Onnxruntime fails while it runs.
        """
        given = {name: np.ascontiguousarray(feeds[name], np.float32) for name in self.inputs}
        try:
            results = self._session.run(self.outputs, given, self._run)
        except Exception as error:  # its exceptions share no base class but this
            raise ModelFileError(f"onnxruntime cannot run it: {_reason(error)}") from error
        return dict(zip(self.outputs, results, strict=True))


class Region:
    """The part of a graph between some nodes and others, as a function on arrays."""

    def __init__(self, session: OnnxSession | None, outputs: tuple[str, ...]) -> None:
        self._session = session
        self._outputs = outputs

    def __call__(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by node name, float32 (N, ...), from the values of the sources."""
        found = self._session(feeds) if self._session is not None else {}
        return {name: found[name] if name in found else feeds[name] for name in self._outputs}


@dataclass(frozen=True)
class Ann:
    """Runs graphs in float32.

    Attributes:
        threads: For one operator; None leaves the choice to onnxruntime.
    """

    threads: int | None = None

    def activations(
        self, graph: Graph, names: Sequence[str], batches: Iterable[Float32]
    ) -> Iterator[dict[str, Float32]]:
        """Activations of some nodes, one batch after the other.

        Args:
            graph: With known shapes.
            names: Nodes; the input is allowed.
            batches: Inputs of the graph, float32 (N, ...).

        Yields:
            Per batch, the activations by node name, float32 (N, ...).
        """
        source = graph.input.name
        region = self.region(graph, (source,), names)
        for batch in batches:
            yield region({source: batch})

    def region(self, graph: Graph, sources: Sequence[str], outputs: Sequence[str]) -> Region:
        """What computes ``outputs`` from ``sources``; what lies before the sources is not run."""
        inner = [name for name in outputs if name not in sources]
        model = from_graph(graph, inner, sources) if inner else None
        session = OnnxSession(model, self.threads) if model is not None else None
        return Region(session, tuple(outputs))


def run_model(
    model: ModelLike | OnnxSession,
    inputs: Float32,
    batch_size: int = 64,
    threads: int | None = None,
) -> Array:
    """The first output of the user's own model, batch by batch.

    Args:
        model: With one input, best loaded already; a batch size that it insists on is used, and
            the last batch filled up.
        inputs: (N, ...) in the model's layout.
        batch_size: For models that take any.
        threads: For onnxruntime.

    Raises:
        InputError: The inputs have another shape than the model takes.
        ModelFileError: Onnxruntime cannot load or run the model.
    """
    ann = model if isinstance(model, OnnxSession) else OnnxSession(model, threads)
    _check_inputs(ann, inputs)
    own = ann.shape[0] if ann.shape else None
    size = own or batch_size
    results = []
    for start in range(0, len(inputs), size):
        part = inputs[start : start + size]
        missing = own - len(part) if own else 0
        filled = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part
        results.append(ann({ann.inputs[0]: filled})[ann.outputs[0]][: len(part)])
    return np.concatenate(results)


def _check_inputs(ann: OnnxSession, inputs: Array) -> None:
    expected = ann.shape[1:]
    agrees = inputs.ndim == len(ann.shape) and all(
        known is None or known == length
        for known, length in zip(expected, inputs.shape[1:], strict=True)
    )
    if ann.shape and not agrees:
        text = ", ".join("?" if length is None else str(length) for length in expected)
        raise InputError(
            f"inputs have shape {inputs.shape}, the model takes (N, {text})",
            hint="check layout and size of the images",
        )
    if not len(inputs):
        raise InputError("there are no inputs")


def _reason(error: Exception) -> str:
    """The last part of a message such as '[ONNXRuntimeError] : 1 : FAIL : reason'."""
    return str(error).split(" : ", 3)[-1].strip().splitlines()[0]
