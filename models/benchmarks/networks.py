"""The networks that benchmarks run, with their images and preprocessing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spikec import Preprocessing

NETWORKS_HERE = Path(__file__).resolve().parents[1] / "networks"


@dataclass(frozen=True)
class Images:
    """Raw images of a data set, uint8.

    Attributes:
        file: Name of the .npz file.
        arrays: Names of calibration images, test images and test labels.
        calibration: Where calibration and test images share an array: so many are the former.
    """

    file: str
    arrays: tuple[str, str, str] = ("calib_x", "test_x", "test_y")
    calibration: int = 0

    def read(self, folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Calibration images, test images, test labels."""
        with np.load(folder / self.file, allow_pickle=False) as file:
            calibration, test, labels = (file[name] for name in self.arrays)
        if self.calibration:
            first = self.calibration
            return calibration[:first], test[first:], labels[first:]
        return calibration, test, labels


CIFAR = Images("cifar10.npz")
FASHION = Images("fashion_mnist.npz")
IMAGENET_128 = Images("imagenet_sample_200_u8_128.npz", ("x", "x", "y"), calibration=64)
IMAGENET_224 = Images("imagenet_sample_200_u8_224.npz", ("x", "x", "y"), calibration=64)

GREY = Preprocessing(scale=1 / 255, layout="hw")
RAW = Preprocessing(layout="chw")
RESNET20 = Preprocessing(
    scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), layout="chw"
)
RESNET20B = Preprocessing(
    scale=1 / 255, mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010), layout="chw"
)
MOBILENET = Preprocessing(mean=(127.5,), std=(127.5,), layout="hwc")

# Network → its images, their preprocessing.
NETWORKS = {
    "fashion_avgpool": (FASHION, GREY),
    "fashion_maxpool": (FASHION, GREY),
    "resnet20_cifar10": (CIFAR, RESNET20),
    "resnet20_cifar10_bn": (CIFAR, RESNET20),
    "resnet20_cifar10_dynamo20": (CIFAR, RESNET20),
    "resnet20b_cifar10": (CIFAR, RESNET20B),
    "mlperftiny_resnet8_cifar10": (CIFAR, RAW),
    "mobilenet_v1_0p25_128": (IMAGENET_128, MOBILENET),
    "mobilenet_v2_1p0_224_quant": (IMAGENET_224, MOBILENET),
}
DEFAULT_NETWORKS = tuple(name for name in NETWORKS if not name.startswith("mobilenet"))


def model_file(network: str, folder: Path) -> Path:
    """A bundled network, or one of the data folder."""
    bundled = NETWORKS_HERE / f"{network}.onnx"
    return bundled if bundled.exists() else folder / "nets" / f"{network}.onnx"
