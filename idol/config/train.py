"""Everything a run can be told, as plain values: importing them loads no library."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from idol.config.limits import mistakes_in
from idol.config.losses import LossConfig
from idol.config.model import DualModalUNetConfig, StageName
from idol.config.presets import PresetName
from idol.train.errors import raise_if_any

__all__ = ["DataConfig", "OptimizerConfig", "ReportConfig", "RunConfig", "TrainConfig"]

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What is taken from the shards."""

    size: int = 256
    """Height and width of training pictures, in pixels; shards of another size are resized."""
    frames: int = 8
    """Frames of a clip in the video stage."""
    depth: Literal["person", "frame"] = "person"
    """Which depth of the shards the depth stream learns."""
    cut: Literal["haop", "hap"] = "haop"
    """Pre-training: outpainting (the paper, sec. 3.3), or plain attributes for the ablation."""
    mirror: float = 0.0
    """Probability of a mirror image."""
    latents: Flag = False
    """Take the VAE's latents that `idol-prep encode` cached in place of pictures."""
    crop_area: tuple[float, float] = (1.0, 1.0)
    """Lowest and highest share of the area that a random crop keeps."""
    max_frame_step: int = 4
    """Frames of a sample are 1 to so many frames of the clip apart, as drawn."""
    window: int = 16
    """Shards shuffled together."""
    cache: str | None = None
    """Folder for whole shards of an object store."""
    cache_limit: int = 100 * 2**30
    """Size of that folder, in bytes."""
    workers: int = 4
    """Processes that decode, for each training process; 0 decodes in the training process."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW and its schedule."""

    steps: int
    """Optimizer steps of the stage."""
    learning_rate: float
    """Highest learning rate, reached after warm-up; it then falls linearly to zero."""
    warm_up: float = 0.1
    """Share of the steps in which the learning rate rises."""
    betas: tuple[float, float] = (0.9, 0.98)
    """AdamW's decay rates."""
    weight_decay: float = 1e-3
    """AdamW's weight decay."""
    clip: float = 1.0
    """Largest norm of the gradient; a larger one is scaled down."""
    foreground_dropout: float = 0.05
    """Share of samples that lose their foreground, for guidance."""
    ema: float = 0.0
    """Decay of the average of weights that is saved in place of the last ones; 0 is none."""
    adam_8bit: Flag = False
    """Keep the optimizer's states in 8 bits (needs bitsandbytes and a GPU)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """How the steps are computed; the batch of a step is all of it together."""

    batch_size: int
    """Clips in a pass of one process. A step has batch_size x accumulation x processes."""
    accumulation: int = 1
    """Passes whose gradients are averaged into one step."""
    seed: int = 0
    """Of the order of clips, every noise, and fresh weights; from 0 to 2^64 - 1."""
    mixed_precision: Literal["no", "fp16", "bf16"] = "no"
    """Precision of activations; weights stay in float32."""
    gradient_checkpointing: Flag = False
    """Recompute layers in backward: less memory, about a third more time."""
    compile: Flag = False
    """Run repeated blocks through torch.compile."""
    fsdp: Flag = False
    """Divide weights, gradients and optimizer states among the processes."""
    cpu: Flag = False
    """Train on the CPU even if there is a GPU."""
    max_skipped: int = 10
    """Stop when more than so many steps in a row had no finite loss or gradient."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """How often what is written, in steps; 0 is never."""

    checkpoint_every: int = 500
    """Steps between checkpoints; the last step always leaves one."""
    keep: int = 2
    """Checkpoints that are kept."""
    validate_every: int | None = None
    """Steps between validations. Unless given: as checkpoints, if there is a val split: of every
    dataset, or of any one in a mixture."""
    validation_clips: int = 16
    """Clips of the val split that a validation takes."""
    sample_every: int = 500
    """Steps between sample pictures."""
    sample_steps: int = 50
    """DDIM steps of a sample picture, at most 1000."""
    guidance: float = 1.5
    """Guidance scale of sample pictures."""
    gradient_norms_every: int = 100
    """Steps between measurements of the consistency losses' gradients at the features."""
    tensorboard: bool = True
    """Write TensorBoard events into the output folder."""
    wandb: Flag = False
    """Log to Weights & Biases, if installed."""
    progress: bool = True
    """Show progress in the terminal."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A stage of training; `defaults.defaults` fills in what a stage and preset have by default.

    Raises:
        TrainError: naming every mistake at once.
    """

    stage: StageName
    """pretrain: single images without depth and pose; image: one frame with both; video: clips."""
    preset: PresetName = "sd14"
    """sd14 is the paper's model; tiny is the same architecture on a laptop."""
    shards: tuple[str, ...]
    """Datasets, split folders or tars, or one mixture (the folder of a mix.json); or s3://..."""
    output: Path
    """Folder of this run; the same command again goes on from its newest checkpoint."""
    init_from: Path | None = None
    """Output of the stage before."""
    base: Path | None = None
    """Folder in diffusers' layout (Stable Diffusion 1.4 or its image variations) to start from."""
    vae: Path | None = None
    """Folder or hub name of the VAE; default: that of --base, then that of --init-from."""
    image_encoder: Path | None = None
    """CLIP vision folder or hub name; default as for --vae."""
    data: tyro.conf.OmitArgPrefixes[DataConfig]
    optimizer: tyro.conf.OmitArgPrefixes[OptimizerConfig]
    run: tyro.conf.OmitArgPrefixes[RunConfig]
    report: tyro.conf.OmitArgPrefixes[ReportConfig]
    loss: LossConfig = dataclasses.field(default_factory=LossConfig)
    model: DualModalUNetConfig = dataclasses.field(default_factory=DualModalUNetConfig)

    def __post_init__(self) -> None:
        raise_if_any(list(mistakes_in(self)), "this run cannot be started")

    @property
    def frames(self) -> int:
        """Frames of a sample: one in the one-frame stages."""
        return self.data.frames if self.stage == "video" else 1

    def global_batch(self, processes: int) -> int:
        """Clips of a step."""
        return self.run.batch_size * self.run.accumulation * processes

    def as_json(self) -> dict[str, Any]:
        """Every setting as plain JSON."""
        return _plain(dataclasses.asdict(self))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
