"""How an array becomes files and comes back: one `Encoding` for each way there is."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np

from shards.sample.colormap import depth_to_grey, depth_to_hot, grey_to_depth, hot_to_depth
from shards.sample.images import decode_image, encode_jpeg, encode_png

__all__ = [
    "COLOUR",
    "FLOW",
    "GREY",
    "GREY_DEPTH",
    "HOT_DEPTH",
    "JPEG",
    "POINTS",
    "SPACE",
    "Encoding",
    "is_hot",
    "read_npy_header",
]

# Stored colours lie on the hot line, where the sum of RGB tells the colour: a table of the inverse
# is ten times faster than `hot_to_depth`, which also has to cope with colours beside the line.
_HOT_LINE = np.clip(np.arange(766)[:, None] - (0, 255, 510), 0, 255).astype(np.uint8)
_HOT_DEPTHS = hot_to_depth(_HOT_LINE)[0]
_HOT_EXISTS = (depth_to_hot(_HOT_DEPTHS) == _HOT_LINE).all(axis=-1)  # not the darkest: hot is red


def _same(array: np.ndarray) -> np.ndarray:
    return array


def _no_faults(stored: np.ndarray) -> Iterator[str]:
    return iter(())


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """A frame's array in a clip, what a file holds of it, and the file.

    `extension`   of the file's name.
    `shape`       of a frame: "H" and "W" are the clip's, other names any number.
    `dtype`       of the array in a clip.
    `stored`      dimensions and type of what the file holds.
    `to_stored`, `from_stored`
                  convert arrays of any number of frames between clip and file.
    `write`, `read`
                  the file of a stored array, and back; `read` raises ValueError.
    `faults`      what is wrong with a stored array's values, one line each.
    """

    extension: str
    shape: tuple[int | str, ...]
    dtype: type
    stored: tuple[int, type]
    write: Callable[[np.ndarray], bytes]
    read: Callable[[bytes], np.ndarray] = decode_image
    to_stored: Callable[[np.ndarray], np.ndarray] = _same
    from_stored: Callable[[np.ndarray], np.ndarray] = _same
    faults: Callable[[np.ndarray], Iterator[str]] = _no_faults

    @property
    def is_image(self) -> bool:
        return self.shape[:2] == ("H", "W")


def is_hot(rgb: np.ndarray) -> np.ndarray:
    """Which pixels of (..., 3) uint8 have a colour that `hot` gives, (...) bool."""
    total = _rgb_sum(rgb)
    return (rgb == _HOT_LINE[total]).all(axis=-1) & _HOT_EXISTS[total]


def _from_hot(rgb: np.ndarray) -> np.ndarray:
    return _HOT_DEPTHS[_rgb_sum(rgb)]


def _rgb_sum(rgb: np.ndarray) -> np.ndarray:
    # Three times faster than a sum over an axis of three.
    return rgb[..., 0].astype(np.uint16) + rgb[..., 1] + rgb[..., 2]


def _hot_faults(rgb: np.ndarray) -> Iterator[str]:
    if strangers := int((~is_hot(rgb)).sum()):
        yield f"{strangers} pixels are no colours of the hot map"


def _write_npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(
        file, np.ascontiguousarray(array, "<f4"), version=(1, 0), allow_pickle=False
    )
    return file.getvalue()


def read_npy_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether by columns, and dtype of an npy file of version 1, up to its values.

    Raises ValueError for anything else.
    """
    try:
        np.lib.format.read_magic(file)
        return np.lib.format.read_array_header_1_0(file)
    # numpy reads headers by Python's parser, which has many ways to refuse a text.
    except Exception as error:
        raise ValueError(f"not an npy array ({error})") from error


def _read_points(data: bytes) -> np.ndarray:
    # Only what we write: numpy's own reader allocates whatever a header claims.
    file = io.BytesIO(data)
    shape, fortran, dtype = read_npy_header(file)
    body = data[file.tell() :]
    if dtype != np.dtype("<f4") or fortran or len(shape) != 4 or shape[3] != 3:
        raise ValueError(f"holds {dtype}{shape}, not float32 (frames, people, joints, 3)")
    if len(body) != 4 * int(np.prod(shape, dtype=object)):
        raise ValueError(f"holds {len(body)} bytes of data, not those of shape {shape}")
    return np.frombuffer(body, "<f4").astype(np.float32).reshape(shape)


def _space_faults(points: np.ndarray) -> Iterator[str]:
    if 0 in points.shape[1:3]:
        yield f"has {points.shape[1]} people of {points.shape[2]} joints"
    if not np.isfinite(points).all():
        yield f"{int((~np.isfinite(points)).sum())} values are not finite"


def _point_faults(points: np.ndarray) -> Iterator[str]:
    yield from _space_faults(points)
    if np.isfinite(points).all() and ((points[..., 2] < 0) | (points[..., 2] > 1)).any():
        yield "scores are outside [0, 1]"


def _to_flow(flow: np.ndarray) -> np.ndarray:
    """As KITTI stores it: 64 u + 2^15, 64 v + 2^15, and whether it is known; 0 where it is not."""
    moved = np.rint(flow[..., :2].astype(np.float64) * 64 + 32768)
    known = (flow[..., 2] > 0) & ((moved >= 0) & (moved <= 65535)).all(-1)
    stored = np.zeros(flow.shape, np.uint16)
    stored[known, :2] = moved[known]
    stored[known, 2] = 1
    return stored


def _from_flow(stored: np.ndarray) -> np.ndarray:
    known = stored[..., 2] > 0
    flow = np.zeros(stored.shape, np.float32)
    flow[known, :2] = (stored[known, :2].astype(np.float32) - 32768) / 64
    flow[known, 2] = 1
    return flow


def _flow_faults(stored: np.ndarray) -> Iterator[str]:
    if (stored[..., 2] > 1).any():
        yield "says of flow neither that it is known, 1, nor that it is not, 0"
    if stored[stored[..., 2] == 0].any():
        yield "has flow where it says that none is known"


JPEG = Encoding(
    extension="jpg",
    shape=("H", "W", 3),
    dtype=np.uint8,
    stored=(3, np.uint8),
    write=encode_jpeg,
)
COLOUR = Encoding(
    extension="png",
    shape=("H", "W", 3),
    dtype=np.uint8,
    stored=(3, np.uint8),
    write=encode_png,
)
GREY = Encoding(
    extension="png",
    shape=("H", "W"),
    dtype=np.uint8,
    stored=(2, np.uint8),
    write=encode_png,
)
# Depth in [0, 1] in `hot` colours: kept to 7.5e-4.
HOT_DEPTH = Encoding(
    extension="png",
    shape=("H", "W"),
    dtype=np.float32,
    stored=(3, np.uint8),
    write=encode_png,
    to_stored=depth_to_hot,
    from_stored=_from_hot,
    faults=_hot_faults,
)
# Depth in [0, 1] in 16-bit grey: kept to 1e-5.
GREY_DEPTH = Encoding(
    extension="png",
    shape=("H", "W"),
    dtype=np.float32,
    stored=(2, np.uint16),
    write=encode_png,
    to_stored=depth_to_grey,
    from_stored=grey_to_depth,
)
# x, y in pixels of the clip, and a score in [0, 1]; one file holds all frames.
POINTS = Encoding(
    extension="npy",
    shape=("people", "joints", 3),
    dtype=np.float32,
    stored=(4, np.float32),
    write=_write_npy,
    read=_read_points,
    faults=_point_faults,
)
# x, y, z in metres, in the camera's axes; one file holds all frames.
SPACE = replace(POINTS, faults=_space_faults)
# Pixels of the clip to the right and down, and 1 where known, as KITTI's: kept to 1/128 of a pixel,
# up to 512 of them.
FLOW = Encoding(
    extension="png",
    shape=("H", "W", 3),
    dtype=np.float32,
    stored=(3, np.uint16),
    write=encode_png,
    to_stored=_to_flow,
    from_stored=_from_flow,
    faults=_flow_faults,
)
