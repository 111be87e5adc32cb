"""Frames compared one by one: PSNR, SSIM and L1, as each protocol has them.

Frames are (H, W, 3) uint8 RGB, two of one size.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import cv2
import numpy as np

__all__ = ["EQUAL_PSNR", "SSIM_WINDOW", "l1", "psnr", "resized", "resized_depth", "ssim"]

EQUAL_PSNR = 100.0
"""What PSNR says of equal frames, whose own is infinite, in every protocol."""

_K1, _K2, _RANGE = 0.01, 0.03, 255.0  # Wang et al. 2004
_GAUSSIAN, _SIGMA = 11, 1.5
_UNIFORM = 7

SSIM_WINDOW: Mapping[str, int] = MappingProxyType(
    {"gaussian rgb": _GAUSSIAN, "uniform grey": _UNIFORM}
)
"""The side of the window of each form of SSIM: of smaller frames it says nothing."""


def psnr(frame: np.ndarray, reference: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, over all channels; `EQUAL_PSNR` where nothing differs."""
    error = np.mean((frame.astype(np.float64) - reference) ** 2)
    return EQUAL_PSNR if error == 0 else float(20 * np.log10(_RANGE / np.sqrt(error)))


def l1(frame: np.ndarray, reference: np.ndarray, form: Literal["unit", "over pixels"]) -> float:
    """Mean absolute difference: of values in [0, 1]; or, as DisCo's script has it, of values in
    [0, 255] and divided by height times width once more."""
    error = float(np.abs(frame.astype(np.float64) - reference).mean())
    if form == "unit":
        return error / _RANGE
    return error / (frame.shape[0] * frame.shape[1])


def ssim(
    frame: np.ndarray, reference: np.ndarray, form: Literal["gaussian rgb", "uniform grey"]
) -> float:
    """Structural similarity, at most 1.

    gaussian rgb: Wang et al.'s 11x11 window of sigma 1.5, mean over channels and all places where
    the window fits. uniform grey: scikit-image's default, a 7x7 mean with unbiased covariances, on
    OpenCV's grey, which is what DisCo's script takes.

    Raises ValueError for frames smaller than the window.
    """
    if form == "gaussian rgb":
        line = cv2.getGaussianKernel(_GAUSSIAN, _SIGMA)
        return _ssim(frame, reference, line, unbias=1.0)
    grey = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] for image in (frame, reference))
    line = np.full((_UNIFORM, 1), 1 / _UNIFORM)
    x, y = grey
    return _ssim(x, y, line, unbias=_UNIFORM**2 / (_UNIFORM**2 - 1))


def _ssim(frame: np.ndarray, reference: np.ndarray, line: np.ndarray, unbias: float) -> float:
    """Over windows that are the outer product of `line` (n, 1), whole ones alone."""
    reach = len(line) // 2
    if min(frame.shape[:2]) < len(line):
        height, width = frame.shape[:2]
        raise ValueError(f"SSIM needs frames of {len(line)} pixels or more, not {width}x{height}")

    def mean(values: np.ndarray) -> np.ndarray:
        blurred = cv2.sepFilter2D(values, cv2.CV_64F, line, line)
        return blurred[reach : len(blurred) - reach, reach : blurred.shape[1] - reach]

    values = []
    for channel in range(frame.shape[2]):
        x, y = (image[..., channel].astype(np.float64) for image in (frame, reference))
        mean_x, mean_y = mean(x), mean(y)
        variances = unbias * (mean(x * x) + mean(y * y) - mean_x**2 - mean_y**2)
        covariance = unbias * (mean(x * y) - mean_x * mean_y)
        c1, c2 = (_K1 * _RANGE) ** 2, (_K2 * _RANGE) ** 2
        likeness = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
        values.append((likeness / ((mean_x**2 + mean_y**2 + c1) * (variances + c2))).mean())
    return float(np.mean(values))


def resized(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The frame at another (height, width), as DisCo's script does it where sizes differ."""
    return cv2.resize(frame, size[::-1], interpolation=cv2.INTER_LINEAR)


def resized_depth(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Depth (F, H, W) at another (height, width): the nearest pixel's, since a mixture of two
    depths, at an edge, is the depth of nothing."""
    if depth.shape[1:] == size:
        return depth
    nearest = cv2.INTER_NEAREST_EXACT
    return np.stack([cv2.resize(one, size[::-1], interpolation=nearest) for one in depth])
