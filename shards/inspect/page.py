"""A page of images and text, both placed in pixels from the top left."""

import logging
from typing import Any

import cv2
import numpy as np

from shards.inspect.glyphs import drawable
from shards.sample.images import encode_png

__all__ = ["ALERT", "DIM", "INK", "Page", "fitted"]

PAPER, INK, DIM, ALERT = "#15171c", "#eceef2", "#9aa3b2", "#ff6b5e"


def fitted(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """An image (H, W, 3) uint8 in the size of a tile; small ones keep their pixels visible."""
    how = cv2.INTER_NEAREST if image.shape[0] < height else cv2.INTER_AREA
    return cv2.resize(image, (width, height), interpolation=how)


class Page:
    """A dark page of `width` by `height` pixels; `png` draws it."""

    def __init__(self, width: int, height: int) -> None:
        # Imported here: matplotlib takes a second, and only this image needs it.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor=PAPER)
        self._canvas = FigureCanvasAgg(self._figure)
        # It tells of each font that has no bold: the next best is what is wanted.
        logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
        self._height = height
        colour = [int(PAPER[i : i + 2], 16) for i in (1, 3, 5)]
        self._pixels = np.full((height, width, 3), colour, np.uint8)

    def paste(self, x: int, y: int, tile: np.ndarray) -> None:
        """Put a (h, w, 3) uint8 RGB image at (x, y); what lies beyond the page is cut off."""
        part = self._pixels[y : y + tile.shape[0], x : x + tile.shape[1]]
        part[...] = tile[: part.shape[0], : part.shape[1]]

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float,
        colour: str = INK,
        bold: bool = False,
        align: str = "left",
        box: dict[str, Any] | None = None,
    ) -> None:
        """Write a line whose baseline starts (aligned right: ends) at (x, y); size in points.

        Characters that no installed font has are written as in Python, `\\u4f60`.
        """
        width, height = self._figure.get_size_inches() * 100
        drawn, families = drawable(text, bold=bold)
        self._figure.text(
            x / width,
            1 - y / height,
            drawn,
            size=size,
            family=families,
            color=colour,
            weight="bold" if bold else "normal",
            ha=align,
            va="baseline",
            bbox=box,
            parse_math=False,  # a video's name may hold dollar signs
        )

    def badge(self, x: int, y: int, text: str, *, colour: str = INK) -> None:
        """Small text on a plate, in the corner of an image at (x, y)."""
        box = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.7, "pad": 3}
        self.text(x + 8, y + 18, text, size=9.5, colour=colour, box=box)

    def image(self) -> np.ndarray:
        """The page as (height, width, 3) uint8 RGB."""
        self._figure.figimage(self._pixels, zorder=-1)
        self._canvas.draw()
        return np.asarray(self._canvas.buffer_rgba())[..., :3]

    def png(self) -> bytes:
        """The page as a PNG file."""
        return encode_png(self.image())
