"""Finding cuts in a video from small grey pictures of its frames.

Two pictures are compared by what of one's texture can be found in the other, each block of it up to
a tenth of the picture away and whatever the exposure: movement, pans, flicker and changes of light
are no cut. A hard cut is a step at which much is lost, more than at the steps around it, and what
was there is not back a moment later: flashes are no cut, nor is somebody who passes close to the
camera. A dissolve or a wipe is a picture that the one before and the one after it, unlike each
other, make up between them, block by block, without movement. Pictures without texture (black,
white) belong to no shot where what surrounds them is unlike.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import cv2
import numpy as np

from preprocess.glance import BLOCK, Glance
from preprocess.shots import Break

__all__ = ["VERSION", "find_breaks"]

# Of what is found: another version may find other cuts, and so make other clips.
VERSION = 1

_REACH = 6  # how far a block is looked for, in pixels
_STD = 4.0  # grey levels of deviation at which a block counts half
_BLANK = 0.06  # mean weight of the blocks of a picture without texture
_FOUND = 0.9  # correlation at which a block is not looked for any further

_CUT = 0.27  # share of the texture that a cut loses at least
_ABOVE = 1.6  # how many times what the steps around it lose
_SAME = 0.2  # share of the texture that pictures of one place lose at most
_SOON = 6  # pictures within which what was lost may be back

_SPANS = (4, 8, 14)  # pictures from the middle of a transition to either end
_MIXED = 0.6  # share of the texture that both ends explain at least
_GAIN = 0.15  # of it, what neither explains alone
_UNLIKE = 0.3  # share of the texture that the ends do not have in common
_BETTER = 1.05  # how many times less is left unexplained than either end with movement leaves

# Pictures that are examined at a time, and those around them that are looked at too.
_CHUNK, _MARGIN = 512, 32


def find_breaks(glances: Iterable[Glance]) -> list[Break]:
    """Cuts, dissolves, wipes, fades, and changes of size, in order.

    `glances` are of growing indices; frames that cannot be read are left out. Transitions of less
    than a second at 30 frames a second are found, longer ones seldom.
    """
    breaks: list[Break] = []
    run: list[Glance] = []
    before = 0  # how many of the run are there for what follows them alone
    for glance in glances:
        if run and glance.size != run[-1].size:
            breaks += _breaks_of(run, before, len(run))
            breaks.append(Break(run[-1].index, glance.index, "size"))
            run, before = [], 0
        run.append(glance)
        if len(run) == before + _CHUNK + _MARGIN:
            breaks += _breaks_of(run, before, before + _CHUNK)
            run, before = run[-2 * _MARGIN :], _MARGIN
    breaks += _breaks_of(run, before, len(run))
    return sorted(breaks, key=lambda b: (b.before, b.after))


def _breaks_of(run: Sequence[Glance], first: int, end: int) -> Iterator[Break]:
    """Those whose middle lies in `run[first:end]`."""
    if len(run) < 2:
        return
    pictures = [_Picture(glance.grey) for glance in run]
    hard = list(_hard_cuts(pictures))
    for a, b in [*hard, *_gradual(pictures, hard)]:
        if first <= (a + b + 1) // 2 < end:
            yield Break(run[a].index, run[b].index, "cut")


class _Picture:
    """A small picture and its blocks: each (64,) without its mean, with its weight by texture."""

    def __init__(self, grey: np.ndarray) -> None:
        h, w = grey.shape
        rows = grey.reshape(h // BLOCK, BLOCK, w // BLOCK, BLOCK)
        blocks = rows.transpose(0, 2, 1, 3).reshape(-1, BLOCK * BLOCK)
        self.grey = grey
        self.blocks = blocks - blocks.mean(-1, keepdims=True)
        self.energy = (self.blocks**2).sum(-1)
        deviation = np.sqrt(self.energy) / BLOCK
        self.weights = deviation / (deviation + _STD)
        self.blank = bool(self.weights.mean() < _BLANK)


def _unlike(a: _Picture, b: _Picture) -> float:
    """Share of b's texture, in [0, 1], that is not found in a."""
    height, width = b.grey.shape
    across = width // BLOCK
    found = (a.blocks * b.blocks).sum(-1) / (np.sqrt(a.energy * b.energy) + 1e-3)
    for block in np.flatnonzero((found < _FOUND) & (b.energy > 1)):
        y, x = divmod(int(block), across)
        y, x = y * BLOCK, x * BLOCK
        around = a.grey[
            max(y - _REACH, 0) : min(y + BLOCK + _REACH, height),
            max(x - _REACH, 0) : min(x + BLOCK + _REACH, width),
        ]
        patch = np.ascontiguousarray(b.grey[y : y + BLOCK, x : x + BLOCK])
        match = cv2.matchTemplate(around, patch, cv2.TM_CCOEFF_NORMED)
        found[block] = max(found[block], float(match.max()))
    lost = np.where(b.energy > 1, 1 - np.clip(found, 0, 1), 0)
    return float((b.weights * lost).sum() / max(float(b.weights.sum()), 1e-3))


def _both_unlike(a: _Picture, b: _Picture, least: float) -> bool:
    """Whether each has at least this share of texture that the other has not."""
    return _unlike(a, b) >= least and _unlike(b, a) >= least


def _hard_cuts(pictures: Sequence[_Picture]) -> Iterator[tuple[int, int]]:
    """Positions of the last picture before each cut and the first one behind it."""
    seen = [n for n, picture in enumerate(pictures) if not picture.blank]
    lost = [0.0] + [_unlike(pictures[a], pictures[b]) for a, b in pairwise(seen)]
    for step in range(1, len(seen)):
        if lost[step] < _CUT:
            continue
        around = (lost[max(step - 2, 1) : step], lost[step + 1 : step + 3])
        if lost[step] < _ABOVE * min((max(steps) for steps in around if steps), default=0.0):
            continue
        if _unlike(pictures[seen[step]], pictures[seen[step - 1]]) < _CUT:
            continue
        if not _is_back([pictures[n] for n in seen], step):
            yield seen[step - 1], seen[step]


def _is_back(pictures: Sequence[_Picture], step: int) -> bool:
    """Whether a picture from just before `step` is seen again just behind it."""
    for a in range(step - 1, max(step - 2 - _SOON // 2, -1), -1):
        for b in range(step, min(step + _SOON, len(pictures))):
            if not _both_unlike(pictures[a], pictures[b], _SAME):
                return True
    return False


def _gradual(
    pictures: Sequence[_Picture], hard: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """Positions of the pictures around each dissolve or wipe, strongest first."""
    taken = list(hard)
    blocks = np.stack([picture.blocks for picture in pictures])
    weights = np.stack([picture.weights for picture in pictures])
    candidates = [
        (-float(gain[n]), int(n), span, float(mixed[n]))
        for span in _SPANS
        if len(pictures) > 2 * span
        for mixed, gain in [_mixture(blocks, weights, span)]
        for n in np.flatnonzero((gain > _GAIN) & (mixed > _MIXED))
    ]
    for _, a, span, mixed in sorted(candidates):
        m, b = a + span, a + 2 * span
        if any(x < b and a < y for x, y in taken) or any(p.blank for p in pictures[a : b + 1]):
            continue
        if not _both_unlike(pictures[a], pictures[b], _UNLIKE):
            continue
        alone = min(_unlike(pictures[a], pictures[m]), _unlike(pictures[b], pictures[m]))
        if alone > _BETTER * (1 - mixed):
            taken.append((a, b))
            yield a, b


def _mixture(blocks: np.ndarray, weights: np.ndarray, span: int) -> tuple[np.ndarray, np.ndarray]:
    """How far pictures A, M, B at distances `span` are M = x A + y B, with x and y a block.

    `blocks` are (N, blocks, 64), `weights` (N, blocks); two arrays of (N - 2 span,): the share of
    M's texture that A and B explain, and how much more that is than either explains alone.
    """

    def dot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        product: np.ndarray = np.einsum("nbp,nbp->nb", x, y)
        return product

    a, m, b = blocks[: -2 * span], blocks[span:-span], blocks[2 * span :]
    aa, bb, ab = dot(a, a) + 1, dot(b, b) + 1, dot(a, b)
    ma, mb, mm = dot(m, a), dot(m, b), dot(m, m)
    determinant = np.maximum(aa * bb - ab**2, 1e-3 * aa * bb)
    x, y = (ma * bb - mb * ab) / determinant, (mb * aa - ma * ab) / determinant
    weight = weights[span:-span] / (weights[span:-span].sum(-1, keepdims=True) + 1e-3)

    def share(explained: np.ndarray) -> np.ndarray:
        total: np.ndarray = (weight * np.clip(explained / (mm + 1e-3), 0, 1)).sum(-1)
        return total

    mixed = share(x * ma + y * mb)
    return mixed, mixed - np.maximum(share(ma**2 / aa), share(mb**2 / bb))
