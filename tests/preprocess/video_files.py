"""Video files of all kinds, small: numbered frames, as several tools and containers keep them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.conftest import numbered_frame

__all__ = ["PACKED_MARK", "encode", "field_pairs", "numbered", "packets", "remux"]

PACKED_MARK = b"\0\0\1\xb2DivX503b1393p"
_MACROBLOCK = 16


def numbered(count: int) -> list[np.ndarray]:
    return [numbered_frame(index) for index in range(count)]


def encode(
    path: Path,
    images: list[np.ndarray],
    codec: str = "libx264",
    *,
    rate: int = 25,
    pix: str = "yuv420p",
    gop: int = 12,
    b_frames: int = 0,
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    pts: list[int] | None = None,
) -> Path:
    """Images as a video; `pts` in steps of 1/600 second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if codec == "libx265":
        options = {"x265-params": "log-level=none", **(options or {})}
    with av.open(str(path), "w", options=container or {}) as output:
        stream: Any = output.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pix
        stream.codec_context.gop_size = gop
        stream.codec_context.max_b_frames = b_frames
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if pts is not None:
                frame.pts, frame.time_base = pts[index], Fraction(1, 600)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def packets(path: Path) -> list[Any]:
    """A file's packets of video, without the end."""
    with av.open(str(path)) as container:
        return [packet for packet in container.demux(video=0) if packet.size]


def remux(
    source: Path,
    path: Path,
    content: list[tuple[bytes, int | None, int | None, bool]],
    *,
    time_base: Fraction = Fraction(1, 25),
    container: dict[str, str] | None = None,
) -> Path:
    """The source's stream with these packets: bytes, pts, dts, whether they are key frames."""
    with av.open(str(source)) as taken, av.open(str(path), "w", options=container or {}) as output:
        stream = output.add_stream_from_template(taken.streams.video[0])
        for data, pts, dts, key in content:
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, time_base
            packet.pts, packet.dts, packet.is_keyframe, packet.duration = pts, dts, key, 1
            output.mux(packet)
    return path


def field_pairs(path: Path, images: list[np.ndarray], rate: int = 25) -> Path:
    """H.264 of field pairs (PAFF): each picture is two packets, a field each; every sixth is key.

    No encoder at hand makes these; macroblocks are raw (I_PCM), so the syntax is short:
    ITU-T H.264, 7.3.
    """
    raw = path.with_suffix(".h264")
    raw.write_bytes(b"".join(_picture(number, image) for number, image in enumerate(images)))
    content = []
    with av.open(str(raw)) as container:
        for number, packet in enumerate(p for p in container.demux(video=0) if p.size):
            content.append((bytes(packet), number, number, number % 12 == 0))
    return remux(raw, path, content, time_base=Fraction(1, 2 * rate))


def _picture(number: int, image: np.ndarray) -> bytes:
    height, width = image.shape[:2]
    planes = av.VideoFrame.from_ndarray(image, format="rgb24").to_ndarray(format="yuv420p")
    y = planes[:height]
    u, v = planes[height:].reshape(2, height // 2, width // 2)
    key, count = number % 6 == 0, number % 6
    data = _parameter_sets(width // _MACROBLOCK, height // _MACROBLOCK) if key else b""
    for bottom in (0, 1):
        of = slice(bottom, None, 2)
        idr = number // 6 % 2 if key and not bottom else None
        data += _field(y[of], u[of], v[of], bottom, idr, count, 2 * count + bottom)
    return data


class _Bits:
    def __init__(self) -> None:
        self.bits: list[int] = []

    def u(self, width: int, *values: int) -> _Bits:
        for value in values:
            self.bits += [value >> place & 1 for place in range(width - 1, -1, -1)]
        return self

    def ue(self, *values: int) -> _Bits:
        for value in values:
            self.u(2 * (value + 1).bit_length() - 1, value + 1)
        return self

    def raw(self, data: bytes) -> None:
        self.bits += [0] * (-len(self.bits) % 8)
        self.bits += np.unpackbits(np.frombuffer(data, np.uint8)).tolist()

    def unit(self, kind: int) -> bytes:
        """As a NAL unit, with the bytes that keep start codes out of it."""
        data = np.packbits(np.array([*self.bits, 1], np.uint8)).tobytes()
        out, zeros = bytearray(), 0
        for byte in data:
            if zeros >= 2 and byte <= 3:
                out.append(3)
                zeros = 0
            out.append(byte)
            zeros = zeros + 1 if byte == 0 else 0
        return b"\0\0\0\1" + bytes([3 << 5 | kind]) + bytes(out)


def _parameter_sets(width: int, height: int) -> bytes:
    sps = _Bits().u(8, 77, 0, 30).ue(0, 4, 0, 4, 1).u(1, 0).ue(width - 1, height // 2 - 1)
    sps.u(1, 0, 0, 1, 0, 0)  # frame_mbs_only_flag is the first: fields
    pps = _Bits().ue(0, 0).u(1, 0, 0).ue(0, 0, 0).u(1, 0).u(2, 0).ue(0, 0, 0).u(1, 0, 0, 0)
    return sps.unit(7) + pps.unit(8)


def _field(
    y: np.ndarray, u: np.ndarray, v: np.ndarray, bottom: int, idr: int | None, count: int, poc: int
) -> bytes:
    bits = _Bits().ue(0, 7, 0).u(8, count).u(1, 1, bottom)
    if idr is not None:
        bits.ue(idr)
    bits.u(8, poc).u(1, *((0, 0) if idr is not None else (0,))).ue(0)
    half = _MACROBLOCK // 2
    for row in range(0, y.shape[0], _MACROBLOCK):
        for column in range(0, y.shape[1], _MACROBLOCK):
            luma = y[row : row + _MACROBLOCK, column : column + _MACROBLOCK]
            place = (slice(row // 2, row // 2 + half), slice(column // 2, column // 2 + half))
            bits.ue(25)  # I_PCM
            bits.raw(luma.tobytes() + u[place].tobytes() + v[place].tobytes())
    return bits.unit(1 if idr is None else 5)
