"""A generated clip on one page: time going right, the video above its depth."""

import numpy as np

from shards.inspect.page import DIM, Page, fitted

__all__ = ["COLUMNS", "contact_sheet", "shown_frames"]

COLUMNS = 8
_TILE, _GAP, _MARGIN, _LABELS, _HEAD, _TIMES = 256, 6, 28, 130, 60, 26


def shown_frames(frames: int) -> list[int]:
    """Which of so many frames a sheet shows: up to 8, the first and the last among them."""
    return [int(t) for t in np.unique(np.linspace(0, frames - 1, COLUMNS).round())]


def contact_sheet(
    title: str, times: list[float], rows: dict[str, list[np.ndarray]], note: str = ""
) -> bytes:
    """A PNG with a row for each title in `rows`, and a column for each time or tile.

    Args:
        times: of the columns, in seconds.
        rows: (S, S, 3) uint8 RGB tiles, one a column; there may be more of them than times.
        note: a line below the title.
    """
    left, top = _MARGIN + _LABELS, _MARGIN + _HEAD + _TIMES
    pitch = _TILE + _GAP
    columns = max(len(times), *(len(tiles) for tiles in rows.values()))
    width = max(left + columns * pitch - _GAP, 900) + _MARGIN
    page = Page(width, top + len(rows) * pitch - _GAP + _MARGIN)
    page.text(_MARGIN, _MARGIN + 18, title, size=14, bold=True)
    page.text(_MARGIN, _MARGIN + 42, note, size=9.5, colour=DIM)
    for column, time in enumerate(times):
        page.text(left + column * pitch, top - 8, f"{time:.2f} s", size=9.5, colour=DIM)
    for line, (name, tiles) in enumerate(rows.items()):
        y = top + line * pitch
        page.text(_MARGIN, y + 18, name, size=12, bold=True)
        for column, tile in enumerate(tiles):
            page.paste(left + column * pitch, y, fitted(tile, _TILE, _TILE))
    return page.png()
