"""Rows of tiles with their titles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shards.inspect.page import DIM, Page, fitted

__all__ = ["Row", "sheet"]

_TILE, _GAP, _MARGIN, _LABELS, _HEAD = 128, 4, 16, 250, 58

Row = tuple[str, Sequence[np.ndarray]]
"""A title, and tiles (H, W, 3) uint8 RGB."""


def sheet(title: str, caption: str, rows: Sequence[Row]) -> bytes:
    """The rows below each other, as PNG."""
    pitch, columns = _TILE + _GAP, max(len(tiles) for _, tiles in rows)
    # Some eight pixels a letter of a row's title, and seven of the caption's.
    labels = max(_LABELS, 8 * max(len(name) for name, _ in rows))
    left, top = _MARGIN + labels, _MARGIN + _HEAD
    width = max(left + columns * pitch + _MARGIN, 2 * _MARGIN + 7 * len(caption))
    page = Page(width, top + len(rows) * pitch + _MARGIN)
    page.text(_MARGIN, _MARGIN + 16, title, size=13, bold=True)
    page.text(_MARGIN, _MARGIN + 38, caption, size=9.5, colour=DIM)
    for line, (name, tiles) in enumerate(rows):
        y = top + line * pitch
        page.text(_MARGIN, y + 18, name, size=10)
        for column, tile in enumerate(tiles):
            page.paste(left + column * pitch, y, fitted(tile, _TILE, _TILE))
    return page.png()
