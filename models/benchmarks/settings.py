"""Options of a compilation as they are written on the command line and in tables."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from spikec.compiler.options import CompileOptions

_LIKE = "T=4,phi=8,fire=plain,weights=fit,windowed,accuracy_loss=1.5"
_NAMES = {"T": "timesteps", "weights": "weight_calibration"}
_LISTS = ("modes", "passes")
_WORDS = {"yes": True, "no": False}
_WIDTHS = ("weight_bits", "input_bits")
"""What a quantised ANN has in common with the program."""
_MOST_SPIKES = 255
"""Largest φ that there is."""


@dataclass(frozen=True)
class Setting:
    """Options of a compilation, written ``T=4,phi=8,windowed,modes=plain+windowed``.

    Attributes:
        text: As it is written in tables.
        options: By the names that ``spikec.compile`` knows; φ is 1 if nothing is said.
    """

    text: str
    options: tuple[tuple[str, object], ...]

    @classmethod
    def parse(cls, text: str) -> Setting:
        """The setting that is written so."""
        options: dict[str, object] = {"phi": 1}
        for part in text.split(","):
            name, given, value = part.partition("=")
            if not name.isidentifier() or bool(given) != bool(value):
                raise argparse.ArgumentTypeError(f"{text!r} is not like {_LIKE}")
            options[_NAMES.get(name, name)] = _value(name, value) if given else True
        if not isinstance(options.get("timesteps"), int):
            raise argparse.ArgumentTypeError(f"{text!r} does not say T: {_LIKE}")
        return cls(text, tuple(options.items()))

    @property
    def timesteps(self) -> int:
        """T."""
        return _whole(dict(self.options)["timesteps"])

    @property
    def phi(self) -> int:
        """The largest φ that a layer may have."""
        named = dict(self.options)
        return max(_whole(named["phi"]), _whole(named.get("phi_max", 0)))

    @property
    def quantised_ann(self) -> Setting:
        """The ANN whose activations have the levels 0…φT, with weights as wide as the program's.

        A program of one step is that network: a neuron emits clip(round(current/θ), 0, φT), and
        where it is signed clip(round(current/θ), ±φT). More than 255 spikes are counted as 255.
        """
        spikes = min(self.phi * self.timesteps, _MOST_SPIKES)
        widths = [
            (name, value)
            for name, value in self.options
            if name in _WIDTHS and value != getattr(CompileOptions, name)
        ]
        text = ",".join((f"ANN {spikes + 1} levels", *(f"{n}={value}" for n, value in widths)))
        return Setting(text, (("timesteps", 1), ("phi", spikes), ("windowed", True), *widths))

    def __str__(self) -> str:
        return self.text


def is_quantised_ann(text: str) -> bool:
    """Whether a table's setting is that of a quantised ANN, not of a program."""
    return text.startswith("ANN ")


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise argparse.ArgumentTypeError(f"{value!r} is no whole number")
    return value


def _value(name: str, text: str) -> object:
    if name in _LISTS:
        return tuple(text.split("+"))
    if text in _WORDS:
        return _WORDS[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
