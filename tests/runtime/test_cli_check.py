from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from commands import spikec

from spikec.compiler.errors import CompileError, UnsupportedOpError, Where
from spikec.runtime import compile as compiling


def test_check_lists_every_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    findings: Sequence[CompileError] = [
        UnsupportedOpError("cannot be converted", Where(name, "Erf", "net.onnx"), "use Relu")
        for name in ("a", "b")
    ]
    monkeypatch.setattr(compiling, "check_model", lambda model, input_shape: findings)
    table = spikec("check", "net.onnx")
    assert table.exit_code == 1
    assert "2 nodes cannot be converted" in table.stdout
    assert table.stdout.count("cannot be converted\n  Erf 'a'\n  Erf 'b'\n  hint: use Relu") == 1
    content = json.loads(spikec("check", "net.onnx", "--json").stdout)
    assert [finding["node"] for finding in content["findings"]] == ["a", "b"]
    assert not content["convertible"]


def test_check_says_when_all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[object] = []

    def check_model(model: str, input_shape: object) -> tuple[CompileError, ...]:
        shapes.append(input_shape)
        return ()

    monkeypatch.setattr(compiling, "check_model", check_model)
    result = spikec("check", "net.onnx", "--input-shape", "3,32,32")
    assert (result.exit_code, shapes) == (0, [(3, 32, 32)])
    assert "every node can be converted" in result.stdout
