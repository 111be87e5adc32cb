"""How far the background moved between two frames of one crop, people left out.

The background that training adds to the noise is the reference frame's, in the clip's crop: where
the camera moved in between it lies askew.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np

from preprocess.errors import ClipError

__all__ = ["Shift", "ShiftInClip", "background_shift", "shift_in_clip"]

_SAME = 0.4  # backgrounds that correlate less are not one and the same

_SIDE = 128  # pixels at which pictures are compared
_BLUR = 4.0  # of these pixels: what is larger is light, not texture
_LEAST_TEXTURE = 1.0  # grey levels, the standard deviation of what the blur takes away
_SURE = 0.8  # correlation from which a peak is the best of all
_LEAST_OVERLAP = 0.3  # of the smaller background
_GROWN = 5  # pixels by which masks are grown: nobody's edge is background
_MASKED = 64  # masks above this may be the person


class Shift(NamedTuple):
    """`dx`, `dy`: pixels by which the second picture's background lies to the right of and below
    the first's; `correlation` in [-1, 1] of the two where they lie one on the other."""

    dx: float
    dy: float
    correlation: float


def background_shift(
    first: np.ndarray,
    first_mask: np.ndarray | None,
    second: np.ndarray,
    second_mask: np.ndarray | None,
    inside: np.ndarray | None = None,
) -> Shift | None:
    """The shift at which two pictures' backgrounds correlate best.

    Pictures (S, S, 3) uint8; masks (S, S) uint8, the people, None where nobody made any; `inside`
    (S, S) uint8, 0 in the bars beyond the frame. By normalized cross-correlation of masked images
    in Fourier space (Padfield, IEEE Trans. Image Processing 21(5), 2012), which no person and no
    bar can draw towards themselves. None where either background has too little texture, or is
    too small, to say.
    """
    size = first.shape[0]
    one, there = _texture(first, first_mask, inside)
    two, seen = _texture(second, second_mask, inside)
    if min(_deviation(one, there), _deviation(two, seen)) < _LEAST_TEXTURE:
        return None
    scores = _close_by(one, there, two, seen)
    if scores[1, 1] < max(_SURE, scores.max()):
        scores = _correlations(one, there, two, seen)
    row, column = np.unravel_index(scores.argmax(), scores.shape)
    y, x = _peak(scores[:, column], int(row)), _peak(scores[row], int(column))
    scale = size / _SIDE
    middle = len(scores) // 2
    return Shift(float(x - middle) * scale, float(y - middle) * scale, float(scores[row, column]))


@dataclass(frozen=True)
class ShiftInClip:
    """How far a clip's background lies from its reference frame's.

    `shift` in pixels of the clip, None where it cannot be measured; `match` the correlation there
    in [-1, 1], None where the background has too little texture to be compared.
    """

    shift: tuple[float, float] | None = None
    match: float | None = None

    @property
    def info(self) -> dict[str, Any]:
        """What the json says under `reference`."""
        shift = None if self.shift is None else [round(value, 2) for value in self.shift]
        match = None if self.match is None else round(self.match, 3)
        return {"background_shift": shift, "background_match": match}

    def check(self, most: float | None) -> None:
        """Raises ClipError for more than `most` pixels, and where there is texture that is not
        the reference frame's; not where nothing can be measured."""
        if most is None or self.match is None:
            return
        if self.shift is None:
            raise ClipError(
                "the background of the reference frame is not found again in this clip; "
                f"--max-background-shift allows it to move by {most:g} pixels"
            )
        if (moved := float(np.hypot(*self.shift))) > most:
            raise ClipError(
                f"the background moved by {moved:.1f} pixels since the reference frame; "
                f"--max-background-shift allows {most:g}"
            )


def shift_in_clip(
    background: np.ndarray,
    background_mask: np.ndarray | None,
    rgb: np.ndarray,
    masks: np.ndarray | None,
    inside: np.ndarray | None = None,
) -> ShiftInClip:
    """That of the clip's first, middle and last frame which moved farthest.

    A clip that is the reference frame itself is not measured: nothing can have moved.
    `background` (S, S, 3) uint8 with its mask (S, S); `rgb` (T, S, S, 3) uint8 with its masks
    (T, S, S); masks None where nobody makes any; `inside` as in `background_shift`.
    """
    if len(rgb) == 1 and np.array_equal(rgb[0], background):
        return ShiftInClip((0.0, 0.0), 1.0)
    found = [
        background_shift(
            background, background_mask, rgb[t], None if masks is None else masks[t], inside
        )
        for t in sorted({0, len(rgb) // 2, len(rgb) - 1})
    ]
    known = [match for match in found if match is not None]
    if not known:
        return ShiftInClip()
    worst = min(match.correlation for match in known)
    if worst < _SAME:
        return ShiftInClip(None, worst)
    farthest = max(known, key=lambda match: np.hypot(match.dx, match.dy))
    return ShiftInClip((farthest.dx, farthest.dy), farthest.correlation)


def _texture(
    rgb: np.ndarray, mask: np.ndarray | None, inside: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """What of a picture is finer than light and shade, and where it is background: (128, 128)."""
    there = (
        np.ones(rgb.shape[:2], np.float32) if inside is None else (inside > 0).astype(np.float32)
    )
    there = cv2.resize(there, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    there = (there > 0.99).astype(np.float32)
    if mask is not None:
        person = cv2.resize(mask, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) > _MASKED
        there[cv2.dilate(person.astype(np.uint8), np.ones((_GROWN, _GROWN))) > 0] = 0
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    # The mean around each pixel of what is background there, so that no person's edge is texture.
    weight = cv2.GaussianBlur(there, (0, 0), _BLUR)
    shade = cv2.GaussianBlur(grey * there, (0, 0), _BLUR) / np.maximum(weight, 1e-3)
    return (grey - shade) * there, there


def _deviation(texture: np.ndarray, there: np.ndarray) -> float:
    if there.mean() < 0.05:
        return 0.0
    return float(texture[there > 0].std())


def _close_by(one: np.ndarray, there: np.ndarray, two: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(3, 3): the correlation of `two` moved by up to a pixel against `one`, as `_correlations`
    has it for all shifts: enough where no camera moves, and much faster."""
    a, a_there = one[1:-1, 1:-1], there[1:-1, 1:-1]
    scores = np.full((3, 3), -1.0)
    for y in range(3):
        for x in range(3):
            window = np.s_[y : y + a.shape[0], x : x + a.shape[1]]
            both = (a_there * seen[window]) > 0
            if not both.any():
                continue
            p, q = a[both].astype(np.float64), two[window][both].astype(np.float64)
            p, q = p - p.mean(), q - q.mean()
            spread = np.sqrt((p * p).sum() * (q * q).sum())
            if spread > 0:
                scores[y, x] = (p * q).sum() / spread
    return scores


def _correlations(
    one: np.ndarray, there: np.ndarray, two: np.ndarray, seen: np.ndarray
) -> np.ndarray:
    """(2 * side - 1, 2 * side - 1): the correlation at each shift of `two` against `one`, where
    enough of both overlaps; the middle is no shift."""
    shape = (2 * _SIDE, 2 * _SIDE)

    def forward(image: np.ndarray) -> np.ndarray:
        return np.fft.rfft2(image.astype(np.float64), shape)

    def back(spectrum: np.ndarray) -> np.ndarray:
        return np.roll(np.fft.irfft2(spectrum, shape), (_SIDE - 1, _SIDE - 1), (0, 1))[:-1, :-1]

    a, a_there, a_square = (np.conj(forward(image)) for image in (one, there, one * one))
    b, b_there, b_square = (forward(image) for image in (two, seen, two * two))
    overlap = np.maximum(np.round(back(a_there * b_there)), 1)
    sum_a, sum_b = back(a * b_there), back(a_there * b)
    shared = back(a * b) - sum_a * sum_b / overlap
    spread_a = np.maximum(back(a_square * b_there) - sum_a**2 / overlap, 0)
    spread_b = np.maximum(back(a_there * b_square) - sum_b**2 / overlap, 0)
    # Where the overlap is flat the quotient would be noise.
    least = _LEAST_TEXTURE**2 / 4 * overlap
    known = (spread_a > least) & (spread_b > least)
    known &= overlap >= _LEAST_OVERLAP * min(there.sum(), seen.sum())
    scores = np.full(overlap.shape, -1.0)
    scores[known] = shared[known] / np.sqrt(spread_a[known] * spread_b[known])
    return scores


def _peak(line: np.ndarray, at: int) -> float:
    """Where the parabola through the largest value of a line and its neighbours is highest."""
    if not 0 < at < len(line) - 1:
        return float(at)
    left, middle, right = line[at - 1 : at + 2]
    bend = left - 2 * middle + right
    return at + float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend < 0 else float(at)
