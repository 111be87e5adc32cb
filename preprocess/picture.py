"""What a viewer shows of one decoded frame: RGB that is upright, with square pixels, opaque.

Each function here depends on the frame alone, never on those decoded before it, so that a frame
looks the same wherever decoding began. What was changed beyond turning it upright is noted in
words; a clip's json counts the notes of its frames under `picture`.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import av
import cv2
import numpy as np
from av.filter import Graph
from av.video.reformatter import Colorspace

from preprocess.errors import ClipError
from preprocess.hdr import HLG, PQ, needs_conversion, to_bt709
from preprocess.pixels import Pixels
from shards.sample.upright import Turn

__all__ = ["ON_WHITE", "WHITE", "ByParts", "laid_on", "show"]

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
_Part = tuple[int, int, int, int]  # x0, y0, x1, y1
# What a conversion must cost, in pixels of more than 8 bits, before parts are taken: cutting one
# out costs time, too. HDR's curves cost twenty times as much as such a pixel, and more
# (bench/crop_first.py).
_LARGE = 8_000_000
_HDR_COST, _SHALLOW_COST = 20, 0.2
# Formats whose planes can be cut, each with one number or two a sample.
_PLANES = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "yuv440p", "gbrp")
_GRID = 2  # pixels that share a colour, across and down
# Pixels beside a part that its colours are mixed with, and where vectors of pixels begin.
_BESIDE, _ACROSS, _DOWN = 8, 64, 8
_UNSHOWN = {
    10: "BT.2020 of constant luminance",
    14: "ICtCp",
    15: "IPT, those of Dolby Vision profile 5",
}


def show(frame: Any, aspect: float) -> tuple[Pixels, tuple[str, ...]]:
    """What a viewer shows of a decoded PyAV frame, and notes of what was done to it.

    `aspect` is the width of a pixel by its height. A large picture of which parts can be had
    becomes RGB only where it is looked at. Raises ClipError for colours that cannot be shown.
    """
    notes: list[str] = []
    turn = Turn.of_frame(frame)
    if frame.interlaced_frame:
        frame = _top_field(frame)
        notes.append(_DEINTERLACED)
    conversion = _conversion(frame, notes)
    if aspect == 1 and conversion.cost(frame) >= _LARGE and ByParts.fits(frame):
        picture: Pixels = ByParts(frame, conversion, turn)
    else:
        rgb, laid = conversion.rgb(frame)
        if laid:
            notes.append(ON_WHITE)
        if aspect != 1:
            width = max(1, round(rgb.shape[1] * aspect))
            rgb = cv2.resize(rgb, (width, rgb.shape[0]), interpolation=cv2.INTER_LINEAR)
        picture = turn.apply(rgb)
    if turn.mirrors:
        notes.append(_MIRRORED)
    return picture, tuple(notes)


class ByParts:
    """A decoded frame of which each part becomes RGB when it is first looked at.

    Where that would be as much as all of it, all of it. A part has the bytes that it has of the
    whole: how a pixel is converted depends on those beside it alone, which are converted with it,
    and on its place by the grid of the colours, which is kept.
    """

    def __init__(self, frame: Any, conversion: "_Conversion", turn: Turn) -> None:
        self._frame = frame
        self._conversion = conversion
        self._turn = turn
        width, height = turn.size(frame.width, frame.height)
        self.shape = (height, width, 3)
        self._pixels = np.zeros(self.shape, np.uint8)
        self._known: list[_Part] = []
        self.converted = 0
        """Pixels that were converted, those beside parts included."""

    @staticmethod
    def fits(frame: Any) -> bool:
        """Whether parts can be had: where planes' grids begin and end with the picture."""
        return (
            frame.format.name.startswith(_PLANES)
            and frame.width % _GRID == 0
            and frame.height % _GRID == 0
            and not _has_alpha(frame.format.name)
        )

    def whole(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        if self._frame is not None:
            self.converted += self._frame.width * self._frame.height
            self._pixels = self._turn.apply(self._conversion.rgb(self._frame)[0])
            self._frame = None
        return self._pixels

    def part(self, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
        """As `preprocess.pixels.Partial.part`."""
        if self._frame is None or any(
            a <= x0 and b <= y0 and x1 <= c and y1 <= d for a, b, c, d in self._known
        ):
            return self._pixels
        height, width, _ = self.shape
        inner = self._turn.undone((x0, y0, x1, y1), width, height)
        outer = self._grown(inner)
        pixels = (outer[2] - outer[0]) * (outer[3] - outer[1])
        if self.converted + pixels >= width * height:
            return self.whole()
        self.converted += pixels
        rgb, _ = self._conversion.rgb(_cropped(self._frame, outer))
        rgb = rgb[
            inner[1] - outer[1] : inner[3] - outer[1], inner[0] - outer[0] : inner[2] - outer[0]
        ]
        self._pixels[y0:y1, x0:x1] = self._turn.apply(rgb)
        self._known.append((x0, y0, x1, y1))
        return self._pixels

    def _grown(self, box: _Part) -> _Part:
        """With what is beside it, from and to where vectors of pixels begin."""
        x0, y0, x1, y1 = box
        return (
            max(0, (x0 - _BESIDE) // _ACROSS * _ACROSS),
            max(0, (y0 - _BESIDE) // _DOWN * _DOWN),
            min(self._frame.width, -(-(x1 + _BESIDE) // _ACROSS) * _ACROSS),
            min(self._frame.height, -(-(y1 + _BESIDE) // _DOWN) * _DOWN),
        )


def _cropped(frame: Any, box: _Part) -> Any:
    """A part of a frame in the decoder's own format, with all that the frame says of its colours,
    the place of its chroma included. No pixel is copied."""
    x0, y0, x1, y1 = box
    return _filtered(frame, "crop", w=str(x1 - x0), h=str(y1 - y0), x=str(x0), y=str(y0))


@dataclass(frozen=True)
class _Conversion:
    """How a frame's numbers become RGB: `to` is the format asked of FFmpeg, by the matrix `space`
    where the frame states none; `wide` are transfer and primaries where they are not BT.709's."""

    to: str
    space: Any
    wide: tuple[int, int] | None = None

    def cost(self, frame: Any) -> float:
        """In pixels of more than 8 bits."""
        pixels: int = frame.width * frame.height
        if self.wide:
            return pixels * _HDR_COST
        return pixels * (1 if frame.format.components[0].bits > 8 else _SHALLOW_COST)

    def rgb(self, frame: Any) -> tuple[np.ndarray, bool]:
        """(H, W, 3) uint8, and whether something transparent was laid on white."""
        numbers = frame.to_ndarray(format=self.to, src_colorspace=self.space)
        if self.wide:
            return to_bt709(numbers, *self.wide), False
        return laid_on(numbers, WHITE) if self.to == "rgba" else (numbers, False)


def _conversion(frame: Any, notes: list[str]) -> _Conversion:
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
        return _Conversion("rgb48le", space, (frame.color_trc, frame.color_primaries))
    return _Conversion("rgba" if _has_alpha(frame.format.name) else "rgb24", space)


def _has_colours(frame: Any) -> bool:
    return len(frame.format.components) > 2


def _top_field(frame: Any) -> Any:
    """The frame with its bottom field drawn anew, along edges, from its top field.

    By FFmpeg's `estdif`, which needs no other frame: what came before depends on where decoding
    began. Of both fields always the same one, whichever came first: moments evenly apart.
    """
    return _filtered(frame, "estdif", mode="frame", parity="tff")


def _filtered(frame: Any, name: str, **options: str) -> Any:
    """What one of FFmpeg's filters makes of a frame."""
    graph = Graph()
    graph.threads = 1
    source = graph.add(
        "buffer",
        video_size=f"{frame.width}x{frame.height}",
        pix_fmt=frame.format.name,
        time_base="1/1",
        colorspace=str(frame.colorspace),
        range=str(frame.color_range),
    )
    graph.link_nodes(source, graph.add(name, **options), graph.add("buffersink"))
    graph.configure()
    graph.push(frame)
    graph.push(None)
    return graph.pull()


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
