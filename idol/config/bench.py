"""Options of `idol-bench model` and `idol-bench annotators`."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from idol.config.checks import ConfigError, at_least, mistakes_in
from idol.config.model import PresetName

__all__ = ["AnnotatorBenchConfig", "ModelBenchConfig"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelBenchConfig:
    """Parameters, FLOPs, time and memory of the model, for each training stage.

    Attributes:
        presets: presets to count, on the meta device; this needs no memory.
        time: those of the presets to run forward and backward; tiny, where it is one, unless given.
            Add sd14 on a machine with 40 GB or more of memory (float32 weights and gradients alone
            are 11 GB).
        size: latent height and width; the default is the preset's own (256 pixels for sd14).
        frames: frames of a clip in the video stage.
        device: where to run; "auto" takes a GPU if there is one.
        threads: of a CPU; torch's own choice when absent.
        dtype: of weights and activations in timed runs.
        checkpoint: recompute layers in backward.
        channels_last: keep images channels-last.
        compile: run repeated blocks through torch.compile.
        table: of the paper, alone: 7 compares the systems that generate video and depth.

    Raises:
        ConfigError: naming every mistake.
    """

    presets: tuple[PresetName, ...] = ("sd14", "tiny")
    time: tuple[PresetName, ...] | None = None
    size: Annotated[int | None, at_least(1)] = None
    frames: Annotated[int, at_least(1)] = 8
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int | None, at_least(1)] = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    checkpoint: bool = False
    channels_last: bool = False
    compile: bool = False
    table: int | None = None

    def __post_init__(self) -> None:
        mistakes = [f"--{name} {fault}" for name, fault in mistakes_in(self)]
        if self.table not in (None, 7):
            mistakes.append(f"--table must be 7, the paper's one table of costs, not {self.table}")
        if others := [name for name in self.time or () if name not in self.presets]:
            mistakes.append(f"--time {' '.join(others)} is none of --presets: name it there too")
        if self.table is not None:
            unused = {"--checkpoint": self.checkpoint, "--channels-last": self.channels_last}
            mistakes += [f"{name} does nothing to --table" for name, on in unused.items() if on]
        if mistakes:
            raise ConfigError("; ".join(mistakes))

    @property
    def timed(self) -> tuple[PresetName, ...]:
        """The presets that are run."""
        return ("tiny",) if self.time is None else self.time


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnnotatorBenchConfig:
    """How far annotators are from what is true of rendered people.

    Raises:
        ConfigError: naming every mistake.
    """

    source: Path | None = None
    """A file of rendered people, as docs/people.md tells; the command has one of its own."""
    videos: Annotated[int | None, at_least(1, 1_000_000)] = None
    """How many videos, in place of what the file says."""
    seed: Annotated[int | None, at_least(0)] = None
    """Other people, motions and places than the file's own seed gives."""
    mask: tuple[str, ...] | None = None
    """Mask annotators, as `idol-prep build --mask` names them; all that are installed unless
    given. `source` is the truth itself."""
    pose: tuple[str, ...] | None = None
    """Pose annotators, likewise."""
    depth: tuple[str, ...] | None = None
    """Depth annotators, likewise; hf:MODEL has to be named. Those of the person take the lite
    masks."""
    crop: Literal["none", "subject"] = "none"
    """What annotators' clips show: the whole frame, or a square around the person."""
    size: Annotated[int | None, at_least(16, 4096)] = None
    """Height and width of clips, in pixels; the frames' own unless given."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where networks run; auto takes a GPU if there is one."""
    json: Path | None = None
    """Write all figures to this file, those of every frame too."""
    worst: Path | None = None
    """Write images to this folder: of each annotator the ten worst frames, one of a clip."""

    def __post_init__(self) -> None:
        mistakes = [f"--{name} {fault}" for name, fault in mistakes_in(self)]
        for name in ("mask", "pose", "depth"):
            if getattr(self, name) == ():
                mistakes.append(f"--{name} is empty: name annotators, or leave it out")
        if self.mask == self.pose == self.depth == ("none",):
            mistakes.append("nothing is left to compare")
        if mistakes:
            raise ConfigError("; ".join(mistakes))
