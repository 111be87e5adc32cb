"""What a viewer shows of one decoded frame: RGB that is upright, with square pixels, opaque.

Each function here depends on the frame alone, never on those decoded before it, so that a frame
looks the same wherever decoding began. What was changed beyond turning it upright is noted in
words; a clip's json counts the notes of its frames under `picture`.
"""

from functools import lru_cache
from typing import Any

import av
import cv2
import numpy as np
from av.filter import Graph
from av.video.reformatter import Colorspace

from preprocess.errors import ClipError
from preprocess.hdr import HLG, PQ, needs_conversion, to_bt709

__all__ = ["ON_WHITE", "WHITE", "laid_on", "oriented", "show"]

# What pages, and tools that cut people out, lay them on.
WHITE = 255
ON_WHITE = "transparent pixels laid on white"
_MIRRORED = "mirrored as its display matrix says"
_DEINTERLACED = "interlaced: shown by its top field"
_BY_SIZE = "colour matrix not stated: BT.709 by its size"
_FROM = {PQ: "tone-mapped from HDR (PQ) to BT.709", HLG: "tone-mapped from HDR (HLG) to BT.709"}
_FROM_WIDE = "converted from wider primaries to BT.709"
# Matrices as ITU-T H.273 numbers them.
_UNSPECIFIED = 2
_UNSHOWN = {
    10: "BT.2020 of constant luminance",
    14: "ICtCp",
    15: "IPT, those of Dolby Vision profile 5",
}


def show(frame: Any, aspect: float) -> tuple[np.ndarray, tuple[str, ...]]:
    """(H, W, 3) uint8 RGB of a decoded PyAV frame, and notes of what was done to it.

    `aspect` is the width of a pixel by its height. Raises ClipError for colours that cannot be
    shown.
    """
    notes: list[str] = []
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if frame.interlaced_frame:
        frame = _top_field(frame)
        notes.append(_DEINTERLACED)
    rgb = _rgb(frame, notes)
    if aspect != 1:
        width = max(1, round(rgb.shape[1] * aspect))
        rgb = cv2.resize(rgb, (width, rgb.shape[0]), interpolation=cv2.INTER_LINEAR)
    if matrix is not None:
        a, b, _, c, d = (int(value) for value in np.frombuffer(matrix, np.int32)[:5])
        rgb = oriented(rgb, a, b, c, d)
        if a * d - b * c < 0:
            notes.append(_MIRRORED)
    return rgb, tuple(notes)


def _rgb(frame: Any, notes: list[str]) -> np.ndarray:
    space = None
    if frame.colorspace in _UNSHOWN:
        raise ClipError(
            f"the picture's colours are {_UNSHOWN[frame.colorspace]}, which cannot be shown: "
            "convert the video to BT.709 or HDR10 first"
        )
    hdr = frame.color_trc in (PQ, HLG)
    if frame.colorspace == _UNSPECIFIED and not frame.format.is_rgb and _has_colours(frame):
        if hdr:
            space = Colorspace.BT2020
        elif frame.width >= 1280 or frame.height > 576:
            space = Colorspace.ITU709
            notes.append(_BY_SIZE)
    if needs_conversion(frame.color_trc, frame.color_primaries):
        notes.append(_FROM.get(frame.color_trc, _FROM_WIDE))
        codes = frame.to_ndarray(format="rgb48le", src_colorspace=space)
        return to_bt709(codes, frame.color_trc, frame.color_primaries)
    if not _has_alpha(frame.format.name):
        return frame.to_ndarray(format="rgb24", src_colorspace=space)
    rgb, laid = laid_on(frame.to_ndarray(format="rgba", src_colorspace=space), WHITE)
    if laid:
        notes.append(ON_WHITE)
    return rgb


def _has_colours(frame: Any) -> bool:
    return len(frame.format.components) > 2


def _top_field(frame: Any) -> Any:
    """The frame with its bottom field drawn anew, along edges, from its top field.

    By FFmpeg's `estdif`, which needs no other frame: what came before depends on where decoding
    began. Of both fields always the same one, whichever came first: moments evenly apart.
    """
    graph = Graph()
    source = graph.add(
        "buffer",
        video_size=f"{frame.width}x{frame.height}",
        pix_fmt=frame.format.name,
        time_base="1/1",
        colorspace=str(frame.colorspace),
        range=str(frame.color_range),
    )
    graph.link_nodes(
        source, graph.add("estdif", mode="frame", parity="tff"), graph.add("buffersink")
    )
    graph.configure()
    graph.push(frame)
    graph.push(None)
    return graph.pull()


def oriented(rgb: np.ndarray, a: int, b: int, c: int, d: int) -> np.ndarray:
    """A picture as a display matrix shows it: x' = a x + c y, y' = b x + d y, y pointing down.

    Of the matrix only which of the eight orientations is nearest matters.
    """
    if abs(b) + abs(c) > abs(a) + abs(d):
        rgb, flip_x, flip_y = rgb.transpose(1, 0, 2), c < 0, b < 0
    else:
        flip_x, flip_y = a < 0, d < 0
    rgb = rgb[:: -1 if flip_y else 1, :: -1 if flip_x else 1]
    return np.ascontiguousarray(rgb)


def laid_on(rgba: np.ndarray, ground: int) -> tuple[np.ndarray, bool]:
    """(H, W, 3) of (H, W, 4) uint8 laid on a grey in [0, 255], and whether it showed anywhere.

    What a file hides under its transparency is not shown.
    """
    alpha = rgba[..., 3:]
    if alpha.min() == 255:
        return np.ascontiguousarray(rgba[..., :3]), False
    opaque = alpha.astype(np.uint16)
    rgb = rgba[..., :3] * opaque + np.uint16(ground) * (255 - opaque)
    return ((rgb + 127) // 255).astype(np.uint8), True


@lru_cache(maxsize=256)
def _has_alpha(pixel_format: str) -> bool:
    # The colours of a palette may be transparent.
    return pixel_format == "pal8" or any(
        c.is_alpha for c in av.VideoFormat(pixel_format).components
    )
