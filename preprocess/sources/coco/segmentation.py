"""COCO's segmentations as masks: polygons, and run lengths plain or compressed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from preprocess.errors import ClipError
from preprocess.frames import Frame
from shards.files.digest import sha256

__all__ = ["Segmentation", "pack_segmentation", "run_lengths"]

_FINER = 4  # polygons are drawn so many times finer, for edges that are off by less than a pixel
_SHIFT = 4  # cv2's fraction bits


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A picture's person mask as COCO describes it; a `FrameReader` of one frame.

    `polygons` are float32 x, y pairs, packed: a plan has tens of thousands of them. `runs` are
    background, person, background ... lengths down the columns, used where there is no polygon.
    """

    name: str
    width: int
    height: int
    polygons: tuple[bytes, ...]
    runs: tuple[int, ...] = ()

    def read(self, indices: Sequence[int]) -> Iterator[Frame]:
        for index in indices:
            mask = self._draw() if self.polygons else self._unroll()
            yield Frame(index, np.repeat(mask[..., None], 3, axis=2), 0.0)

    def fingerprint(self) -> str:
        return sha256(repr(self).encode())

    def _draw(self) -> np.ndarray:
        fine = np.zeros((self.height * _FINER, self.width * _FINER), np.uint8)
        for packed in self.polygons:
            points = np.frombuffer(packed, np.float32).reshape(-1, 2)
            # COCO counts from the corner of the first pixel, cv2 from its middle.
            fixed = np.rint((points * _FINER - 0.5) * (1 << _SHIFT)).astype(np.int32)
            cv2.fillPoly(fine, [fixed], 255, shift=_SHIFT)
        coarse = cv2.resize(fine, (self.width, self.height), interpolation=cv2.INTER_AREA)
        return np.where(coarse > 127, 255, 0).astype(np.uint8)

    def _unroll(self) -> np.ndarray:
        if not self.runs or sum(self.runs) != self.width * self.height:
            raise ClipError(
                f"the segmentation of {self.name} covers {sum(self.runs)} pixels, not "
                f"{self.width}x{self.height}"
            )
        values = np.arange(len(self.runs)) % 2 * 255
        columns = np.repeat(values.astype(np.uint8), self.runs)
        return columns.reshape(self.width, self.height).T


def pack_segmentation(name: str, width: int, height: int, segmentation: Any) -> Segmentation:
    """From an annotation's `segmentation`: a list of polygons, or {"counts": ...}.

    Raises ValueError, TypeError or KeyError when it is neither.
    """
    if isinstance(segmentation, dict):
        counts = segmentation["counts"]
        runs = run_lengths(counts) if isinstance(counts, str) else [int(c) for c in counts]
        return Segmentation(name, width, height, (), tuple(runs))
    polygons = [np.asarray(polygon, np.float32) for polygon in segmentation]
    if not polygons or any(p.ndim != 1 or len(p) < 6 or len(p) % 2 for p in polygons):
        raise ValueError("no polygon of three points or more")
    return Segmentation(name, width, height, tuple(p.tobytes() for p in polygons))


def run_lengths(counts: str) -> list[int]:
    """COCO's compressed run lengths: numbers in groups of 5 bits from the lowest, as characters
    from "0" on; bit 5 tells that more follow, and the sign is in the last group's bit 4. From the
    fourth number on each is the difference to the one before the last."""
    runs: list[int] = []
    number = shift = 0
    for character in counts:
        group = ord(character) - 48
        number |= (group & 31) << shift
        shift += 5
        if not group & 32:
            if group & 16:
                number -= 1 << shift
            runs.append(number + (runs[-2] if len(runs) > 2 else 0))
            number = shift = 0
    return runs
