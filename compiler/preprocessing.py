"""What happens to a raw image before it is a network's input; stored in the program."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preprocessing:
    """Raw image → input of the model: resize, crop, scale, mean, std, layout, in this order.

    Attributes:
        resize: Length of the shorter side in pixels (bilinear), or (height, width); None keeps it.
        crop: (height, width) cut from the centre; None keeps all.
        scale: Factor on raw values, for example 1/255.
        mean: Subtracted after scaling: one value, or one per channel.
        std: Divisor after that: one value, or one per channel.
        layout: Axes of the raw arrays without batch: "chw", "hwc", "hw" (a channel axis is added)
            or "" (arrays are already in the model's layout and only scale, mean and std apply).
    """

    resize: int | tuple[int, int] | None = None
    crop: tuple[int, int] | None = None
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    layout: str = ""
