"""Opening a video file by its path, whatever its name is and whatever it says of other files."""

from pathlib import Path
from typing import Any

import av

__all__ = ["open_video"]


def open_video(path: Path) -> Any:
    """The PyAV container of a local file. Raises av.FFmpegError and OSError.

    FFmpeg takes what precedes a colon for a protocol: `file:` tells that a name is a name. A
    playlist under a video's name may not fetch anything.
    """
    return av.open(f"file:{path}", options={"protocol_whitelist": "file"})
