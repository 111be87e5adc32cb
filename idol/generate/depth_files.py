"""Depth as files that other programs read: 16-bit PNG and OpenEXR, a file a frame."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from idol.generate.errors import GenerationError
from idol.generate.generator import Generated
from shards.sample.colormap import depth_to_grey
from shards.sample.images import encode_png

__all__ = ["check_library", "write_depth"]

_UNITS = {
    "person": "Z: relative, 0 near to .75 far of the person's range, 1 is background",
    "frame": "Z: relative, 0 near to 1 far of the frame's range",
}


def check_library() -> None:
    """Raise GenerationError where depth could not be written: hours before it is there."""
    if find_spec("OpenEXR") is None:
        raise GenerationError("depth is written by OpenEXR: `make install-generate` installs it")


def write_depth(folder: Path, generated: Generated) -> None:
    """Write `00000.png` and `00000.exr`, and so on, into a folder that is there.

    A PNG holds depth in [0, 1] as 0 to 65535. An EXR holds 32-bit floats: `Z` the same depth,
    `confidence`, and `metres` where they are known (NaN is background); its `comments` say the
    unit.

    Raises GenerationError where OpenEXR is not installed.
    """
    check_library()
    import OpenEXR

    for index, depth in enumerate(generated.depth):
        (folder / f"{index:05d}.png").write_bytes(encode_png(depth_to_grey(depth)))
        channels = {"Z": depth, "confidence": generated.confidence[index]}
        if generated.metres is not None:
            channels["metres"] = generated.metres[index]
        header = {
            "compression": OpenEXR.ZIP_COMPRESSION,
            "type": OpenEXR.scanlineimage,
            "comments": _UNITS[generated.depth_kind],
        }
        arrays = {n: np.ascontiguousarray(a, np.float32) for n, a in channels.items()}
        OpenEXR.File(header, arrays).write(str(folder / f"{index:05d}.exr"))
