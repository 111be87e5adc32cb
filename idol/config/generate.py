"""Options of `idol-generate` besides those of annotators."""

import dataclasses
import os
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

import tyro

from idol.config.checks import ConfigError, at_least, mistakes_in
from idol.config.sampling import Guidance, SamplerName, Steps, Temperature

__all__ = ["BETWEEN", "GenerateConfig", "is_clip", "is_dataset", "read_fps"]

BETWEEN = "::"
"""Stands between a dataset and the key of a clip in it."""


def is_clip(text: str) -> bool:
    """Whether a path on the command line names a clip; what there is by that very name is none."""
    return BETWEEN in text and not os.path.exists(text)


def is_dataset(path: Path) -> bool:
    """Whether there are shards at a path, of which a clip has to be named."""
    return (path.suffix.lower() == ".tar" and path.is_file()) or (path / "dataset.json").is_file()


_SLOWEST, _FASTEST = 1.0, 240.0


def read_fps(text: str) -> float:
    """Frames a second, as a number or a fraction: 25, 29.97, 30000/1001.

    Raises ConfigError for what is no such number, or not between 1 and 240.
    """
    try:
        fps = float(Fraction(text.strip()))
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise ConfigError(
            f"--fps {text}: is no number of frames a second, as in 25, 29.97 or 30000/1001"
        ) from error
    if not _SLOWEST <= fps <= _FASTEST:
        raise ConfigError(
            f"--fps {text}: must be between {_SLOWEST:g} and {_FASTEST:g} frames a second"
        )
    return fps


@dataclasses.dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """What is given, how it is generated, and where it goes.

    Raises:
        ConfigError: naming every mistake.
    """

    photo: tyro.conf.Positional[str]
    """Who is to move: an image that shows them whole, or DATASET::KEY for a clip of shards."""
    out: Path
    """Folder of the video, its depth and report.json; new, or left by this same command."""
    model: Path | None = None
    """A run of idol-train, one of its checkpoints, or a pipeline's folder; the small one that comes
    with the package (128x128 pixels) unless given."""
    driving: str | None = None
    """How they are to move: a video of somebody or a folder of its frames, a .npy of key points, or
    DATASET::KEY."""
    skeletons: Path | None = None
    """In place of --driving, skeletons drawn on black: a folder of images, or a video."""
    person_mask: Path | None = None
    """Image of the photo's size, white where the person is; an annotator makes one otherwise."""
    background: Path | None = None
    """Image of the place; the photo's own, with a hole where the person is, unless given."""
    background_mask: Path | None = None
    """White where --background is not to be shown; where it is transparent, unless given."""
    retarget: Literal["none", "similarity", "proportions"] | None = None
    """none: the motion lies over the background as it was filmed; similarity: moved and scaled to
    the person; proportions: each bone as long as the person's. Drawn skeletons: none; all else:
    proportions."""
    frame: Literal["motion", "whole"] | None = None
    """motion: the square that holds the whole motion and a tenth around it; whole: all of the
    background. Of clips: whole where it holds the motion; else motion."""
    preview: bool = False
    """Draw preview.png (the person, the driving poses, the retargeted poses), and stop."""
    force: bool = False
    """Go on where the motion does not fit the person, or the driving video hardly shows anybody."""
    fps: str | None = None
    """Frames a second of the video that is made, as in 25 or 30000/1001; a driving video's or
    clip's own unless given. Key points and images are taken to have so many, 25 unless given."""
    start_frame: Annotated[int, at_least(0)] = 0
    """First frame of the driving video that is taken."""
    frames: Annotated[int | None, at_least(2)] = None
    """How many frames of the motion are taken; all unless given."""
    steps: Steps = None
    """Denoising steps. Unless given 50 with ddim, 4 with lcm, and 10 with the others, where models
    of preset tiny take 2, and those with a posed foreground 1."""
    scheduler: SamplerName | None = None
    """How steps are taken: ddim, which resumes at the step where it was stopped, or unipc and dpm,
    which need few. Unless given ddim, and unipc for models of preset tiny. lcm is for distilled
    models, which take no other."""
    guidance: Guidance = None
    """Weight of the person's image, at most 100; 1 is none, and half the work. Unless given 1.5,
    and 1 for models of preset tiny; distilled models have it in them."""
    temperature: Temperature = 1.0
    """Deviation of the noise that the video starts from, at most 100; below 1 it flickers less and
    is nearer to the mean of what could be, above 1 farther."""
    seed: Annotated[int, at_least(0)] = 0
    """Another one gives another video; the same one the same bytes."""
    window: Annotated[int | None, at_least(1)] = None
    """Frames that pass through the model at a time; as many as it was trained with."""
    overlap: Annotated[int | None, at_least(0)] = None
    """Of them, those that a window shares with the next; half unless given."""
    low_memory: bool = False
    """Take about half the memory, and longer."""
    keep_background: bool = False
    """Put the given background's pixels wherever the depth says that nobody is."""
    fill_hole: bool = False
    """With --keep-background: where nobody is, show in the hole that the person left in it what
    surrounds the hole, and not what is generated there."""
    watermark: bool = True
    """Mark the video invisibly as synthetic; --no-watermark does not."""
    watermark_every: Annotated[int | None, at_least(1)] = None
    """Mark every so many frames; each on a GPU, fewer on a CPU."""
    c2pa: tuple[Path, Path] | None = None
    """Sign the videos: a file of PEM certificates and one of the private key."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU if there is one."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the model's weights."""
    weights: Path | None = None
    """Folder of the annotators' files, and the mark's; $IDOL_WEIGHTS, else the user's cache, unless
    given."""
    overwrite: bool = False
    """Begin anew where --out holds another video."""

    def __post_init__(self) -> None:
        mistakes = [f"--{name.replace('_', '-')} {fault}" for name, fault in mistakes_in(self)]
        if (self.driving is None) == (self.skeletons is None):
            mistakes.append("give the motion, either as --driving or as --skeletons")
        if self.fps is not None:
            try:
                read_fps(self.fps)
            except ConfigError as error:
                mistakes.append(str(error))
        window, overlap = self.window, self.overlap
        if window is not None and overlap is not None and overlap >= window:
            mistakes.append(f"--overlap {overlap} must be below --window {window}")
        if self.fill_hole and not self.keep_background:
            mistakes.append("--fill-hole is of --keep-background: give that as well")
        if self.background_mask is not None and self.background is None:
            mistakes.append("--background-mask is of a --background, and none is given")
        if self.watermark_every is not None and not self.watermark:
            mistakes.append("--watermark-every is of the watermark, and --no-watermark wants none")
        if is_clip(self.photo):
            for name in ("person_mask", "background"):
                if getattr(self, name) is not None:
                    mistakes.append(f"--{name.replace('_', '-')} is for photos: a clip has its own")
        if self.skeletons is not None and self.retarget not in (None, "none"):
            mistakes.append(
                f"--retarget {self.retarget} needs key points, which drawn skeletons do not tell"
            )
        if mistakes:
            raise ConfigError("; ".join(mistakes))
