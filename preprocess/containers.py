"""Opening a video file by its path, whatever its name is, and choosing who decodes it."""

from pathlib import Path
from typing import Any

import av

__all__ = ["decoder", "open_video"]

# FFmpeg's own decoders of these leave the transparency out.
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def open_video(path: Path) -> Any:
    """The PyAV container of a local file. Raises av.FFmpegError and OSError.

    FFmpeg takes what precedes a colon for a protocol: `file:` tells that a name is a name. A
    playlist under a video's name may not fetch anything.
    """
    return av.open(
        f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="replace"
    )


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
