"""Opening a video file, whatever its name is, choosing who decodes it, numbering its packets.

A picture is told from others by its packet's number in the file: the decoder hands the number on
with the picture, so where decoding began, or what a seek or a time stamp says, cannot move it.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from preprocess.errors import InputError

__all__ = ["calm", "decoder", "mark", "number_of", "numbered", "open_stream", "open_video"]

# FFmpeg's own decoders of these leave the transparency out.
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
# MP4's names of Dolby Vision without a base layer that others can show.
_DOLBY_ALONE = ("dvh1", "dvhe")


def open_video(path: Path) -> Any:
    """The PyAV container of a file. Raises av.FFmpegError and OSError.

    FFmpeg takes what precedes a colon for a protocol: `file:` tells that a name is a name. A
    playlist under a video's name may not fetch anything.
    """
    return av.open(
        f"file:{os.fspath(path)}", options={"protocol_whitelist": "file"}, metadata_errors="replace"
    )


def open_stream(container: Any, path: Path) -> Any:
    """The container's best video stream, ready to decode. Raises InputError where there is none."""
    stream = container.streams.best("video")
    if stream is None or stream.codec_context is None:
        raise InputError(f"{path} has no video stream that can be decoded")
    if stream.codec_context.codec_tag in _DOLBY_ALONE:
        raise InputError(
            f"{path} is Dolby Vision of profile 5, whose colours nothing else can show: convert it "
            "to HDR10 or BT.709 first"
        )
    stream.thread_type = "AUTO"
    # The decoder hands each packet's number on with its picture.
    stream.codec_context.copy_opaque = True
    return stream


def decoder(stream: Any) -> Any:
    """The codec context that decodes a video stream with its transparency, if it has any."""
    context = stream.codec_context
    name = _WITH_ALPHA.get(context.codec.name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return context
    decoding = av.CodecContext.create(name, "r")
    decoding.extradata = context.extradata
    decoding.thread_type = context.thread_type
    decoding.copy_opaque = context.copy_opaque
    return decoding


def calm(context: Any) -> None:
    """Have a decoder's threads end what they do: to be called before a decoder is left.

    PyAV frees a decoder, and waits for its threads, while it holds Python's lock. They need that
    lock when they let go of a packet that bears its number, and would wait for it for ever.
    """
    context.flush_buffers()  # which waits for the threads without the lock


def mark(packet: Any, number: int) -> None:
    """Let the picture that comes of a packet say so."""
    packet.opaque = [number]  # PyAV tells these apart by identity, and small integers are shared


def number_of(frame: Any) -> int | None:
    """The number of the packet of which a picture came; None where the decoder does not say."""
    return frame.opaque[0] if frame.opaque else None


def numbered(container: Any, stream: Any, first: int = 0) -> Iterator[tuple[int, Any]]:
    """The stream's packets, marked with their numbers.

    `first` is the number of the one that comes next.
    """
    number = first
    for packet in container.demux(stream):
        if packet.size or packet.dts is not None:  # else the end
            mark(packet, number)
            yield number, packet
            number += 1
