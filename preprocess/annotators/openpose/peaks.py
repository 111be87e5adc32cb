"""Peaks of maps in pixels of the image, of which no more is enlarged than may hold one."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb

import numpy as np
import torch

from preprocess.annotators.openpose.enlarger import Enlarger, without_dust

__all__ = ["peaks_of"]

# An image is cut into blocks, and those that may hold a peak into so many tiles along each side.
# A cell of a map is enlarged in eight steps before it is resized to the image: a tile is about as
# long as one step, or has so many pixels, and a block as long as three quarters of a cell.
_TILE = 1 / 8
_LEAST_TILE = 4
_BLOCK = 3 / 4
# Polynomials of this degree follow the enlarged map over a tile, and roughly over a block.
_DEGREE = 5
_AT_ONCE = 512  # blocks: what is computed of them stays in a processor's cache
# Of a map's largest value: more than what is computed in float32 may be off by.
_ROUNDING = 1e-5


def peaks_of(maps: torch.Tensor, to_image: Enlarger, least: float) -> list[np.ndarray]:
    """For each map of (C, h, w) float32 those pixels of the image where the map, enlarged and
    blurred, is above `least` and no less than at the four pixels around: (n, 3) x, y, and the
    value that it has there without the blur, row by row.

    Nearly all of an image is too low or a slope, which polynomials tell of many pixels at once;
    only the others are computed one by one.
    """
    rows, columns = _sides(to_image, maps.device)
    may_be = (_bound(maps, rows, columns) > least * (1 - _ROUNDING)).nonzero().T
    found = [torch.zeros((3, 0), dtype=torch.int64, device=maps.device)]
    may_be = _no_slopes(maps, rows, columns, may_be)
    for blocks in may_be.split(_AT_ONCE, 1):
        tiles = _tiles_without_slopes(maps, rows, columns, blocks)
        block, i, j = tiles.nonzero(as_tuple=True)
        blocks = blocks[:, block]
        part, row, column = blocks
        smooth = rows.tiles[row, i] @ _cells(maps, rows, columns, blocks)
        smooth = smooth @ columns.tiles[column, j].mT
        here = smooth[:, 1:-1, 1:-1]
        highest = here > least
        highest &= (here >= smooth[:, :-2, 1:-1]) & (here >= smooth[:, 2:, 1:-1])
        highest &= (here >= smooth[:, 1:-1, :-2]) & (here >= smooth[:, 1:-1, 2:])
        n, y, x = highest.nonzero(as_tuple=True)
        y += (row * rows.tiles.shape[1] + i)[n] * rows.size
        x += (column * columns.tiles.shape[1] + j)[n] * columns.size
        found.append(torch.stack([part[n], y, x]))
    joints, y, x = torch.cat(found, 1).cpu().numpy()
    in_order = np.lexsort((x, y, joints))
    values = maps.cpu().numpy()
    peaks = []
    for joint in range(len(maps)):
        of_joint = in_order[joints[in_order] == joint]
        px, py = x[of_joint], y[of_joint]
        (score,) = to_image.at(values[joint : joint + 1], px, py)
        peaks.append(np.stack([px, py, score], 1))
    return peaks


@dataclass(frozen=True, eq=False)
class _Curves:
    """Rows of a matrix over n blocks in p pieces each, as polynomials in Bernstein's form.

    `controls`, (n, _DEGREE + 1, cells) of whole blocks, (n, _DEGREE + 1, p, k) of tiles: all of a
    polynomial lies between its least control and its largest. `off` (n, p): what a row is off it
    by, and `sums` (n, p) what a row has, at most, both as sums of absolute values.
    """

    controls: torch.Tensor
    off: torch.Tensor
    sums: torch.Tensor


@dataclass(frozen=True, eq=False)
class _Side:
    """One of an `Enlarger`'s smooth matrices (pixels, cells), cut into n blocks of p tiles of
    `size` pixels.

    `most` and `least` (n, cells): each cell's largest weight in a block, and its smallest one
    negated; 0 where there is none of this sign.
    `tiles` (n, p, size + 2, k): with a pixel more at either end, zeros beyond the image; a block
    depends on no more than k cells, from cell `first` (n,) on. `begins` and `ends` (n, p): which
    of them lie at the image's edges.
    `values` of pixels and `steps` from one to the next, those into a piece and out of it included:
    of whole blocks, and of tiles.
    """

    size: int
    most: torch.Tensor
    least: torch.Tensor
    first: torch.Tensor
    tiles: torch.Tensor
    begins: torch.Tensor
    ends: torch.Tensor
    values: tuple[_Curves, _Curves]
    steps: tuple[_Curves, _Curves]


@lru_cache(maxsize=32)
def _sides(to_image: Enlarger, device: torch.device) -> tuple[_Side, _Side]:
    return _cut(to_image.smooth_rows, device), _cut(to_image.smooth_columns, device)


def _cut(matrix: np.ndarray, device: torch.device) -> _Side:
    length, cells = matrix.shape
    size = max(_LEAST_TILE, round(_TILE * length / cells))
    count = max(1, round(_BLOCK * length / cells / size))
    block_size = count * size
    starts = np.arange(0, length, block_size)
    padded = np.pad(matrix, ((1, block_size + 1), (0, 0)))
    blocks = np.stack([padded[start : start + block_size + 2] for start in starts])
    used = (blocks != 0).any(1)
    first, end = used.argmax(1), cells - used[:, ::-1].argmax(1)
    k = (end - first).max()
    first = np.minimum(first, cells - k)
    near = np.stack([block[:, at : at + k] for block, at in zip(blocks, first, strict=True)])
    tiles = np.stack([near[:, n * size : (n + 1) * size + 2] for n in range(count)], 1)
    begins = starts[:, None] + np.arange(count) * size
    weights = blocks[:, 1:-1]

    def curves(rows: np.ndarray, before: int) -> tuple[_Curves, _Curves]:
        of_blocks = [_fitted(rows[max(at - before, 0) : at + block_size]) for at in starts]
        of_tiles = [
            _fitted(rows[max(at - before, 0) : at + size, cell : cell + k])
            for inside, cell in zip(begins, first, strict=True)
            for at in inside
        ]
        whole, of_whole = _arrays(of_blocks)
        inside, of_inside = _arrays(of_tiles)
        inside = inside.reshape(len(starts), count, _DEGREE + 1, k).swapaxes(1, 2)
        return (
            _Curves(_tensor(whole, device), *_tensor(of_whole.T[..., None], device)),
            _Curves(_tensor(inside, device), *_tensor(of_inside.T.reshape(2, -1, count), device)),
        )

    return _Side(
        size,
        most=_tensor(weights.max(1).clip(min=0), device),
        least=_tensor((-weights).max(1).clip(min=0), device),
        first=_tensor(first, device),
        tiles=_tensor(tiles, device),
        begins=_tensor(begins == 0, device),
        ends=_tensor(begins + size >= length, device),
        values=curves(matrix, 0),
        steps=curves(np.diff(matrix, axis=0), 1),
    )


def _tensor(array: np.ndarray, device: torch.device) -> torch.Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(array)).to(device)
    return tensor.float() if tensor.is_floating_point() else tensor


def _fitted(rows: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Controls, off and sums of `_Curves` for rows (any number, cells)."""
    into_curve, from_curve = _bases(len(rows))
    controls = without_dust(into_curve @ rows)
    off = np.abs(rows - from_curve @ controls).sum(1).max(initial=0)
    return controls, off, np.abs(rows).sum(1).max(initial=0)


def _arrays(fitted: Sequence[tuple[np.ndarray, float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Controls (n, _DEGREE + 1, cells); off and sums (n, 2)."""
    return np.stack([f[0] for f in fitted]), np.array([f[1:] for f in fitted])


@lru_cache
def _bases(count: int) -> tuple[np.ndarray, np.ndarray]:
    """From `count` values, evenly spaced, to a polynomial's controls, and back."""
    x = np.linspace(0, 1, count)
    basis = [comb(_DEGREE, k) * x**k * (1 - x) ** (_DEGREE - k) for k in range(_DEGREE + 1)]
    from_curve = np.stack(basis, 1)
    return np.linalg.pinv(from_curve), from_curve


def _bound(maps: torch.Tensor, rows: _Side, columns: _Side) -> torch.Tensor:
    """(C, h, w) -> (C, n, m): what no pixel of a block exceeds once a map is enlarged."""
    above, below = maps.clamp(min=0), (-maps).clamp(min=0)
    return (rows.most @ above + rows.least @ below) @ columns.most.T + (
        rows.least @ above + rows.most @ below
    ) @ columns.least.T


def _cells(maps: torch.Tensor, rows: _Side, columns: _Side, blocks: torch.Tensor) -> torch.Tensor:
    """Those that blocks depend on, (3, N) maps, rows and columns of blocks: (N, k, other k)."""
    part, row, column = blocks
    near = maps.unfold(1, rows.tiles.shape[-1], 1).unfold(2, columns.tiles.shape[-1], 1)
    return near[part, rows.first[row], columns.first[column]]


def _no_slopes(
    maps: torch.Tensor, rows: _Side, columns: _Side, blocks: torch.Tensor
) -> torch.Tensor:
    """Those of the blocks that may both rise and fall, from row to row and column to column."""
    part, row, column = blocks
    largest = maps.abs().amax((1, 2))[part]
    found = torch.ones_like(part, dtype=torch.bool)
    for down, across, begins, ends in (
        (rows.steps[0], columns.values[0], row == 0, row == len(rows.tiles) - 1),
        (rows.values[0], columns.steps[0], column == 0, column == len(columns.tiles) - 1),
    ):
        # Of all blocks: a large product takes less time than many small ones.
        controls = down.controls.flatten(0, 1) @ maps @ across.controls.flatten(0, 1).T
        controls = controls.unflatten(2, across.controls.shape[:2])
        controls = controls.unflatten(1, down.controls.shape[:2])[part, row, :, column].flatten(1)
        off = _off(down, across, row, column)[:, 0, 0] * largest
        # Beyond the image there is nothing, from which it rises and to which it falls.
        found &= (controls.amax(1) >= -off) | begins
        found &= (controls.amin(1) <= off) | ends
    return blocks[:, found]


def _tiles_without_slopes(
    maps: torch.Tensor, rows: _Side, columns: _Side, blocks: torch.Tensor
) -> torch.Tensor:
    """(N, p, q) bool: the same of the blocks' tiles."""
    part, row, column = blocks
    cells = _cells(maps, rows, columns, blocks)
    largest = maps.abs().amax((1, 2))[part, None, None]
    found = torch.ones((), dtype=torch.bool, device=maps.device)
    for down, across, begins, ends in (
        (rows.steps[1], columns.values[1], rows.begins[row, :, None], rows.ends[row, :, None]),
        (
            rows.values[1],
            columns.steps[1],
            columns.begins[column, None],
            columns.ends[column, None],
        ),
    ):
        tall = down.controls[row].flatten(1, 2) @ cells
        controls = tall @ across.controls[column].flatten(1, 2).mT
        controls = controls.unflatten(2, across.controls.shape[1:3])
        controls = controls.unflatten(1, down.controls.shape[1:3])
        off = _off(down, across, row, column) * largest
        found = found & ((controls.amax(1).amax(2) >= -off) | begins)
        found &= (controls.amin(1).amin(2) <= off) | ends
    return found


def _off(down: _Curves, across: _Curves, row: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
    """(N, p, q): what polynomials of a map with values in [-1, 1] are off by at most."""
    off = down.off[row][:, :, None] * across.sums[column][:, None]
    off += (down.sums + down.off)[row][:, :, None] * across.off[column][:, None]
    return off + _ROUNDING
