"""Options of `idol-render`."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from idol.config.checks import ConfigError, Range, at_least, mistakes_in

__all__ = ["Output", "RenderConfig"]

Output = Literal["page", "turntable", "rgbd", "ply", "glb", "exr"]

# Settings that change nothing where none of these is written.
_OF: dict[str, tuple[Output, ...]] = {
    "quality": ("page",),
    "swing": ("turntable",),
    "seconds": ("turntable",),
    "size": ("turntable",),
    "samples": ("turntable",),
    "depth_scale": ("turntable", "ply", "glb"),
    "rgbd_style": ("rgbd",),
    "mesh_frame": ("glb",),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RenderConfig:
    """What is rendered, as what, and what has to be assumed for it.

    Raises:
        ConfigError: naming every mistake.
    """

    video: tyro.conf.Positional[str]
    """Output folder of idol-generate; DATASET::KEY for a clip of shards; or, with --depth, any
    video, or folder of images."""
    out: Path
    """Folder to write to: new, or left by this command."""
    write: tuple[Output, ...] = ("page", "turntable", "rgbd")
    """page: one HTML file to orbit in; turntable: a video whose camera swings; rgbd: colour and
    depth side by side; ply: a coloured mesh a frame; glb: a textured mesh of one frame; exr: depth
    of each frame."""
    depth: Path | None = None
    """Depth of a video that does not bring its own: a folder of PNG or EXR files, one a frame, a
    .npy of (frames, height, width), or a grey video."""
    depth_unit: Literal["relative", "inverse", "metres", "millimetres"] = "relative"
    """Of --depth: relative: smaller is nearer; inverse: larger is nearer, as MiDaS has it; metres,
    millimetres: from the camera, 0 where not known."""
    mask: Path | None = None
    """White where the person is: a folder of images, one a frame, or a video. Unless given, the
    clip's own, or what the depth says."""
    background: Path | None = None
    """Image of the place without the person, under the frames, for what they never show."""
    start_frame: Annotated[int, at_least(0)] = 0
    """First frame that is taken."""
    frames: Annotated[int | None, at_least(1)] = None
    """How many frames are taken; all unless given."""
    fps: Annotated[float | None, Range(0, 1000, above_low=True)] = None
    """Frames a second; the video's own, and 25 for images, unless given."""
    view: Annotated[float | None, Range(1, 150)] = None
    """The camera's angle of view along the longer side, in degrees; the clip's own where it says
    so, else 40."""
    thickness: Annotated[float, Range(0, 5, above_low=True)] = 0.3
    """Of relative depth: from the person's nearest to their farthest point, over the width of what
    the picture shows there."""
    distance: Annotated[float | None, Range(0, 1000, above_low=True)] = None
    """Metres from the camera to where metres are counted from, where that is not the camera; as far
    as a person 1.7 m tall is, unless given."""
    behind: Annotated[float, Range(0, 20, above_low=True)] = 0.25
    """How far the place is behind the person where its depth is not known, over that width."""
    cut: Annotated[float, Range(0, 1, above_low=True)] = 0.08
    """Surfaces are cut where depth jumps by more than this, over the person's depth."""
    grid: Annotated[int, at_least(8, 1024)] = 256
    """Pixels of depth along the longer side, at most."""
    picture: Annotated[int, at_least(16, 2048)] = 768
    """Pixels of frames along the longer side, at most."""
    quality: Annotated[int, at_least(1, 100)] = 88
    """Of the page's frames, as WebP."""
    swing: Annotated[float, Range(0, 60)] = 15.0
    """Degrees to either side in the turntable."""
    seconds: Annotated[float, Range(0, 600, above_low=True)] = 4.0
    """Of one swing there and back; the turntable is of whole swings, as many as the video is
    long."""
    size: Annotated[int, at_least(16, 2048)] = 384
    """Longer side of the turntable, in pixels."""
    samples: Annotated[int, at_least(1, 8)] = 2
    """Rays of the turntable a pixel, along each side."""
    depth_scale: Annotated[float, Range(0, 4)] = 1.0
    """Depth of the turntable and of the meshes times this."""
    rgbd_style: Literal["looking-glass", "record3d"] = "looking-glass"
    """looking-glass: colour, and at its right grey that is white near by; record3d: depth as hue,
    red near by, and colour at its right."""
    mesh_frame: Annotated[int | None, at_least(0)] = None
    """Frame of the glb, counted from the first that is taken; the middle one unless given."""
    overwrite: bool = False
    """Replace a folder that another command left, or another video's."""

    def __post_init__(self) -> None:
        mistakes = [f"--{name.replace('_', '-')} {fault}" for name, fault in mistakes_in(self)]
        if not self.video:
            mistakes.append("the path of the video is empty")
        for name, outputs in _OF.items():
            changed = getattr(self, name) != getattr(RenderConfig, name)
            if changed and not set(outputs) & set(self.write):
                option = f"--{name.replace('_', '-')}"
                mistakes.append(f"{option} is of a {' or '.join(outputs)}, and --write has none")
        if not self.write:
            mistakes.append("--write is empty: name what is to be written")
        if self.depth is None and self.depth_unit != "relative":
            mistakes.append("--depth-unit is of a --depth, and none is given")
        if "::" in self.video and self.depth is not None:
            mistakes.append("--depth is for videos: a clip has its own")
        if mistakes:
            raise ConfigError("; ".join(mistakes))
