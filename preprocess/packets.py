"""What a video file's packets say, and whether they are its pictures, without decoding any.

A packet need not be a picture: fields come in pairs, reference frames may be hidden, packets empty,
time stamps missing, repeated, or those of the order of decoding.
"""

from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np

__all__ = ["Packets", "read_packets", "trustworthy"]

# Containers that name the time at which each picture is shown.
_WITH_TIMES = ("mov", "matroska", "flv")


@dataclass
class Packets:
    """What a file's packets say, without decoding them."""

    pts: list[int | None]
    dts: list[int | None]
    keys: list[bool]
    places: list[int]  # in bytes, -1 where unknown
    usable: list[bool]  # with content, and shown
    one_each: bool = True  # a usable packet is one picture, as far as its bytes tell
    sound: bool = True  # no error, no damaged packet
    by_pts: bool = False  # the container is sought by times of showing
    hidden: int = 0
    last_second: float = 0.0  # of all streams
    last_corrupt: bool = False
    lost_after: list[int] = field(default_factory=list)


def read_packets(container: Any, stream: Any) -> Packets:
    """Of a freshly opened container's video stream, as far as they can be read."""
    found = Packets([], [], [], [], [])
    one_picture = _ONE_PICTURE.get(stream.codec_context.name)
    found.by_pts = "matroska" in container.format.name.split(",")
    ends: dict[int, int] = {}
    bases = {s.index: float(s.time_base or 0) for s in container.streams}
    wanted = stream.index
    try:
        for packet in container.demux():
            number = packet.stream_index
            pts = packet.pts
            if pts is not None and pts > ends.get(number, -1):
                ends[number] = pts + (packet.duration or 0)
            if number != wanted or (packet.size == 0 and packet.dts is None):
                continue  # another stream's, or the end
            shown = packet.size > 0 and not packet.is_discard
            found.pts.append(pts)
            found.dts.append(packet.dts)
            found.keys.append(packet.is_keyframe)
            found.places.append(-1 if packet.pos is None else packet.pos)
            found.usable.append(shown)
            found.hidden += packet.is_discard
            found.last_corrupt = bool(packet.is_corrupt)
            if packet.is_corrupt:
                found.sound = False
            if one_picture and found.one_each and packet.size:
                found.one_each = one_picture(memoryview(packet))
    except av.FFmpegError:
        found.sound = False  # a file that was cut off may end so
    found.last_second = max((end * bases[number] for number, end in ends.items()), default=0.0)
    return found


def trustworthy(container: str, context: Any, packets: Packets) -> bool:
    """Whether the packets are the pictures, one each, with the times at which they are shown.

    So they are where the container has such times; all are there, differ, and begin with a key
    frame's; the file is whole and nothing of it hidden; and the codec puts one picture in a
    packet: those that predict nothing, HEVC, AV1, H.264 without fields, and MPEG-4, VP8 and VP9
    if their packets' heads say so. Where every packet claims to be a key frame of a codec that
    predicts, or where a decoder that reorders would have nothing to reorder, one of the two is
    wrong.
    """
    shown = [p for p, u in zip(packets.pts, packets.usable, strict=True) if u]
    if not packets.sound or packets.hidden or not shown or None in shown:
        return False
    pts = np.array(shown, np.int64)
    dts = np.array([d for d in packets.dts if d is not None], np.int64)
    if len(np.unique(pts)) < len(pts) or (np.diff(dts) < 0).any():
        return False
    first = packets.usable.index(True)
    if not packets.keys[first] or pts[0] != pts.min():
        return False
    names = container.split(",")
    if context.codec.intra_only:
        return bool("avi" in names or any(name in names for name in _WITH_TIMES))
    if not any(name in names for name in _WITH_TIMES) or not packets.one_each:
        return False
    if len(pts) > 1 and (all(packets.keys) or (context.has_b_frames and (np.diff(pts) > 0).all())):
        return False
    if context.name == "h264":
        return _without_fields(context.extradata or b"")
    return context.name in ("hevc", "libdav1d", "av1", *_ONE_PICTURE)


def _vp8_shown(data: memoryview) -> bool:
    return bool(data[0] & 0x10)


def _vp9_shown(data: memoryview) -> bool:
    """Whether a packet is a shown frame, or several of which the last is shown."""
    mark = data[-1]
    index = 2 + ((mark >> 3 & 3) + 1) * ((mark & 7) + 1)
    if mark & 0xE0 == 0xC0 and len(data) > index and data[-index] == mark:
        return True  # a superframe: what it hides it hides within
    head = data[0]
    position = 4 if (head >> 4 & 3) != 3 else 5
    if head >> (7 - position) & 1:
        return True  # shows one that was hidden
    return bool(head >> (5 - position) & 1)


def _mpeg4_single(data: memoryview) -> bool:
    """Whether there is one picture, and not a mark that there is none."""
    return len(data) > 16 and bytes(data).count(b"\0\0\1\xb6") == 1


_ONE_PICTURE = {"vp8": _vp8_shown, "libvpx": _vp8_shown, "vp9": _vp9_shown, "mpeg4": _mpeg4_single}


def _without_fields(extradata: bytes) -> bool:
    """Whether all of an avcC record's parameter sets say that there are only whole frames."""
    if len(extradata) < 7 or extradata[0] != 1:
        return False
    position, count = 6, extradata[5] & 31
    sets = []
    for _ in range(count):
        length = int.from_bytes(extradata[position : position + 2], "big")
        sets.append(extradata[position + 3 : position + 2 + length])
        position += 2 + length
    try:
        return bool(sets) and all(_frame_mbs_only(s.replace(b"\0\0\3", b"\0\0")) for s in sets)
    except IndexError:
        return False


# Profiles whose parameter sets speak of colour: H.264, 7.3.2.1.1.
_WITH_COLOUR = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)


def _frame_mbs_only(sps: bytes) -> bool:
    """H.264's flag of that name: H.264, 7.3.2.1.1. Raises IndexError where data end too early."""
    bits = "".join(f"{byte:08b}" for byte in sps)
    position = 24

    def take(count: int) -> int:
        nonlocal position
        if position + count > len(bits):
            raise IndexError
        value = int(bits[position : position + count] or "0", 2)
        position += count
        return value

    def golomb() -> int:
        zeros = 0
        while not take(1):
            zeros += 1
        return (1 << zeros) - 1 + take(zeros)

    golomb()  # seq_parameter_set_id
    if sps[0] in _WITH_COLOUR:
        chroma = golomb()
        if chroma == 3:
            take(1)
        golomb()  # bit depths
        golomb()
        take(1)
        if take(1):  # scaling matrices
            for number in range(12 if chroma == 3 else 8):
                if take(1):
                    last = following = 8
                    for _ in range(16 if number < 6 else 64):
                        if following:
                            code = golomb()
                            delta = (code + 1) // 2 if code % 2 else -(code // 2)
                            following = (last + delta) % 256
                        last = following or last
    golomb()  # log2_max_frame_num_minus4
    order = golomb()
    if order == 0:
        golomb()
    elif order == 1:
        take(1)
        golomb()
        golomb()
        for _ in range(golomb()):
            golomb()
    golomb()  # max_num_ref_frames
    take(1)
    golomb()  # width and height
    golomb()
    return bool(take(1))
