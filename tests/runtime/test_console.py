from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from spikec.runtime.cli import console
from spikec.runtime.cli.console import Bars


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


def announced(clock: list[float], seconds: float) -> str:
    """What is said when the first 10 of 100 images took this long."""
    text = io.StringIO()
    bars = Bars(Progress(console=Console(file=text), disable=True), "images")
    bars.start("eval")
    clock[0] += seconds
    bars.stage("eval", 10, 100)
    clock[0] += seconds
    bars.stage("eval", 20, 100)
    return text.getvalue()


def test_long_work_is_announced_once_from_its_first_batch(clock: list[float]) -> None:
    assert announced(clock, 20) == "eval: about 3 min for 90 images\n"


def test_short_work_is_not_announced(clock: list[float]) -> None:
    assert announced(clock, 6) == ""


def test_a_table_in_a_file_keeps_its_title_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table("a title that is longer than the table", ("t",), [("1",)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a title that is longer than the table"


def test_a_narrow_terminal_folds_names_and_cuts_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_WIDTH_IN_A_FILE", 30)
    numbers = tuple(f"{n:,} … {2 * n:,}" for n in (123_456, 234_567, 345_678))
    console.print_table("", ("layer", "a", "b", "c"), [("/layer1/layer1.0/conv1/Conv", *numbers)])
    out = capsys.readouterr().out
    assert all(number in out for number in numbers)
    letters = "".join(line.split("  ")[0].strip() for line in out.splitlines()[2:])
    assert letters == "/layer1/layer1.0/conv1/Conv"


def test_names_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table("[bold]", ("a[0]",), [("[red]/layer1[1]",)])
    out = capsys.readouterr().out
    for text in ("[bold]", "a[0]", "[red]/layer1[1]"):
        assert text in out
