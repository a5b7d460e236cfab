"""A data set through a program: accuracy at every step, agreement with the ANN, counts, energy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spikec.backends.base import Backend
from spikec.compiler.arrays import Array, Float32, Int64
from spikec.compiler.errors import CompileError, InputError, OptionError, Where
from spikec.compiler.program import Program
from spikec.runtime.cost_tables import CostTable
from spikec.runtime.counts import LayerCounts, layer_counts
from spikec.runtime.encode import class_scores, model_inputs
from spikec.runtime.energy import energy_profiles
from spikec.runtime.inputs import Source, checked_labels
from spikec.runtime.preprocess import Raw
from spikec.runtime.report import Report
from spikec.runtime.session import Progress, Session, batch_size_for, outputs_by_step

if TYPE_CHECKING:
    from spikec.compiler.frontend.model_file import ModelLike

Classify = Callable[[Float32], Int64]
"""Model inputs of a batch → the classes that the ANN predicts."""


SAME_MODEL = "give the model that this program was compiled from"


def evaluate(
    program: Program,
    inputs: Source,
    labels: Array | Sequence[int] | None = None,
    ann: ModelLike | None = None,
    backend: str | Backend = "simulator",
    *,
    batch_size: int | None = None,
    progress: Progress | None = None,
    cost_tables: Sequence[CostTable] = (),
    exit: bool = True,  # noqa: A002
) -> Report:
    """Accuracy, agreement, counts and energy of a program on a data set.

    Inputs are read, run and counted batch by batch, so memory does not grow with their number.

    Args:
        program: What to run.
        inputs: Raw inputs where the program stores preprocessing, else what the model reads.
        labels: Class per image; without them there is no accuracy, but agreement and counts.
        ann: The model the program was compiled from; onnxruntime runs it on the same inputs,
            not quantised.
        backend: "simulator", "reference", or a backend.
        batch_size: Images per batch; by default as many as 256 MiB hold.
        progress: Called with the number of images finished and of all images.
        cost_tables: For the energy estimates; those that come with spikec if none is given.
        exit: Whether images leave early where the program has an exit rule. What is counted is
            then what was spent up to each image's exit, and an image that has left keeps its class.

    Raises:
        InputError: Inputs or labels do not fit the program or each other.
        OptionError: ``batch_size`` below 1, unknown backend.
        ModelFileError: The ANN cannot be read.
    """
    if batch_size is not None and batch_size < 1:
        raise OptionError(f"batch size is {batch_size}", hint="use 1 or more")
    if len(inputs) == 0:
        raise InputError("there are no images", Where(program.input.name))
    early = exit and program.exit_rule is not None
    scorer = _Scorer(
        program, _checked(program, inputs, labels), _classifier(program, ann), early=early
    )
    session = Session(program, backend)
    size = batch_size or batch_size_for(program)
    for start in range(0, len(inputs), size):
        scorer.take(session, inputs[start : start + size])
        if progress is not None:
            progress(scorer.images, len(inputs))
    return _report(program, scorer, session.backend.name, cost_tables)


@dataclass
class _Scorer:
    """Sums over the images seen so far.

    Attributes:
        program: What is run.
        labels: All labels, or None.
        ann: Classifies by the ANN, or None.
        early: Whether images leave early.
        images: Number seen.
        right: Correct images after each step, (T,).
        top5: Images whose label is among the five highest scores after T steps.
        ann_right: Images that the ANN gets right.
        agreed: Images on which both predict the same class.
        layers: Counts summed over images.
        left: Images that left after each step, (T,), if they leave early.
    """

    program: Program
    labels: Int64 | None
    ann: Classify | None
    early: bool = False
    images: int = 0
    right: Int64 = field(default_factory=lambda: np.zeros(1, np.int64))
    top5: int = 0
    ann_right: int = 0
    agreed: int = 0
    layers: tuple[LayerCounts, ...] = ()
    left: Int64 = field(default_factory=lambda: np.zeros(1, np.int64))

    def take(self, session: Session, raw: Raw) -> None:
        """Run one batch and add it to the sums."""
        inputs = model_inputs(self.program, raw, self.images)
        run, exits = session.run_model_inputs(inputs, exit=self.early)
        if exits is not None:
            self.left = self.left + np.bincount(exits, minlength=self.program.timesteps + 1)[1:]
        batch = tuple(layer.summed() for layer in layer_counts(self.program, run, exits))
        self.layers = (
            tuple(a.plus(b) for a, b in zip(self.layers, batch, strict=True))
            if self.layers
            else batch
        )
        labels = None
        if self.labels is not None:
            labels = self.labels[self.images : self.images + len(inputs)]
        scores = class_scores(self.program, outputs_by_step(self.program, run, exits))
        if scores is not None:
            self._score(scores, labels, inputs)
        self.images += len(inputs)

    def _score(self, scores: Array, labels: Int64 | None, inputs: Float32) -> None:
        classes = np.argmax(scores, axis=-1)
        ann = None
        if self.ann is not None:
            ann = self.ann(inputs)
            self.agreed += int((ann == classes[:, -1]).sum())
        if labels is not None:
            self.right = self.right + (classes == labels[:, None]).sum(axis=0)
            self.top5 += int(among_top(scores[:, -1], labels, 5).sum())
            if ann is not None:
                self.ann_right += int((ann == labels).sum())


def among_top(scores: Array, labels: Int64, k: int) -> Array:
    """Whether each label is among the k highest scores, bool (images,); first of equals wins."""
    own = scores[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(scores.shape[1]) < labels[:, None]
    rank = ((scores > own) | ((scores == own) & earlier)).sum(axis=1)
    inside: Array = rank < k
    return inside


def ann_classes(program: Program, outputs: Array) -> Int64:
    """The class that the model itself predicts, from its own outputs after its own tail.

    Raises:
        InputError: The model has another number of outputs than the program.
    """
    ops = [op.op for op in program.tail]
    flat = outputs.reshape(len(outputs), -1)
    if "ArgMax" in ops:
        return np.asarray(flat[:, 0], np.int64)
    expected = math.prod(program.readout.shape)
    if flat.shape[1] != expected:
        raise InputError(
            f"the model has {flat.shape[1]} outputs per image, the program has {expected}",
            Where(program.readout.name),
            SAME_MODEL,
        )
    if expected == 1:
        return np.asarray(flat[:, 0] > (0.5 if "Sigmoid" in ops else 0), np.int64)
    return np.asarray(np.argmax(flat, axis=1), np.int64)


def number_of_classes(program: Program) -> int | None:
    """Number of classes; None if the program does not classify."""
    shape = (1, *program.readout.shape)
    scores = class_scores(program, np.zeros(shape, np.float32))
    return None if scores is None else int(scores.shape[-1])


def _checked(
    program: Program, inputs: Source, labels: Array | Sequence[int] | None
) -> Int64 | None:
    if labels is None:
        return None
    classes = number_of_classes(program)
    if classes is None:
        raise InputError(
            f"the program's output has shape {program.readout.shape}; labels need one score "
            "per class",
            Where(program.readout.name),
            "evaluate without labels",
        )
    return checked_labels(labels, len(inputs), classes)


def _classifier(program: Program, ann: ModelLike | None) -> Classify | None:
    """The ANN, loaded once, as a function; its errors name its file."""
    if ann is None:
        return None
    # onnxruntime takes a moment to import, and is needed only here.
    from spikec.compiler.ann import OnnxSession, run_model

    file = str(ann) if isinstance(ann, str | Path) else None
    with _naming(file):
        session = OnnxSession(ann)
        if len(session.inputs) != 1:
            raise InputError(f"the model has {len(session.inputs)} inputs", hint=SAME_MODEL)

    def classes(inputs: Float32) -> Int64:
        with _naming(file):
            return ann_classes(program, run_model(session, inputs, len(inputs)))

    return classes


@contextmanager
def _naming(file: str | None) -> Iterator[None]:
    try:
        yield
    except CompileError as error:
        raise error.in_file(file) if file else error from error.__cause__


def _report(
    program: Program, scorer: _Scorer, backend: str, cost_tables: Sequence[CostTable]
) -> Report:
    images = scorer.images
    classes = number_of_classes(program)
    labelled = scorer.labels is not None
    compared = scorer.ann is not None and classes is not None
    return Report(
        images=images,
        timesteps=program.timesteps,
        digest=program.digest,
        backend=backend,
        accuracy=float(scorer.right[-1] / images) if labelled else None,
        top5=scorer.top5 / images if labelled and (classes or 0) >= 6 else None,
        ann_accuracy=scorer.ann_right / images if labelled and compared else None,
        agreement=scorer.agreed / images if compared else None,
        accuracy_by_step=tuple((scorer.right / images).tolist()) if labelled else (),
        layers=scorer.layers,
        energy=energy_profiles(program, scorer.layers, cost_tables),
        exit_histogram=tuple(scorer.left.tolist()) if scorer.early else (),
    )
