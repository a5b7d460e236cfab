"""models/manifest.toml: origin, licence, digest and measured figures of every bundled file."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path

MODELS = Path(__file__).resolve().parents[1]
MANIFEST = MODELS / "manifest.toml"
DEMO_IMAGES = 500
"""So many test images, the first ones, are bundled."""

Value = str | int | float
Entry = dict[str, Value]


def record(kind: str, name: str, file: Path, **facts: Value) -> None:
    """Write the entry ``[kind.name]`` of the manifest, with the file's size and digest.

    Args:
        kind: "networks" or "images".
        name: Of the entry; an older entry of that name is replaced.
        file: Below models/.
        **facts: Further fields of the entry.
    """
    content = file.read_bytes()
    entries: dict[str, dict[str, Entry]] = (
        tomllib.loads(MANIFEST.read_text(encoding="utf-8")) if MANIFEST.exists() else {}
    )
    entries.setdefault(kind, {})[name] = {
        "file": file.relative_to(MODELS).as_posix(),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        **facts,
    }
    blocks = [_block(k, n, entries[k][n]) for k in sorted(entries) for n in sorted(entries[k])]
    header = "# Written by the scripts in models/train. Accuracies are measured with onnxruntime.\n"
    MANIFEST.write_text("\n".join([header, *blocks]), encoding="utf-8")


def _block(kind: str, name: str, entry: Entry) -> str:
    # JSON strings and numbers are TOML strings and numbers.
    lines = (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items())
    return "\n".join([f"[{kind}.{name}]", *lines, ""])
