"""Options of `idol-bench claims`."""

import dataclasses
import math
from pathlib import Path
from typing import Annotated, Literal

from idol.config.checks import ConfigError, at_least, mistakes_in

__all__ = ["ClaimsConfig"]

_Count = Annotated[int, at_least(1)]
_Seeds = Annotated[tuple[int, ...], at_least(0)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClaimsConfig:
    """The paper's claims: rows of its tables trained alike, one run a row and seed, and compared.

    Raises:
        ConfigError: naming every mistake.
    """

    shards: Path
    """Dataset of rendered people, with a val split."""
    dwpose_shards: Path | None = None
    """The same dataset with skeletons as DWPose's are drawn (idol-prep build --pose-style dwpose),
    for the rows of Tab. 3 that learn from them."""
    out: Path
    """Folder of all runs and of claims.json and claims.md; the same command resumes."""
    rows: Literal["headline", "all"] = "headline"
    """headline: the five of Tab. 4 and 5; all: those of Tab. 6 and 8 as well, and on the latents of
    a small autoencoder those of Tab. 1 (DisCo, LDM3D, MM-Diffusion) and, with `dwpose_shards`, of
    Tab. 3; unjudged."""
    tables: tuple[Literal[1, 3, 4, 5, 6, 8], ...] = ()
    """Of these rows only those of the paper's tables with these numbers; all unless given."""
    seeds: _Seeds = (0, 1, 2, 3, 4)
    """Each row is trained once with each."""
    few_seeds: _Count = 2
    """How many of them the unjudged rows take."""
    jobs: _Count = 2
    """Runs side by side, of one thread each."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where they run. A GPU takes many at once, and more of them if NVIDIA's MPS is running; on a
    CPU the same command gives the same bytes."""
    start: Path | None = None
    """Trained model that all rows go on with in stage video, without pre-training and stage image
    of their own: for rows that have its weights, as Tab. 5's and 8's do."""
    pretrain_steps: _Count = 150
    """Steps of pre-training, one a seed for all rows."""
    image_steps: _Count = 2400
    """Steps of stage image of a row."""
    video_steps: _Count = 300
    """Steps of stage video of a row."""
    codec_steps: _Count = 3000
    """Steps of stage autoencoder, of the rows of Tab. 1."""
    train: Path | None = None
    """File of settings of idol-train (its --config) that all rows share."""
    train_codec: Path | None = None
    """The same for stage autoencoder."""
    grid: tuple[float, ...] = ()
    """Weights of the consistency losses to choose from; none: the paper's 0.01."""
    grid_seeds: _Seeds = (100, 101)
    """Seeds that they are chosen on, which are not reported."""
    held_out: Path | None = None
    """Dataset whose clips are scored, those of its split train, in place of the split val of
    `shards`: where `start` was trained on that."""
    clips: _Count = 32
    """Held-out clips that are scored, the first ones."""
    sampling_steps: _Count = 10
    """Denoising steps."""
    scheduler: Literal["ddim", "unipc", "dpm"] = "unipc"
    """How they are taken."""
    pose: str = "lite"
    """Annotator for the pose error, as of idol-eval run; none for none."""
    metrics: tuple[str, ...] = ()
    """Compute these alone; all by default."""
    write: Path | None = None
    """A document with the claims' marks, between which the tables are put, too, and whose json of
    the same name has their numbers; tables there that are not run now stay as they are."""

    def __post_init__(self) -> None:
        mistakes = [f"--{name.replace('_', '-')} {fault}" for name, fault in mistakes_in(self)]
        if 3 in self.tables and self.dwpose_shards is None:
            mistakes.append("--tables 3 needs --dwpose-shards")
        if self.dwpose_shards is not None and self.held_out is not None:
            mistakes.append("--held-out replaces --shards alone: leave it or --dwpose-shards out")
        if self.rows == "headline" and (details := sorted({1, 3, 6, 8} & set(self.tables))):
            mistakes.append(f"--tables {' '.join(map(str, details))} is of --rows all: give that")
        for name, seeds in (("seeds", self.seeds), ("grid-seeds", self.grid_seeds)):
            if not seeds or len(set(seeds)) < len(seeds):
                mistakes.append(f"--{name} must be one or more, each once")
        if both := set(self.seeds) & set(self.grid_seeds) if self.grid else set():
            mistakes.append(f"--grid-seeds are not to be reported, and {min(both)} is of --seeds")
        if any(not 0 < weight < math.inf for weight in self.grid):
            mistakes.append("--grid must be above 0")
        if len({f"{weight:g}" for weight in self.grid}) < len(self.grid):  # folders' names
            mistakes.append("--grid must name each weight once, told apart by six digits")
        if self.grid and self.metrics and "depth_rmse" not in self.metrics:
            mistakes.append("--grid chooses by depth_rmse: name it among --metrics")
        if mistakes:
            raise ConfigError("; ".join(mistakes))
