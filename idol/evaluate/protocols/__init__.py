"""Protocols: named, frozen files that say all that a number depends on besides the frames.

A result carries its protocol's name and hash. Results of different protocols are never put into
one table (`idol.evaluate.compare`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from idol.config.checks import ConfigError
from shards.files.digest import canonical_json

__all__ = [
    "NAMES",
    "Container",
    "ImageMetrics",
    "ImageNetwork",
    "Protocol",
    "Snippets",
    "VideoNetwork",
    "protocol",
]

Resize = Literal["pil-bicubic", "torch-bilinear"]


@dataclass(frozen=True)
class Container:
    """A lossy video that snippets are written to and read back from, as imageio writes it.

    `block`: height and width are scaled up to multiples of it first.
    """

    codec: Literal["libx264"]
    crf: int
    preset: str
    pixels: Literal["yuv420p"]
    fps: int
    block: int
    scaling: Literal["bicubic"]


@dataclass(frozen=True)
class Snippets:
    """Which runs of frames the video networks are shown.

    `cut`    clips: out of each clip, from its first frame on, every `steps` frames; file numbers:
             from every frame whose next `frames - 1` numbers exist, by the numbers in the files'
             names; folders: each clip is a snippet, however long.
    `frames` in a snippet; of `folders` what the networks are made for.
    `steps`  between the first frames of two snippets, in frames. The first is the row's figure.
    `short`  clips of fewer frames: left out, and counted; or padded, as each network says.
    """

    cut: Literal["clips", "file numbers", "folders"]
    frames: int
    steps: tuple[int, ...]
    short: Literal["left out", "padded"]
    container: Container | Literal["none"]


@dataclass(frozen=True)
class ImageMetrics:
    """How frames are compared one by one.

    `frames`     every frame, or the first of each snippet.
    `other_size` a generated clip of another size than its reference: an error, or resized.
    `ssim`       gaussian rgb: 11x11 window of sigma 1.5, mean over RGB; uniform grey: 7x7 window,
                 unbiased covariance, on OpenCV's grey.
    `l1`         unit: of values in [0, 1]; over pixels: of values in [0, 255], divided by height
                 times width.
    `lpips`      symmetric: images in [-1, 1], as its network was trained; unit: in [0, 1].
    """

    frames: Literal["every", "first"]
    other_size: Literal["error", "opencv-bilinear"]
    ssim: Literal["gaussian rgb", "uniform grey"]
    l1: Literal["unit", "over pixels"]
    lpips: Literal["symmetric", "unit"]


@dataclass(frozen=True)
class ImageNetwork:
    """The network of FID, the filter that resizes to its 299 pixels, and the scale of values.

    `weights`: SHA-256 of their file; or recorded, where none is known beforehand: results carry
    that of the file used.
    """

    network: Literal["inception-v3-2015-12-05"]
    weights: str
    features: int
    resize: Resize
    scale: Literal["tensorflow", "pytorch-fid"]


@dataclass(frozen=True)
class VideoNetwork:
    """The network of FVD or FID-FVD, its size in pixels, and what short snippets are padded with.

    `weights`: as for `ImageNetwork`.
    `segments`: what becomes of the features of a snippet that is longer than `Snippets.frames`.
    """

    network: Literal["i3d-kinetics-400", "resnet3d-50-kinetics"]
    weights: str
    features: int
    size: int
    resize: Literal["pil-bicubic"]
    padding: Literal["none", "last frame"]
    segments: Literal["one", "mean"] = "one"


@dataclass(frozen=True)
class Protocol:
    """All that a number depends on besides the frames; see the files beside this one.

    `dtssd`: of depth; or as DisCo's script has it, of the first two frames of each snippet, read
    from its container at 256x256.
    `hash`: SHA-256 of what the file says, comments apart.
    """

    name: str
    title: str
    snippets: Snippets
    images: ImageMetrics
    fid: ImageNetwork
    fvd: VideoNetwork
    fid_fvd: VideoNetwork
    dtssd: Literal["depth", "first two frames", "none"]
    hash: str


NAMES = ("clean-8", "idol-8", "disco-image-16", "disco-tm-16")

# What each file said when it was frozen. A change of one is another protocol, under another name.
_FROZEN = {
    "clean-8": "269b2315dce0c880d0aabd761c09571fcddee213cbc04705b0cb0b741ca77815",
    "idol-8": "47580ffcf33ab31e575be3f88ab57983d02c9388d34b12cdda7ee9cfc7a8292f",
    "disco-image-16": "c5162db8a4f248d834f91e61ef50da4fc5e2022e15e92a11a9cdc54960bda4bc",
    "disco-tm-16": "d836de7bb142abf2679f12f6a9027d364c640d882f3ef71020bda832c3ea54e5",
}


@cache
def protocol(name: str) -> Protocol:
    """The protocol of this name.

    Raises ConfigError for another name, or a file that is not what it was when it was frozen.
    """
    import yaml
    from pydantic import TypeAdapter

    if name not in NAMES:
        raise ConfigError(f"--protocol {name} is unknown; there are: {', '.join(NAMES)}")
    text = resources.files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    said: dict[str, Any] = yaml.safe_load(text)
    digest = hashlib.sha256(canonical_json(said)).hexdigest()
    if digest != _FROZEN[name]:
        raise ConfigError(
            f"protocol {name} was edited (hash {digest[:12]}, not {_FROZEN[name][:12]}): numbers "
            "under one name must be made one way; reinstall the package"
        )
    return TypeAdapter(Protocol).validate_python({**said, "hash": digest})
