"""Python source: calls, broken into lines where they are too long, and names."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterable
from dataclasses import dataclass

_WIDTH = 100


@dataclass(frozen=True)
class Call:
    """A call in source: arguments with their names, or "" for none."""

    name: str
    arguments: tuple[tuple[str, Value], ...]


Value = str | Call | tuple["Value", ...]


def call(name: str, /, *positional: Value, **named: Value) -> Call:
    """A call."""
    return Call(name, (*(("", value) for value in positional), *named.items()))


def text_of(value: Value, indent: int, before: int = 0) -> str:
    """Source of a value; broken into lines where it is too long.

    Args:
        value: What to write; text is source already.
        indent: Of the line that it stands in.
        before: Characters before it in that line, and behind it.
    """
    match value:
        case str():
            return value
        case tuple():
            start, end, parts = "(", ")", tuple(("", part) for part in value)
        case Call():
            start, end, parts = f"{value.name}(", ")", value.arguments
    alone = "," if isinstance(value, tuple) and len(value) == 1 else ""
    flat = ", ".join(f"{name}={text_of(v, 0)}" if name else text_of(v, 0) for name, v in parts)
    line = f"{start}{flat}{alone}{end}"
    if "\n" not in line and indent + before + len(line) <= _WIDTH:
        return line
    inner = indent + 4
    lines = []
    for name, part in parts:
        label = f"{name}=" if name else ""
        lines.append(f"{' ' * inner}{label}{text_of(part, inner, len(label) + 1)},")
    return "\n".join([start, *lines, " " * indent + end])


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """A Python name for each name, no two alike."""
    taken = {"samples", "inputs", "outputs", "clock", "array", "populations", "np", "join"}
    result: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower() or "layer"
        plain = f"layer_{plain}" if plain[0].isdigit() or keyword.iskeyword(plain) else plain
        unique = plain
        for number in range(2, len(taken) + 3):
            if unique not in taken:
                break
            unique = f"{plain}_{number}"
        taken.add(unique)
        result[name] = unique
    return result


def quoted(text: str) -> str:
    """A string literal."""
    return json.dumps(text, ensure_ascii=False)
