"""Trains the two bundled Fashion-MNIST networks and exports them to ONNX.

Needs torch (``pip install -c constraints.txt ".[torch]"``) and a folder that holds
``fashion_mnist_train.npz`` (``x``: uint8 (N, 28, 28), ``y``: (N,)) to train on and
``fashion_mnist.npz`` (``test_x``, ``test_y``), which is only measured.
"""

from __future__ import annotations

import argparse
import copy
import os
import time
import warnings
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from manifest import DEMO_IMAGES, MODELS, record
from torch import Tensor, nn
from torch.nn import functional

POOLINGS = {"fashion_avgpool": nn.AvgPool2d, "fashion_maxpool": nn.MaxPool2d}
OPSET = 17
EXAMPLE = """\
examples:
  python models/train/train_fashion.py --images ~/fashion
  python models/train/train_fashion.py --images ~/fashion --network fashion_maxpool --epochs 2
"""


@dataclass(frozen=True)
class Images:
    """Pixels in [0, 1], float32 (N, 1, 28, 28), and their classes, int64 (N,)."""

    pixels: Tensor
    labels: Tensor

    @classmethod
    def read(cls, file: Path, pixels: str, labels: str) -> Images:
        """Two arrays of an .npz file."""
        with np.load(file, allow_pickle=False) as arrays:
            x = torch.from_numpy(arrays[pixels]).float().div(255).unsqueeze(1)
            return cls(x, torch.from_numpy(arrays[labels].astype(np.int64)))


def named(**layers: nn.Module) -> nn.Sequential:
    """The layers one after another, under these names."""
    return nn.Sequential(OrderedDict(layers))


def convolution(inputs: int, outputs: int) -> nn.Sequential:
    """3×3 convolution, batch norm, ReLU; the batch norm holds the bias."""
    return named(
        conv=nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        norm=nn.BatchNorm2d(outputs),
        relu=nn.ReLU(),
    )


def network(pooling: type[nn.Module]) -> nn.Sequential:
    """Four convolutions, three poolings (28 → 14 → 7 → 3), two linear layers: 130 k parameters."""
    return named(
        conv1=convolution(1, 32),
        pool1=pooling(2),
        conv2=convolution(32, 64),
        conv3=convolution(64, 64),
        pool2=pooling(2),
        conv4=convolution(64, 64),
        pool3=pooling(2),
        flatten=nn.Flatten(),
        hidden=named(linear=nn.Linear(576, 64), relu=nn.ReLU(), dropout=nn.Dropout(0.2)),
        classes=nn.Linear(64, 10),
    )


def augmented(pixels: Tensor, shift: int = 2, hole: int = 8) -> Tensor:
    """Each image moved by up to ``shift`` pixels, mirrored or not, with a black square."""
    count, _, height, width = pixels.shape
    padded = functional.pad(pixels, (shift,) * 4)
    images = torch.arange(count)[:, None, None]
    top, left = (torch.randint(0, 2 * shift + 1, (count, 1, 1)) for _ in range(2))
    rows = torch.arange(height)[None, :, None]
    columns = torch.arange(width)[None, None, :]
    mirrored = torch.where(torch.rand(count, 1, 1) < 0.5, width - 1 - columns, columns)
    moved = padded[images, 0, top + rows, left + mirrored]
    y, x = (torch.randint(-hole // 2, height - hole // 2, (count, 1, 1)) for _ in range(2))
    covered = (rows >= y) & (rows < y + hole) & (columns >= x) & (columns < x + hole)
    return moved.masked_fill(covered, 0.0).unsqueeze(1)


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the averaged network towards the trained one; its counters are copied."""
    for kept, new in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


@torch.no_grad()
def accuracy(model: nn.Module, images: Images) -> float:
    """Fraction of images whose largest output is their class."""
    model.eval()
    scores = torch.cat([model(batch) for batch in images.pixels.split(500)])
    return float((scores.argmax(1) == images.labels).float().mean())


def train(model: nn.Module, images: Images, epochs: int, batch: int = 64) -> nn.Module:
    """The exponential average of the weights of ``model`` while it is trained."""
    average = copy.deepcopy(model)
    count = len(images.labels)
    steps = epochs * (count // batch)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.1, total_steps=steps, pct_start=0.15
    )
    begin = time.perf_counter()
    for epoch in range(epochs):
        model.train()
        for chosen in torch.randperm(count).split(batch)[: count // batch]:
            scores = model(augmented(images.pixels[chosen]))
            loss = functional.cross_entropy(scores, images.labels[chosen], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            follow(average, model, decay=0.99)
        seconds = time.perf_counter() - begin
        print(f"  epoch {epoch + 1}/{epochs}  loss {loss.item():.3f}  {seconds:.0f} s", flush=True)
    return average


def export(model: nn.Module, file: Path) -> None:
    """Write the network with its batch norms as nodes of their own and a free batch axis."""
    model.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (torch.zeros(2, 1, 28, 28),),
            str(file),
            input_names=["images"],
            output_names=["logits"],
            dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}},
            opset_version=OPSET,
            # PRESERVE keeps batch norm apart from the convolution; EVAL would fuse the two.
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            dynamo=False,
        )
    exported = onnx.load(file)
    for node in exported.graph.node:  # "/conv1/norm/BatchNormalization" → "conv1/norm"
        node.name = node.name.strip("/").rpartition("/")[0]
    onnx.checker.check_model(exported, full_check=True)
    onnx.save(exported, file)


def onnx_logits(file: Path, pixels: Tensor) -> np.ndarray:
    """What onnxruntime computes from the file."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    batches = (session.run(None, {"images": part.numpy()})[0] for part in pixels.split(500))
    return np.concatenate(list(batches))


def measured(file: Path, images: Images) -> float:
    """Accuracy of the file under onnxruntime."""
    return float((onnx_logits(file, images.pixels).argmax(1) == images.labels.numpy()).mean())


def check_export(model: nn.Module, file: Path, pixels: Tensor) -> None:
    """Stop if onnxruntime disagrees with torch by more than rounding."""
    with torch.no_grad():
        expected = model(pixels).numpy()
    difference = float(np.abs(onnx_logits(file, pixels) - expected).max())
    if difference > 1e-4:
        raise SystemExit(f"{file}: onnxruntime differs from torch by {difference:.1e}")
    print(f"  onnxruntime equals torch within {difference:.1e}")


def make(name: str, folder: Path, epochs: int, seed: int) -> None:
    """Train one network, export it, measure it and record it in the manifest."""
    torch.manual_seed(seed)
    training = Images.read(folder / "fashion_mnist_train.npz", "x", "y")
    test = Images.read(folder / "fashion_mnist.npz", "test_x", "test_y")
    model = network(POOLINGS[name])
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{name}: {parameters:,} parameters, {len(training.labels):,} training images")
    model = train(model, training, epochs)
    file = MODELS / "networks" / f"{name}.onnx"
    export(model, file)
    check_export(model, file, test.pixels[:DEMO_IMAGES])
    in_demo = Images(test.pixels[:DEMO_IMAGES], test.labels[:DEMO_IMAGES])
    score = measured(file, test)
    print(f"  test images: torch {accuracy(model, test):.2%}, onnxruntime {score:.2%}")
    record(
        "networks",
        name,
        file,
        source="models/train/train_fashion.py",
        licence="Apache-2.0; trained on Fashion-MNIST (MIT, Zalando SE)",
        input="float32 (N, 1, 28, 28) = pixels / 255",
        command="python models/train/train_fashion.py --images FOLDER"
        f" --network {name} --epochs {epochs} --seed {seed}",
        parameters=parameters,
        training_images=len(training.labels),
        accuracy=score,
        accuracy_images=len(test.labels),
        demo_accuracy=measured(file, in_demo),
        demo_images=DEMO_IMAGES,
    )


def main() -> None:
    """Parse the command line and make the chosen networks."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    folder = os.environ.get("SPIKEC_DATA")
    parser.add_argument(
        "--images",
        type=Path,
        default=folder,
        required=folder is None,
        help="folder of the two .npz files (default: $SPIKEC_DATA)",
    )
    parser.add_argument("--network", choices=[*POOLINGS, "both"], default="both")
    parser.add_argument("--epochs", type=int, default=28)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    # One thread: sums in a fixed order, so equal seeds give equal weights on one kind of CPU.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    for name in POOLINGS if options.network == "both" else [options.network]:
        make(name, options.images, options.epochs, options.seed)


if __name__ == "__main__":
    main()
