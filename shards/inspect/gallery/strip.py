"""Frames side by side in one image, which a page plays without asking for another."""

from dataclasses import dataclass

import cv2
import numpy as np

__all__ = ["JPEG", "WEBP", "Kind", "Strip", "spread", "strip"]

_WIDTH = 4096  # of a strip in pixels: longer ones go on below


@dataclass(frozen=True)
class Kind:
    """A format of images. JPEG is made ten times faster, WebP is a third smaller."""

    extension: str
    media_type: str
    parameters: tuple[int, ...]


JPEG = Kind(".jpg", "image/jpeg", (cv2.IMWRITE_JPEG_QUALITY, 85))
WEBP = Kind(".webp", "image/webp", (cv2.IMWRITE_WEBP_QUALITY, 75))


@dataclass(frozen=True)
class Strip:
    """An image of `count` frames of `width` by `height` pixels in rows of `columns`."""

    data: bytes
    kind: Kind
    count: int
    columns: int
    width: int
    height: int

    def shape(self) -> dict[str, int]:
        """What a page has to know to cut it."""
        return {name: getattr(self, name) for name in ("count", "columns", "width", "height")}


def spread(count: int, most: int) -> list[int]:
    """Up to `most` of the numbers below `count`, evenly, the first and the last among them."""
    if count < 1:
        return []
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()


def strip(tiles: np.ndarray, side: int, kind: Kind) -> Strip:
    """Tiles (T, H, W, 3) uint8 RGB as a strip; those longer than `side` pixels are made smaller."""
    height, width = tiles.shape[1:3]
    scale = min(1.0, side / max(height, width))
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    columns = max(1, min(len(tiles), _WIDTH // w))
    rows = -(-len(tiles) // columns)
    page = np.zeros((rows * h, columns * w, 3), np.uint8)
    for i, tile in enumerate(tiles):
        y, x = i // columns * h, i % columns * w
        small = tile if scale == 1 else cv2.resize(tile, (w, h), interpolation=cv2.INTER_AREA)
        page[y : y + h, x : x + w] = small
    ok, data = cv2.imencode(kind.extension, page[..., ::-1], kind.parameters)
    assert ok
    return Strip(data.tobytes(), kind, len(tiles), columns, w, h)
