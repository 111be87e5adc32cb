"""Options of `idol-eval score` and `idol-eval run`."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from idol.config.checks import ConfigError, at_least, mistakes_in
from idol.config.sampling import Guidance, SamplerName, Steps, Temperature
from idol.config.share import ALL, divided, mistakes_of

__all__ = ["SAMPLES", "SEED", "EvaluateRunConfig", "Layout", "ScoreConfig"]

SAMPLES, SEED = at_least(100), at_least(0)
"""Of the bootstrap: how many samples of videos, and where they come from."""
Layout = Literal["folders", "fomm", "mraa", "tps", "dreampose"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreConfig:
    """What is scored, how, and where the results go.

    Raises:
        ConfigError: naming every mistake.
    """

    generated: str
    """Generated clips: a folder with a folder of frames for each clip, a folder of all videos'
    frames, a folder of mp4s where the protocol says so, or shards."""
    layout: Layout = "folders"
    """What wrote the generated folder: fomm, mraa, tps or dreampose, as their public programs leave
    it (docs/evaluation.md)."""
    reference: str
    """The true clips, named alike: a folder likewise, or shards."""
    protocol: str
    """Name of the protocol: all that a number depends on besides the frames (idol-eval
    protocols)."""
    out: Path
    """Folder for scores.json, the tables, and the features that comparisons need."""
    split: str | None = None
    """Split of shards: val where there is one, unless given. Folders have none."""
    limit: Annotated[int | None, at_least(1)] = None
    """Only so many clips of shards, not of folders, the first ones; the scores say so."""
    depth: Literal["person", "frame"] | None = None
    """Which depth of shards is compared: the person's where there are both, unless given. Of
    folders: which theirs is."""
    generated_depth: Path | None = None
    """Folder with the generated clips' depth, where it does not lie in each clip's folder."""
    reference_depth: Path | None = None
    """Folder with the true clips' depth likewise."""
    estimate_depth: str = "none"
    """Annotator that estimates depth of the generated frames afterwards, in place of generated
    depth: lite, hdnet, midas, hf:MODEL. The rows marked so in the paper's tables."""
    pose: str = "lite"
    """Annotator that looks for key points in generated and true frames; none for no pose error."""
    metrics: tuple[str, ...] = ()
    """Compute these alone; all by default."""
    require: tuple[str, ...] = ()
    """Fail where one of these cannot be computed, before anything is."""
    weights: Path | None = None
    """Folder of external files (networks); by default that of `idol-prep weights`."""
    cache: Path | None = None
    """Folder for features and what annotators found, by the content of clips, so that a reference
    is looked at once for all methods; by default in the user's cache."""
    device: str = "auto"
    """Device of torch for the networks: cpu, cuda; auto: a GPU if there is one."""
    batch: Annotated[int, at_least(1)] = 16
    """Images, or an eighth as many snippets, that pass through a network at a time."""
    samples: Annotated[int, SAMPLES] = 1000
    """Bootstrap samples of videos for each interval."""
    seed: Annotated[int, at_least(0)] = 0
    """Of the bootstrap."""
    stride: Annotated[int, at_least(1)] = 4
    """Stride of the windows that long clips were generated in, for the seam."""
    name: str = ""
    """What the row is called in tables; by default the name of the generated folder."""
    allow_swapped: bool = False
    """Score also clips that look like each other's reference."""
    overwrite: bool = False
    """Replace the scores of other clips, or by another protocol, that --out has."""

    def __post_init__(self) -> None:
        if mistakes := [f"--{name} {fault}" for name, fault in mistakes_in(self)]:
            raise ConfigError("; ".join(mistakes))


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateRunConfig:
    """A model, the clips whose conditions it generates from, and how they are scored.

    Raises:
        ConfigError: naming every mistake.
    """

    model: Path
    """Folder of a model: an output of idol-train, a checkpoint of it, or a pipeline's folder."""
    shards: str
    """Dataset whose clips give the conditions, and are the truth: its split val, unless --split."""
    out: Path
    """Folder for the generated clips, one folder a clip, and the scores."""
    protocol: str = "clean-8"
    """Name of the protocol (idol-eval protocols)."""
    split: str | None = None
    """Split of the shards."""
    steps: Steps = None
    """Denoising steps. Unless given 50 with ddim, 4 with lcm, and 10 with the others, where models
    of preset tiny take 2, and those with a posed foreground 1."""
    guidance: Guidance = None
    """Weight of the foreground, at most 100; 1 is none. Unless given 1.5, and 1 for models of
    preset tiny; distilled models have it in them."""
    scheduler: SamplerName | None = None
    """How steps are taken: ddim, unipc or dpm; unless given ddim, and unipc for models of
    preset tiny; lcm, which distilled models take."""
    temperature: Temperature = 1.0
    """As for idol-generate."""
    seed: Annotated[int, at_least(0)] = 0
    """Of the noise: that of a clip is a function of this and its key."""
    share: str = ALL
    """I/N generates every N-th clip from the I-th (0 to N - 1) on, for N processes; the one that
    finds all clips there scores them."""
    limit: Annotated[int | None, at_least(1)] = None
    """Only so many clips, the first ones; the scores say so."""
    device: str = "auto"
    """Device of torch: cpu, cuda; auto: a GPU if there is one."""
    low_memory: bool = False
    """Generate with less memory, slower."""
    score: bool = True
    """Score once all clips are there; --no-score generates them alone."""
    pose: str = "lite"
    """As for idol-eval score."""
    metrics: tuple[str, ...] = ()
    """As for idol-eval score."""
    require: tuple[str, ...] = ()
    """As for idol-eval score."""
    weights: Path | None = None
    """Folder of external files (networks); by default that of `idol-prep weights`."""
    cache: Path | None = None
    """As for idol-eval score."""
    samples: Annotated[int, SAMPLES] = 1000
    """Bootstrap samples of videos for each interval."""
    name: str = ""
    """What the row is called in tables; by default the name of the model's folder."""

    def __post_init__(self) -> None:
        mistakes = [f"--{name} {fault}" for name, fault in mistakes_in(self)]
        mistakes += mistakes_of(self.share)
        if mistakes:
            raise ConfigError("; ".join(mistakes))

    @property
    def part(self) -> slice:
        """Which clips this process generates."""
        return divided(self.share)
