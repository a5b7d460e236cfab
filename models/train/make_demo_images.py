"""Writes models/demo_images.npz: the images that the demo calibrates and measures with.

Takes the first 500 test images and the first 128 calibration images, which are training images,
from ``fashion_mnist.npz`` (arrays ``test_x``, ``test_y``, ``calib_x``, ``calib_y``, uint8).
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from manifest import DEMO_IMAGES, MODELS, record

CALIBRATION_IMAGES = 128
EXAMPLE = """\
example:
  python models/train/make_demo_images.py --images ~/fashion
"""


def main() -> None:
    """Cut the images out, write them and record them in the manifest."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    folder = os.environ.get("SPIKEC_DATA")
    parser.add_argument(
        "--images",
        type=Path,
        default=folder,
        required=folder is None,
        help="folder of fashion_mnist.npz (default: $SPIKEC_DATA)",
    )
    sizes = {"test": DEMO_IMAGES, "calib": CALIBRATION_IMAGES}
    with np.load(parser.parse_args().images / "fashion_mnist.npz", allow_pickle=False) as arrays:
        chosen = {
            f"{part}_{axis}": arrays[f"{part}_{axis}"][:count]
            for part, count in sizes.items()
            for axis in "xy"
        }
    file = MODELS / "demo_images.npz"
    np.savez_compressed(file, **chosen)
    record(
        "images",
        "demo_images",
        file,
        source="Fashion-MNIST: test images 0 to 499 and 128 training images"
        " (github.com/zalandoresearch/fashion-mnist)",
        licence="MIT, Copyright 2017 Zalando SE; text in models/LICENSE-fashion-mnist",
        command="python models/train/make_demo_images.py --images FOLDER",
        test_images=DEMO_IMAGES,
        calibration_images=CALIBRATION_IMAGES,
    )
    print(f"{file.name}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
