"""Every setting of a training run, its range beside it."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from idol.config.autoencoder import AutoencoderConfig, latent_factor
from idol.config.checks import (
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    ConfigError,
    Range,
    at_least,
    mistakes_in,
)
from idol.config.distill import DistillConfig
from idol.config.losses import LossConfig
from idol.config.model import (
    CLIP_STAGES,
    IMAGE_ENCODER_HEADS,
    TIMESTEPS,
    DualModalUNetConfig,
    PresetName,
    StageName,
)
from idol.config.patches import channels_of

__all__ = [
    "DataConfig",
    "OptimizerConfig",
    "PretrainedLayers",
    "ReportConfig",
    "RunConfig",
    "TrainConfig",
]

PretrainedLayers = Literal["attention_blocks", "transformer_blocks"]

_FEW = 10  # sample steps, of which leading ones would begin late
_BELOW_1 = Range(0, 1, below_high=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What is taken from the shards."""

    size: Annotated[int, at_least(1, 4096)] = 256
    """Height and width of training images, in pixels; shards of another size are resized."""
    frames: Annotated[int, at_least(1)] = 8
    """Frames of a clip in the video stage."""
    depth: Literal["person", "frame"] = "person"
    """Which depth of the shards the depth stream learns."""
    depth_scores: bool = False
    """Weigh each frame's error of depth by the score, from 0 to 1, that its annotator gave it in
    the clip's json (docs/streaming.md), so that poor depth harms less."""
    cut: Literal["haop", "hap"] = "haop"
    """Pre-training: outpainting (the paper, sec. 3.3), or plain attributes for the ablation."""
    mirror: Annotated[float, FRACTION] = 0.0
    """Probability of a mirror image."""
    latents: bool = False
    """Take the VAE's latents that `idol-prep encode` cached in place of images, or stop."""
    cache_latents: bool = True
    """Let a VAE encode each image once, into a folder of the output, if this run shows it more than
    twice, neither cropped nor mirrored, and its shards have manifests; what the datasets have
    cached is taken."""
    crop_area: Annotated[tuple[float, float], Range(0, 1, above_low=True)] = (1.0, 1.0)
    """Lowest and highest fraction of the area that a random crop keeps."""
    max_frame_step: Annotated[int, at_least(1)] = 4
    """Largest temporal stride of a sample's frames, which is drawn uniformly from 1 on."""
    window: Annotated[int, at_least(1)] = 16
    """Shards shuffled together."""
    cache: str | None = None
    """Folder for whole shards of an object store."""
    cache_limit: Annotated[int, at_least(1, 2**63 - 1)] = 100 * 2**30
    """Size of that folder, in bytes."""
    workers: Annotated[int, at_least(0)] = 4
    """Threads that decode, for each training process; 0 decodes as batches are asked for."""

    @property
    def moves_images(self) -> bool:
        """Whether images may be cropped or mirrored at random."""
        return self.crop_area[0] < 1 or self.mirror > 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW and its schedule."""

    steps: Annotated[int, at_least(1)]
    """Optimizer steps of the stage."""
    learning_rate: Annotated[float, POSITIVE]
    """Highest learning rate, reached after warm-up; it then falls linearly to zero."""
    warm_up: Annotated[float, FRACTION] = 0.1
    """Fraction of the steps in which the learning rate rises."""
    betas: Annotated[tuple[float, float], _BELOW_1] = (0.9, 0.98)
    """AdamW's decay rates."""
    weight_decay: Annotated[float, NOT_NEGATIVE] = 1e-3
    """AdamW's weight decay."""
    clip: Annotated[float, NOT_NEGATIVE] = 1.0
    """Largest norm of the gradient; a larger one is scaled down. 0 is none, as in DisCo's code."""
    foreground_dropout: Annotated[float, FRACTION] = 0.05
    """Fraction of samples that lose their foreground, for guidance."""
    posed_dropout: Annotated[float, FRACTION] = 0.0
    """Fraction of samples whose background shows nobody, of a model with --model.posed-foreground,
    for motions whose joints are not known. Their change is many times that of the others, and
    outweighs it in the loss."""
    pure_noise: Annotated[float, FRACTION] = 0.0
    """Fraction of samples that are denoised from noise alone, as sampling begins, not at a random
    timestep. At the last timestep of Stable Diffusion's schedule .07 of the latents' amplitude
    still shows in the noise, and a model that has learnt to read it there is misled when it samples
    (Lin et al., 2024). 1: for models that are sampled by one step, and no other."""
    dropout_draw: Literal["sample", "batch"] = "sample"
    """Drawn for each sample; or once for all samples of a pass in one process, as in DisCo's code:
    a run then resumes with the same batch size alone."""
    pretrained_layers: PretrainedLayers = "attention_blocks"
    """What pre-training trains of the U-Net: its attention blocks whole, or in them the transformer
    blocks without the norm and the projections around each, as in DisCo's code."""
    ema: Annotated[float, _BELOW_1] = 0.0
    """Decay of the average of weights that is saved in place of the last ones; 0 is none."""
    adam_8bit: bool = False
    """Keep the optimizer's states in 8 bits (needs bitsandbytes and a GPU)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """How the steps are computed; the batch of a step is all of it together."""

    batch_size: Annotated[int | Literal["auto"], at_least(1, 65536)]
    """Clips in a pass of one process. A step has batch_size x accumulation x processes. auto: as
    many of --clips-per-step as the free memory of a GPU takes, and one on a CPU."""
    accumulation: Annotated[int, at_least(1)] = 1
    """Passes whose gradients are averaged into one step."""
    clips_per_step: Annotated[int | None, at_least(1)] = None
    """Clips of a step, from which the accumulation follows; given --accumulation, that decides."""
    seed: Annotated[int, at_least(0, 2**64 - 1)] = 0
    """Of the order of clips, every noise, and fresh weights; from 0 to 2^64 - 1."""
    mixed_precision: Literal["no", "fp16", "bf16"] = "no"
    """Precision of activations; weights stay in float32."""
    tf32: bool = True
    """On NVIDIA GPUs, products of float32 round their operands to TF32's 10 bits: half the time."""
    gradient_checkpointing: bool = False
    """Recompute layers in backward: less memory, about a third more time."""
    compile: bool = False
    """Run repeated blocks through torch.compile."""
    cuda_graphs: bool = True
    """Give a GPU all launches of a pass at once, where one process trains, a pass does not fill its
    memory, and there is no fp16, --compile, --gradient-checkpointing or --fsdp."""
    fsdp: bool = False
    """Divide weights, gradients and optimizer states among the processes."""
    cpu: bool = False
    """Train on the CPU even if there is a GPU."""
    max_skipped: Annotated[int, at_least(0)] = 10
    """Stop when more than so many steps in a row had no finite loss or gradient."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """How often what is written, in steps; 0 is never. Checkpoints are always written and kept."""

    checkpoint_every: Annotated[int, at_least(1)] = 500
    """Steps between checkpoints; the last step always leaves one."""
    keep: Annotated[int, at_least(1)] = 2
    """Checkpoints that are kept."""
    validate_every: Annotated[int | None, at_least(0)] = None
    """Steps between validations. Unless given: as checkpoints, if there is a val split: of every
    dataset, or of any one in a mixture."""
    validation_clips: Annotated[int, at_least(1)] = 16
    """Clips of the val split that a validation takes."""
    sample_every: Annotated[int, at_least(0)] = 500
    """Steps between sample images."""
    sample_steps: Annotated[int, at_least(1, TIMESTEPS)] = 50
    """DDIM steps of a sample image, at most 1000."""
    sample_spacing: Literal["auto", "leading", "trailing"] = "auto"
    """Timesteps of these steps. leading counts up from 1, as Stable Diffusion does (50 steps: 981,
    961, ..., 1), and begins late for few steps and for those that do not divide 1000; trailing
    counts down from 999, for steps that divide 1000. auto: leading; trailing for 1000 steps, and
    for fewer than ten if they can."""
    guidance: Annotated[float, NOT_NEGATIVE] = 1.5
    """Guidance scale of sample images."""
    gradient_norms_every: Annotated[int, at_least(0)] = 100
    """Steps between measurements of the consistency losses' gradients at the features."""
    tensorboard: bool = True
    """Write TensorBoard events into the output folder."""
    wandb: bool = False
    """Log to Weights & Biases, if installed."""
    progress: bool = True
    """Show progress in the terminal."""

    @property
    def spacing(self) -> Literal["leading", "trailing"]:
        """Of sample images' timesteps, with auto decided."""
        if self.sample_spacing == "auto":
            few = self.sample_steps < _FEW and TIMESTEPS % self.sample_steps == 0
            return "trailing" if few or self.sample_steps == TIMESTEPS else "leading"
        return self.sample_spacing


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A stage of training; `idol.config.defaults` fills in what a stage and preset have by default.

    Raises:
        ConfigError: naming every mistake at once.
    """

    stage: StageName
    """pretrain: single images without depth and pose; image: one frame with both; video: clips.
    distill: a student of the last that takes a few steps. autoencoder, before them all or never: a
    codec for --vae."""
    preset: PresetName = "sd14"
    """sd14 is the paper's model; tiny is the same architecture on a laptop."""
    variant: str = "idol"
    """A system of the paper's tables, by its name in docs/variants.md; idol is the paper's own."""
    shards: tuple[str, ...]
    """Datasets, split folders or tars, or one mixture (the folder of a mix.json); or s3://..."""
    output: Path
    """Folder of this run; the same command again resumes from its newest checkpoint."""
    init_from: Path | None = None
    """Output of the stage before; of stage distill the teacher."""
    base: Path | None = None
    """Folder in diffusers' layout to start from: Stable Diffusion 1.4, 1.5, 2.1, or the image
    variations."""
    vae: Path | None = None
    """Folder or hub name of the VAE; default: that of --base, then that of --init-from. Of preset
    tiny, which else takes patches for latents, the model of a run of stage autoencoder."""
    patch: Literal[4, 8] | None = None
    """Pixels of the side of the patches that preset tiny takes for latents; default: those of
    --init-from, else 4. One that has 4 goes on with 8, at twice its size and the same cost."""
    image_encoder: Path | None = None
    """CLIP vision folder or hub name; default as for --vae."""
    motion_adapter: Path | None = None
    """Folder of diffusers' MotionAdapter, from which stage video of variants with AnimateDiff takes
    the motion modules; preset tiny's may start at random."""
    pose_adapter: Path | None = None
    """Folder of diffusers' T2IAdapter for poses, from which stage image of variants with one
    starts; preset tiny's may start at random."""
    data: tyro.conf.OmitArgPrefixes[DataConfig]
    optimizer: tyro.conf.OmitArgPrefixes[OptimizerConfig]
    run: tyro.conf.OmitArgPrefixes[RunConfig]
    report: tyro.conf.OmitArgPrefixes[ReportConfig]
    loss: LossConfig = dataclasses.field(default_factory=LossConfig)
    model: DualModalUNetConfig = dataclasses.field(default_factory=DualModalUNetConfig)
    autoencoder: AutoencoderConfig = dataclasses.field(default_factory=AutoencoderConfig)
    distill: DistillConfig = dataclasses.field(default_factory=DistillConfig)

    def __post_init__(self) -> None:
        parts = (self.data, self.optimizer, self.run, self.report)
        mistakes = [
            f"--{name.replace('_', '-')} {fault}"
            for part in parts
            for name, fault in mistakes_in(part)
        ]
        ConfigError.raise_if_any([*mistakes, *self._contradictions()], "this run cannot be started")

    @property
    def frames(self) -> int:
        """Frames of a sample: one in the one-frame stages."""
        return self.data.frames if self.stage in CLIP_STAGES else 1

    @property
    def pixels_of_latent(self) -> int:
        """Pixels of an image's side for one of its latent's."""
        return latent_factor(self.preset, self.vae, self.model.latent_channels)

    @property
    def clips_in_pass(self) -> int:
        """Clips in a pass of one process; 1 where that is still to be decided."""
        return 1 if self.run.batch_size == "auto" else self.run.batch_size

    def global_batch(self, processes: int) -> int:
        """Clips of a step."""
        together = self.clips_in_pass * self.run.accumulation * processes
        return self.run.clips_per_step or together

    def as_json(self) -> dict[str, Any]:
        """Every setting as plain JSON."""
        return _plain(dataclasses.asdict(self))

    def _contradictions(self) -> Iterator[str]:
        data, run = self.data, self.run
        if not self.shards:
            yield "--shards names no dataset"
        if data.crop_area[0] > data.crop_area[1]:
            yield f"--crop-area must rise, not {data.crop_area[0]} {data.crop_area[1]}"
        if self.patch and (self.preset != "tiny" or self.vae):
            yield "--patch is of preset tiny without --vae: leave it out"
        elif self.patch and (wanted := channels_of(self.patch)) != self.model.latent_channels:
            yield f"--patch {self.patch} makes latents of {wanted} channels: leave out --model's"
        if data.latents and self.preset == "tiny" and self.vae is None:
            yield "--latents are of a VAE, and preset tiny has none without --vae: leave it out"
        if data.latents and self.model.streams == "joint":
            yield "--latents are of colours alone, and variant ldm3d's hold depth: leave it out"
        if data.latents and self.model.background_hole != "grey":
            yield (
                "--latents are of backgrounds with a grey hole, and the model takes filled ones: "
                "leave them out, or --model.background-hole"
            )
        if data.latents and self.model.posed_foreground:
            yield "--latents have no posed foreground: leave them out, or --model.posed-foreground"
        if data.depth == "frame" and self.model.posed_depth:
            yield "--model.posed-depth is of a person's depth: leave it out, or --depth frame"
        if data.depth_scores and self.model.streams in ("joint", "video"):
            yield f"--depth-scores weighs a stream that variant {self.variant} has not"
        if self.stage == "autoencoder":
            yield from self._autoencoder_contradictions()
        if data.latents and data.moves_images:
            yield "--latents are of whole images: leave them out, or --crop-area and --mirror"
        if data.size % (divisor := self._divisor()):
            codec = f" with --vae {self.vae}" if self.vae else ""
            yield f"--size must be a multiple of {divisor}{codec}, not {data.size}"
        if data.latents and self.model.pose_control == "t2i_adapter":
            yield "--latents hold no images of poses, and a T2I-Adapter sees these: leave it out"
        if self.preset == "tiny" and self.model.foreground_dim % IMAGE_ENCODER_HEADS:
            yield (
                f"--model.foreground-dim must be a multiple of {IMAGE_ENCODER_HEADS} with preset "
                f"tiny, not {self.model.foreground_dim}"
            )
        longest = self.model.motion_frames
        if self.model.temporal_modules == "animatediff" and data.frames > longest:
            yield f"--frames must be at most {longest}, which the motion modules know"
        if self.stage in CLIP_STAGES and data.frames < 2:
            yield f"--frames must be at least 2 in stage {self.stage}"
        fresh = self.preset == "tiny" and not self.init_from
        part = self.optimizer.pretrained_layers != "attention_blocks"
        if self.stage == "pretrain" and part and fresh:
            yield (
                "--pretrained-layers transformer_blocks trains nothing of fresh weights, whose "
                "transformers' last projections are zero: start from --init-from"
            )
        if not self.model.temporal_layers:
            yield "--model.temporal-layers follows from the stage: leave it on"
        steps, spacing = self.report.sample_steps, self.report.sample_spacing
        if self.stage == "distill" and steps > self.distill.solver_steps:
            most = self.distill.solver_steps
            yield f"--sample-steps must be at most --distill.solver-steps, {most}, not {steps}"
        if spacing == "leading" and steps == TIMESTEPS:
            yield f"--sample-steps {steps} do not fit --sample-spacing leading: use trailing"
        if spacing == "trailing" and 1 <= steps <= TIMESTEPS and TIMESTEPS % steps:
            yield (
                f"--sample-spacing trailing needs --sample-steps that divide {TIMESTEPS}, not "
                f"{steps}: {' or '.join(map(str, _dividing(steps)))}"
            )
        if run.clips_per_step and run.accumulation > 1:
            yield "--clips-per-step says what --accumulation is: leave one of them out"
        if run.batch_size == "auto" and not run.clips_per_step:
            yield "--batch-size auto divides the clips of a step: give --clips-per-step as well"
        if run.fsdp and run.mixed_precision == "fp16":
            yield "--fsdp and --mixed-precision fp16 do not work together: use bf16"
        if run.cpu and run.mixed_precision == "fp16":
            yield "--mixed-precision fp16 needs a GPU: use bf16 or no with --cpu"
        if run.cpu and self.optimizer.adam_8bit:
            yield "--adam-8bit needs a GPU: leave it out with --cpu"
        if run.fsdp and self.optimizer.adam_8bit:
            yield "--fsdp divides the optimizer's states already: leave out --adam-8bit"

    def _autoencoder_contradictions(self) -> Iterator[str]:
        data, run, crop = self.data, self.run, self.autoencoder.crop
        if crop < data.size and crop % (factor := self._divisor()):
            yield f"--autoencoder.crop must be a multiple of {factor}, not {crop}"
        if data.latents:
            yield "--latents are what stage autoencoder makes possible: leave it out"
        if run.fsdp or run.compile or run.gradient_checkpointing:
            yield (
                "--fsdp, --compile and --gradient-checkpointing are of the denoiser: leave them "
                "out in stage autoencoder"
            )

    def _divisor(self) -> int:
        # Pixels of a latent, halved between the levels of the U-Net.
        if self.stage == "autoencoder":
            return 8 if self.base else self.autoencoder.patch
        return self.pixels_of_latent * 2 ** (len(self.model.block_out_channels) - 1)


def _dividing(steps: int) -> list[int]:
    """The numbers of steps nearest to these that divide a model's timesteps."""
    numbers = [n for n in range(1, TIMESTEPS + 1) if TIMESTEPS % n == 0]
    return [max(n for n in numbers if n < steps), min(n for n in numbers if n > steps)]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
