"""Error budget: where a program's difference from its ANN comes from, and what it costs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from spikec.compiler.copied_channels import with_copies
from spikec.compiler.copy_assignment import copies_told
from spikec.compiler.errors import CompileError, InputError, ModelFileError, OptionError, Where
from spikec.compiler.frontend.load import Loaded, load_graph
from spikec.compiler.frontend.model_file import ModelLike
from spikec.compiler.frontend.read import check_model
from spikec.compiler.frontier import population_nodes
from spikec.compiler.ir import Graph
from spikec.compiler.options import CompileOptions
from spikec.compiler.pipeline import convert
from spikec.compiler.populations import Coding
from spikec.compiler.program import Program
from spikec.compiler.simulation import Simulate
from spikec.runtime.counts import kind_of
from spikec.runtime.encode import class_scores, model_inputs, quantise
from spikec.runtime.error_advice import Advice, advice_dict, advised, causes
from spikec.runtime.error_sums import Effect, LayerError, LayerSums, effect_dict
from spikec.runtime.error_walk import ErrorWalk, Visit
from spikec.runtime.inputs import Source
from spikec.runtime.report import Json
from spikec.runtime.session import Progress

SAME_MODEL = "give the model that this program was compiled from"


@dataclass(frozen=True)
class ErrorBudget:
    """What an error budget found.

    Attributes:
        digest: Of the program.
        images: Number of images that it was measured on.
        timesteps: T.
        layers: One per population, in the program's order.
        output: How far the program's outputs are from the ANN's.
        causes: By part of the error, its share of what the populations cost: own effects, each
            divided among the population's own parts (but the correction) by their mean squares,
            added up. An estimate, since neither effects nor squares add up.
        advice: For the populations whose own error costs most, dearest first.
        warnings: What the user should know.
    """

    digest: str
    images: int
    timesteps: int
    layers: tuple[LayerError, ...]
    output: Effect
    causes: Mapping[str, float]
    advice: tuple[Advice, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Json]:
        """Everything as plain values that JSON can hold."""
        return {
            "digest": self.digest,
            "images": self.images,
            "timesteps": self.timesteps,
            "output": effect_dict(self.output),
            "causes": dict(self.causes),
            "layers": [layer.to_dict() for layer in self.layers],
            "advice": [advice_dict(each) for each in self.advice],
            "warnings": list(self.warnings),
        }


def error_budget(
    program: Program,
    ann: ModelLike,
    images: Source,
    *,
    count: int | None = None,
    simulate: Simulate | None = None,
    progress: Progress | None = None,
) -> ErrorBudget:
    """Split the error of every population into its causes; find what costs most.

    The parts are defined in ``compiler.error_terms``. Images are read, run and summed in batches,
    so memory does not grow with their number.

    Args:
        program: What is judged.
        ann: The model that it was compiled from.
        images: Raw inputs where the program stores preprocessing, else what the model reads; best
            other images than those of the calibration.
        count: Use the first so many; None: all.
        simulate: Tells the integer spikes; by default the simulator.
        progress: Told of images done and of all; an image is done after its last layer.

    Raises:
        InputError: Inputs that do not fit, or a program for event streams.
        ModelFileError: The model cannot be read, or is another one.
        OptionError: ``count`` below 1.
    """
    wanted = _number(images, count)
    loaded, warnings = _same_model(program, ann)
    with _naming(ann):
        options = _options(program)
        graph = _matched(program, _with_copies(program, convert(loaded, options)))
    if program.input.coding is Coding.FRAMES:
        raise InputError("an event stream has no ANN to compare with", Where(program.input.name))
    walk = ErrorWalk(program, graph, simulate or _simulator())
    sums = _Sums(program)
    size = walk.batch_size()
    told = progress or (lambda done, total: None)
    told(0, wanted)
    for start in range(0, wanted, size):
        inputs = model_inputs(program, images[start : min(start + size, wanted)], start)
        for left, visit in zip(
            reversed(range(len(walk))), walk.visits(inputs, quantise(program, inputs)), strict=True
        ):
            sums.take(visit)
            # A visit runs the layers behind it, so that early ones take longer.
            undone = left * (left + 1) / (len(walk) * (len(walk) + 1))
            told(start + int(len(inputs) * (1 - undone)), wanted)
    layers = tuple(layer.result() for layer in sums.layers.values())
    return ErrorBudget(
        digest=program.digest,
        images=wanted,
        timesteps=program.timesteps,
        layers=layers,
        output=layers[-1].effect,
        causes=causes(layers),
        advice=advised(program, layers, options),
        warnings=warnings,
    )


class _Sums:
    """The sums of every population, by name."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.layers = {
            population.name: LayerSums(
                population.name, kind_of(population), math.prod(population.shape)
            )
            for population in program.populations
        }

    def take(self, visit: Visit) -> None:
        """Add what was found at one population on a batch."""
        layer = self.layers[visit.name]
        layer.take(visit.terms)
        for sums, outputs in ((layer.own_effect, visit.own), (layer.effect, visit.whole)):
            exact = class_scores(self._program, visit.exact)
            other = class_scores(self._program, outputs)
            both = None if exact is None or other is None else (exact, other)
            sums.take(visit.exact, outputs, both)


def _number(images: Source, count: int | None) -> int:
    if count is not None and count < 1:
        raise OptionError(f"count is {count}", hint="use 1 or more")
    if len(images) == 0:
        raise InputError("there are no images")
    return len(images) if count is None else min(count, len(images))


def _same_model(program: Program, ann: ModelLike) -> tuple[Loaded, tuple[str, ...]]:
    """The model, imported; ModelFileError if the program was compiled from another one."""
    with _naming(ann):
        expected = program.provenance.get("model_sha256", "")
        given = check_model(ann).sha256
        if expected and given != expected:
            raise ModelFileError(
                f"this is not the model of the program: its SHA-256 begins with {given[:12]}, "
                f"that of the model which was compiled with {expected[:12]}",
                hint=f"{SAME_MODEL}, unchanged and in the same form: a file, or bytes",
            )
        loaded = load_graph(ann, input_shape=program.input.shape)
    if expected:
        return loaded, ()
    return loaded, ("the program does not say which model it was compiled from",)


def _options(program: Program) -> CompileOptions:
    """The options that the program was compiled with, as far as it tells and they are known."""
    known = {field.name for field in fields(CompileOptions)}
    try:
        told = json.loads(program.provenance.get("options", "{}"))
        return CompileOptions(**{name: value for name, value in told.items() if name in known})
    except (ValueError, TypeError, AttributeError, OptionError):  # a provenance of someone else's
        return CompileOptions()


def _with_copies(program: Program, graph: Graph) -> Graph:
    """The graph with the copies in silent channels that the program has."""
    copies = copies_told(program.provenance)
    return with_copies(graph, {name: each for name, each in copies.items() if name in graph})


def _matched(program: Program, graph: Graph) -> Graph:
    """The graph, if its neurons stand where the program's populations do."""
    expected = {node.name: node.known_shape() for node in population_nodes(graph)}
    found = {population.name: population.shape for population in program.populations}
    for name, shape in (expected | found).items():
        if expected.get(name) != found.get(name):
            here = f"{expected.get(name, 'none')} in the model, {found.get(name, 'none')} here"
            raise ModelFileError(
                f"the program's populations are not those of the model; first: shape {here}",
                Where(name),
                f"{SAME_MODEL}, with this version of spikec",
            )
        assert shape
    return graph


def _simulator() -> Simulate:
    from spikec.backends.simulator import SimulatorBackend

    return SimulatorBackend()


@contextmanager
def _naming(model: ModelLike) -> Iterator[None]:
    try:
        yield
    except CompileError as error:
        named = isinstance(model, str | Path)
        raise error.in_file(str(model)) if named else error from error.__cause__
