"""HDNet's variables drawn from a seed, in the order in which the fixtures' were drawn."""

from __future__ import annotations

import numpy as np

NETWORKS = {  # scope, input and output channels, parameters
    "depth": ("hourglass_stack_fused_depth_prediction", 9, 1, 28_363_905),
    "normal": ("hourglass_normal_prediction", 3, 3, 28_360_579),
}
WIDTHS = (64, 64, 64, 128, 256, 512, 1024, 1024, 512, 512, 256, 256, 128, 128, 64, 64, 64)
SKIPS = {10: 512, 12: 256, 14: 128, 16: 64}  # channels concatenated before a convolution


def variables(
    kind: str, rng: np.random.Generator, *, moving: bool = False
) -> dict[str, np.ndarray]:
    """All variables of one network, kernels (height, width, in, out), float32."""
    scope, channels, out, _ = NETWORKS[kind]
    drawn: dict[str, np.ndarray] = {}
    for number, width in enumerate((*WIDTHS, out), start=1):
        side = 3 if number < 18 else 1
        fan_in = channels + SKIPS.get(number, 0)
        shape = (side, side, fan_in, width)
        name = f"{scope}/conv{number}"
        drawn[f"{name}/weights"] = rng.standard_normal(shape) * np.sqrt(2 / (side**2 * fan_in))
        drawn[f"{name}/biases"] = rng.standard_normal(width) * 0.3
        if number < 18:
            drawn[f"{name}/beta"] = rng.standard_normal(width) * 0.3
        if number < 18 and moving:
            drawn[f"{name}/moving_mean"] = np.zeros(width)
            drawn[f"{name}/moving_variance"] = np.ones(width)
        channels = width
    return {name: value.astype(np.float32) for name, value in drawn.items()}
