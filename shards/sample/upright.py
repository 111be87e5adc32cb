"""How a decoded picture is turned to be what a viewer shows."""

from __future__ import annotations

import io
import math
import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Turn"]

_Part = tuple[int, int, int, int]  # x0, y0, x1, y1
_ORIENTATION = 0x112  # EXIF's tag


@dataclass(frozen=True)
class Turn:
    """How a picture is turned to be upright, by the nearest of the eight orientations."""

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False
    mirrors: bool = False

    @classmethod
    def of(cls, matrix: Any) -> Turn:
        """By a stream's display matrix, 3 x 3 int32, of which only the nearest orientation counts;
        upright for None."""
        if matrix is None:
            return cls()
        a, b, _, c, d = (int(value) for value in np.frombuffer(matrix, np.int32)[:5])
        return cls.by(a, b, c, d)

    @classmethod
    def of_frame(cls, frame: Any) -> Turn:
        """By what a frame says that PyAV decoded."""
        try:
            return cls.of(frame.side_data.get("DISPLAYMATRIX"))
        except ValueError:  # PyAV has no name for other things that it says, such as EXIF
            angle = math.radians(frame.rotation)
            cos, sin = round(math.cos(angle)), round(math.sin(angle))
            return cls.by(cos, -sin, sin, cos)

    @classmethod
    def by(cls, a: int, b: int, c: int, d: int) -> Turn:
        """x' = a x + c y, y' = b x + d y, y pointing down."""
        mirrors = a * d - b * c < 0
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(True, c < 0, b < 0, mirrors)
        return cls(False, a < 0, d < 0, mirrors)

    @classmethod
    def of_image(cls, content: bytes) -> Turn:
        """By the EXIF of an image file's bytes; upright where that says nothing."""
        from PIL import Image

        orientation = 1
        # Pillow raises nearly anything for damaged EXIF, which viewers pass over.
        with warnings.catch_warnings(), suppress(Exception):
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content)) as image:
                orientation = image.getexif().get(_ORIENTATION, 1)
        return cls.by(*_OF_EXIF.get(orientation, (1, 0, 0, 1)))

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """(H, W) or (H, W, C) as it is shown; rows lie as they did where nothing is turned."""
        if not (self.transposed or self.flip_x or self.flip_y):
            return picture
        if self.transposed:
            picture = picture.swapaxes(0, 1)
        picture = picture[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]
        return np.ascontiguousarray(picture)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """What is shown of a picture of `width` x `height`."""
        return (height, width) if self.transposed else (width, height)

    def undone(self, box: _Part, width: int, height: int) -> _Part:
        """A box of what is shown, `width` x `height`, in the picture as it was decoded."""
        x0, y0, x1, y1 = box
        if self.flip_x:
            x0, x1 = width - x1, width - x0
        if self.flip_y:
            y0, y1 = height - y1, height - y0
        return (y0, x0, y1, x1) if self.transposed else (x0, y0, x1, y1)


# a, b, c, d as `Turn.by` takes them.
_OF_EXIF = {
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}
