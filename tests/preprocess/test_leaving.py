"""Reading that is left in the middle, again and again: the decoder's threads are still at work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

LEAVE = """
import faulthandler, sys
from pathlib import Path
from preprocess.video import VideoFile
video = VideoFile(Path(sys.argv[1]))
for turn in range(2000):
    faulthandler.dump_traceback_later(120, exit=True)
    for frame in video.read(range(60)):
        if frame.index == 1 + turn % 40:
            break
"""


@pytest.mark.slow
def test_reading_may_be_left_at_any_frame(tmp_path: Path) -> None:
    """Decoders were freed under Python's lock while their threads waited for it: for ever, once in
    some thousand times."""
    path = tmp_path / "video.mkv"
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, width=256, height=256, pix_fmt="yuv420p")
        for _ in range(60):
            picture = rng.integers(0, 255, (16, 16, 3)).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(np.kron(picture, np.ones((16, 16, 1), np.uint8)))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    subprocess.run([sys.executable, "-c", LEAVE, str(path)], check=True)
