"""Weights that a model keeps in files beside it: read from the model's own folder only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import TensorProto

from spikec.compiler.errors import ModelFileError, Where


def tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    """All tensors of a graph: initializers and attributes, subgraphs included."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for subgraph in (attribute.g, *attribute.graphs):
                yield from tensors(subgraph)


def embed_external_data(model: onnx.ModelProto, folder: Path | None) -> None:
    """Afterwards every weight is inside the message.

    Args:
        model: Changed in place.
        folder: Of the model's file; None for a model in memory.

    Raises:
        ModelFileError: A data file is absent, too short, or outside ``folder``.
    """
    for tensor in tensors(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL:
            tensor.raw_data = _external_bytes(tensor, folder)
            tensor.data_location = TensorProto.DEFAULT
            del tensor.external_data[:]


def _external_bytes(tensor: TensorProto, folder: Path | None) -> bytes:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    where, location = Where(tensor.name), entries.get("location", "")
    if folder is None:
        raise ModelFileError(
            f"its values are in '{location}', and a model in memory has no folder",
            where,
            "give the path of the model file",
        )
    path = (folder / location).resolve()
    if not location or not path.is_relative_to(folder.resolve()):
        raise ModelFileError(
            f"its external data '{location}' lies outside the folder of the model",
            where,
            "put the data file beside the model and save it again",
        )
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", -1))
        with open(path, "rb") as stream:
            stream.seek(offset)
            content = bytes(stream.read(length))
    except (OSError, ValueError) as error:
        raise ModelFileError(
            f"its external data '{location}' cannot be read: "
            f"{getattr(error, 'strerror', None) or error}",
            where,
            "put the data file beside the model",
        ) from error
    if len(content) < length:
        raise ModelFileError(
            f"its external data '{location}' ends after {len(content)} of {length} bytes", where
        )
    return content
