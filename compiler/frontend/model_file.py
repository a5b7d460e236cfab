"""The bytes of a model file, and the message in them; nothing in it is believed yet."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from spikec.compiler.errors import CompileError, ModelFileError
from spikec.compiler.frontend.external_data import embed_external_data

ModelLike = str | Path | bytes | onnx.ModelProto

LARGEST_MESSAGE = 2**31 - 1
"""Protobuf reads and writes no message above 2 GiB."""

_FOREIGN = (
    (b"PK\x03\x04", "a zip archive (a PyTorch checkpoint?)"),
    (b"\x89HDF", "an HDF5 file (a Keras model?)"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"{", "JSON text"),
    (b"<", "markup text (a web page?)"),
)

_EXPORT = "export the network to ONNX, for example with torch.onnx.export"


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A model as it was given.

    Attributes:
        proto: A copy of it, all weights inside.
        file: Path, for errors; None for a model in memory.
        sha256: Of the file, or of the serialised message.
    """

    proto: onnx.ModelProto
    file: str | None
    sha256: str


def open_model(model: ModelLike) -> ModelFile:
    """The message in a file, in bytes, or a copy of a message, with external data embedded.

    Raises:
        ModelFileError: Nothing there, no ONNX, truncated, or data outside the file's folder.
    """
    if isinstance(model, onnx.ModelProto):
        proto = onnx.ModelProto()
        proto.CopyFrom(model)
        embed_external_data(proto, None)
        return ModelFile(proto, None, _sha256(proto.SerializeToString(deterministic=True)))
    if isinstance(model, bytes):
        proto = _parsed(model)
        embed_external_data(proto, None)
        return ModelFile(proto, None, _sha256(model))
    path = Path(model)
    with errors_naming(str(path)):
        content = _content(path)
        proto = _parsed(content)
        embed_external_data(proto, path.parent)
    return ModelFile(proto, str(path), _sha256(content))


@contextmanager
def errors_naming(file: str | None) -> Iterator[None]:
    """Errors raised inside name the file, if there is one."""
    try:
        yield
    except CompileError as error:
        if file is not None:
            error.in_file(file)
        raise


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _content(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ModelFileError("is a directory, not a file", hint="name the .onnx file in it")
        if not path.exists():
            raise ModelFileError("there is no such file", hint="check the path")
        if path.stat().st_size > LARGEST_MESSAGE:
            raise ModelFileError(
                f"has {path.stat().st_size} bytes, a protobuf message at most {LARGEST_MESSAGE}",
                hint="save the model with external data",
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise ModelFileError(f"cannot be read: {error}") from error


def _parsed(content: bytes) -> onnx.ModelProto:
    if not content:
        raise ModelFileError("is empty (0 bytes)", hint="download or export it again")
    if content.startswith(b"version https://git-lfs"):
        raise ModelFileError(
            "is a git-LFS pointer, not the model itself", hint="run `git lfs pull` beside it"
        )
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(content)
    except DecodeError as error:
        raise ModelFileError(_not_onnx(content), hint=_EXPORT) from error
    if not proto.HasField("graph"):
        raise ModelFileError(_not_onnx(content), hint=_EXPORT)
    return proto


def _not_onnx(content: bytes) -> str:
    """What a file is that holds no model, as well as its first bytes tell."""
    if content[4:8] == b"TFL3":
        return "is a TensorFlow Lite model, not ONNX"
    for magic, kind in _FOREIGN:
        if content.startswith(magic):
            return f"is {kind}, not an ONNX model"
    head = content[:512]
    if all(byte >= 32 or byte in b"\t\r\n" for byte in head):
        return "is text, not an ONNX model"
    return f"is no ONNX model, or a truncated one ({len(content)} bytes)"
