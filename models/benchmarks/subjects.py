"""Programs that the simulator is measured with, each compiled or tuned once and kept in a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from networks import NETWORKS, model_file

import spikec
from spikec.compiler.arrays import Integers
from spikec.compiler.program import Program
from spikec.runtime.encode import model_inputs, quantise

TUNED_ON = 2
"""Images that thresholds of random networks are tuned on."""


@dataclass(frozen=True)
class Subject:
    """A network with options.

    Attributes:
        name: Of the subject, as options and tables have it.
        network: In NETWORKS, or in SHAPES of synthetic.py.
        timesteps: T.
        phi: φ.
        images: Batch that engines are compared with.
        density: Events per neuron and step that a random network is tuned to; None: trained.
        calibration_images: Of a trained network; None: as many as the compiler takes.
    """

    name: str
    network: str
    timesteps: int
    phi: int
    images: int
    density: float | None = None
    calibration_images: int | None = None

    @property
    def needs_images(self) -> bool:
        """Whether the data folder is asked."""
        return self.density is None

    def inputs(self, program: Program, images: int, folder: Path | None) -> Integers:
        """Quantised inputs; fewer real images than asked for are repeated."""
        if self.density is not None:
            from synthetic import random_images

            return random_images(images)
        assert folder is not None
        source, _ = NETWORKS[self.network]
        _, raw, _ = source.read(folder)
        return quantise(program, model_inputs(program, np.resize(raw, (images, *raw.shape[1:]))))

    def program(self, cache: Path, folder: Path | None) -> Program:
        """Read from the cache, or made and written there."""
        file = self.file(cache)
        if not file.exists():
            program = self._trained(folder) if self.density is None else self._tuned()
            cache.mkdir(parents=True, exist_ok=True)
            program.save(file)
        return spikec.load(file)

    def file(self, cache: Path) -> Path:
        """Where the program is kept."""
        return cache / f"{self.name.replace(' ', '_').replace('%', '')}.spikec"

    def _trained(self, folder: Path | None) -> Program:
        assert folder is not None
        source, preprocessing = NETWORKS[self.network]
        return spikec.compile(
            model_file(self.network, folder),
            source.read(folder)[0],
            timesteps=self.timesteps,
            phi=self.phi,
            preprocessing=preprocessing,
            calibration_images=self.calibration_images,
        )

    def _tuned(self) -> Program:
        from synthetic import SHAPES, random_images, with_density

        assert self.density is not None
        shape = SHAPES[self.network](self.timesteps)
        return with_density(shape, random_images(TUNED_ON), self.density)


RESNET20 = Subject("resnet20 trained", "resnet20_cifar10", 32, 1, 8)
VGG16_5 = Subject("vgg16 5%", "VGG-16", 32, 1, 4, 0.05)
MOBILENET = Subject(
    "mobilenet2 trained", "mobilenet_v2_1p0_224_quant", 4, 15, 1, calibration_images=4
)
SUBJECTS = (
    RESNET20,
    Subject("resnet20 trained phi=4", "resnet20_cifar10", 4, 4, 8),
    VGG16_5,
    Subject("vgg16 10%", "VGG-16", 32, 1, 4, 0.10),
    Subject("resnet20 5%", "ResNet-20", 32, 1, 8, 0.05),
    Subject("resnet20 10%", "ResNet-20", 32, 1, 8, 0.10),
    MOBILENET,
)
