"""Depth as colour and back: matplotlib's `hot`, evaluated continuously, and 16-bit grey.

`hot` runs along three edges of the RGB cube, black-red to red, red to yellow, yellow to white,
so depth -> colour is piecewise linear and its inverse is a projection onto the nearest edge.
Written as 8-bit RGB it inverts to within 7.5e-4, better than 8-bit grey (2e-3). The paper renders
HDNet's depth with `hot` and MiDaS' in grey (sec. 4, Implementation).
"""

import numpy as np

__all__ = ["depth_to_grey", "depth_to_hot", "grey_to_depth", "hot_to_depth"]

RED_START = 0.0416  # red at depth 0: `hot` does not begin at pure black
RED_END = 0.365079  # red is full; green rises from here
GREEN_END = 0.746032  # green is full; blue rises from here

# Residuals above this (fraction of the colour range) are mixtures of two colours, as at the edge
# of a person: there the sum of RGB, linear in mixtures, gives the better depth.
MIXED_RESIDUAL = 0.06


def _check_depth(depth: np.ndarray) -> np.ndarray:
    depth = np.asarray(depth)
    if not np.issubdtype(depth.dtype, np.floating):
        raise ValueError(f"depth must be floating point in [0, 1], not {depth.dtype}")
    low, high = (depth.min(), depth.max()) if depth.size else (0.0, 0.0)
    if not (low >= 0.0 and high <= 1.0):  # also catches NaN
        raise ValueError(f"depth must lie in [0, 1]; it spans [{low}, {high}]: normalise it first")
    return depth


def depth_to_hot(depth: np.ndarray) -> np.ndarray:
    """Colour depth with `hot`.

    depth: (..., H, W) floats in [0, 1]; 0 is almost black, 1 is white.
    Returns (..., H, W, 3) uint8 RGB. Raises ValueError outside [0, 1] and for NaN.
    """
    depth = _check_depth(depth).astype(np.float32, copy=False)
    rgb = np.empty((*depth.shape, 3), np.uint8)
    # Image by image and colour by colour: what is at work stays in the processor's cache.
    for at in np.ndindex(depth.shape[:-2]):
        image = depth[at]
        red = RED_START + image * ((1 - RED_START) / RED_END)
        green = (image - RED_END) / (GREEN_END - RED_END)
        blue = (image - GREEN_END) / (1 - GREEN_END)
        for number, colour in enumerate((red, green, blue)):
            rgb[(*at, ..., number)] = np.clip(colour, 0, 1) * 255 + 0.5
    return rgb


def hot_to_depth(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth from `hot` colours, exact ones or noisy ones such as a generated image's.

    rgb: (..., H, W, 3) uint8. Returns depth (..., H, W) float32 in [0, 1] and confidence
    (..., H, W) float32 in [0, 1]: 1 on the `hot` line, falling to 0 with the distance from it.
    Colours near the line take the nearest point on it; colours off it, mixtures at edges, take
    the depth of equal RGB sum. Raises ValueError for other shapes or dtypes.
    """
    rgb = np.asarray(rgb)
    if rgb.dtype != np.uint8 or rgb.ndim < 1 or rgb.shape[-1] != 3:
        raise ValueError(f"hot colours must be uint8 (..., 3), not {rgb.dtype}{rgb.shape}")
    r, g, b = np.moveaxis(rgb.astype(np.float32) / 255, -1, 0)

    # Squared distance to each of the three edges; the nearest point on an edge keeps one channel.
    below = np.maximum(RED_START - r, 0)
    to_red = below**2 + g**2 + b**2
    to_green = (1 - r) ** 2 + b**2
    to_blue = (1 - r) ** 2 + (1 - g) ** 2
    on_red = np.clip((r - RED_START) / (1 - RED_START), 0, 1) * RED_END
    on_green = RED_END + g * (GREEN_END - RED_END)
    on_blue = GREEN_END + b * (1 - GREEN_END)
    depth = np.where(
        to_red <= np.minimum(to_green, to_blue),
        on_red,
        np.where(to_green <= to_blue, on_green, on_blue),
    )
    residual = np.sqrt(np.minimum(np.minimum(to_red, to_green), to_blue))

    total = r + g + b
    by_sum = np.interp(total, (RED_START, 1, 2, 3), (0, RED_END, GREEN_END, 1))
    depth = np.where(residual > MIXED_RESIDUAL, by_sum, depth).astype(np.float32)
    confidence = np.exp(-((residual / (2 * MIXED_RESIDUAL)) ** 2)).astype(np.float32)
    return depth, confidence


def depth_to_grey(depth: np.ndarray) -> np.ndarray:
    """Depth (..., H, W) in [0, 1] as 16-bit grey (..., H, W) uint16; inverts to within 7.7e-6.

    Raises ValueError outside [0, 1] and for NaN.
    """
    depth = _check_depth(depth)
    return (depth.astype(np.float64) * 65535 + 0.5).astype(np.uint16)


def grey_to_depth(grey: np.ndarray) -> np.ndarray:
    """Depth float32 in [0, 1] from grey (..., H, W) uint16 or, at 2e-3, uint8.

    Raises ValueError for other dtypes.
    """
    grey = np.asarray(grey)
    if grey.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"grey depth must be uint8 or uint16, not {grey.dtype}")
    return (grey / np.float32(np.iinfo(grey.dtype).max)).astype(np.float32)
