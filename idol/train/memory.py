"""What a run keeps in a GPU's memory, computed, and what to change when it is too much."""

import dataclasses
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from idol.config.autoencoder import factor_of
from idol.config.checks import ConfigError
from idol.config.model import CLIP_STAGES, StageName
from idol.config.train import TrainConfig
from idol.encoders import foreground_tokens
from idol.encoders.autoencoder import Reconstruction, autoencoder_to_train
from idol.errors import first_line
from idol.model import DualModalDenoiser
from idol.model.cost import build, example_inputs
from idol.train.activations import kept_for_backward
from idol.train.stopping import TrainError
from idol.variants import denoiser_class
from shards.inspect.console import human_bytes

__all__ = ["Estimate", "estimate", "out_of_memory"]

# Stable Diffusion's VAE and CLIP ViT-L/14, counted. Preset tiny has no CLIP; a codec that it was
# given, of .9 million parameters, is passed over.
_VAE_PARAMETERS, _CLIP_PARAMETERS = 83_653_863, 303_966_208

# What the options for the same batch do not change; of clips their number of frames as well.
_SMALLER_IMAGES = "A smaller --size takes"
_SMALLER: dict[StageName, str] = {
    "autoencoder": "A smaller --autoencoder.crop takes",
    **dict.fromkeys(CLIP_STAGES, "A smaller --size or fewer --frames take"),
}

# Autocast leaves norms and losses in float32: a third of the bytes is saved, as measured on runs
# of all stages, and not half.
_AUTOCAST_FRACTION = 2 / 3


@dataclass(frozen=True)
class Estimate:
    """Bytes in one process, computed from shapes; what the allocator wastes is not in it.

    Runs of `sd14` on an H100 took 1.01 to 1.08 times as much (torch 2.11, every stage of the
    denoiser, float32 and bf16 with and without checkpointing; `docs/training.md`). That of stage
    autoencoder is without its loss, whose tensors are as large as pictures: a pass of the small one
    took 1.4 times its activations, on a CPU.
    """

    weights: int
    gradients: int
    optimizer: int
    average: int
    activations: int
    gradients_stay: bool

    @property
    def parts(self) -> dict[str, int]:
        """Every part by its name."""
        return {k: v for k, v in dataclasses.asdict(self).items() if k != "gradients_stay"}

    @property
    def total(self) -> int:
        """All at once; unless gradients stay, they come as activations go."""
        if self.gradients_stay:
            return sum(self.parts.values())
        lasting = self.weights + self.optimizer + self.average
        return lasting + max(self.gradients, self.activations)


def estimate(config: TrainConfig, processes: int = 1) -> Estimate:
    """What a run keeps until backward; nothing is allocated for this."""
    run = config.run
    model = _model(config)
    counts = [p.numel() for p in model.parameters()]
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    shared = processes if run.fsdp else 1
    half = run.mixed_precision != "no"
    for_a_clip, of_weights = _kept_of_one_clip(_of_one_clip(config))
    activations = config.clips_in_pass * for_a_clip
    if half:  # the layers keep copies of their weights then
        activations = int(_AUTOCAST_FRACTION * activations) + of_weights // 2
    frozen = _frozen_parameters(config) * (2 if half else 4)
    if config.stage == "distill":
        frozen += 4 * sum(counts)  # the teacher, whole in each process
    return Estimate(
        weights=4 * sum(counts) // shared + frozen,
        gradients=4 * trained // shared,
        optimizer=(2 if config.optimizer.adam_8bit else 8) * trained // shared,
        average=4 * trained // shared if config.optimizer.ema else 0,
        activations=activations,
        # Through the passes of a step, and in the buckets that processes exchange them in.
        gradients_stay=run.accumulation > 1 or (processes > 1 and not run.fsdp),
    )


def out_of_memory(config: TrainConfig, processes: int, error: BaseException) -> TrainError:
    """An error that says what the run takes, and what each way to take less would come to."""
    now = estimate(config, processes)
    lines = [f"  {name}: {human_bytes(size)}" for name, size in now.parts.items()]
    ways = [
        f"  {human_bytes(estimate(changed, processes).total):>9}  {option}"
        for option, changed in _smaller(config, processes).items()
    ]
    return TrainError(
        f"out of memory ({first_line(error)}). Computed for this run, in each process:\n"
        + "\n".join(lines)
        + f"\n  together: {human_bytes(now.total)}, and what the allocator needs beside it\n"
        + ("It would come to:\n" + "\n".join(ways) if ways else "Every way to take less is on.")
        + f"\n{_SMALLER.get(config.stage, _SMALLER_IMAGES)} less, too."
    )


def _smaller(config: TrainConfig, processes: int) -> dict[str, TrainConfig]:
    """Ways to take less memory for the same batch of a step, by their options.

    What contradicts the other settings, or the stage, is no way.
    """
    run = config.run
    changes: dict[str, dict[str, dict[str, Any]]] = {}
    if config.clips_in_pass % 2 == 0:
        halves = {"batch_size": config.clips_in_pass // 2, "accumulation": run.accumulation * 2}
        option = f"--batch-size {halves['batch_size']} --accumulation {halves['accumulation']}"
        changes[option] = {"run": halves}
    if not run.gradient_checkpointing:
        changes["--gradient-checkpointing"] = {"run": {"gradient_checkpointing": True}}
    if run.mixed_precision == "no":
        changes["--mixed-precision bf16"] = {"run": {"mixed_precision": "bf16"}}
    if processes > 1 and not run.fsdp:
        changes["--fsdp"] = {"run": {"fsdp": True}}
    if not config.optimizer.adam_8bit:
        changes["--adam-8bit"] = {"optimizer": {"adam_8bit": True}}
    if config.preset == "sd14" and config.stage != "pretrain" and not config.data.latents:
        cached: dict[str, dict[str, Any]]
        cached = {"data": {"latents": True}, "report": {"sample_every": 0}}
        changes["--latents --sample-every 0, after `idol-prep encode`"] = cached
    ways = {}
    for option, parts in changes.items():
        with suppress(ConfigError):
            ways[option] = dataclasses.replace(
                config,
                **{
                    part: dataclasses.replace(getattr(config, part), **settings)
                    for part, settings in parts.items()
                },
            )
    return ways


def _frozen_parameters(config: TrainConfig) -> int:
    if config.preset == "tiny" or config.stage == "autoencoder":
        return 0
    # With cached latents the VAE is loaded for sample images, or for the holes of pre-training.
    needed = not config.data.latents or config.report.sample_every or config.stage == "pretrain"
    return _CLIP_PARAMETERS + (_VAE_PARAMETERS if needed else 0)


def _of_one_clip(config: TrainConfig) -> TrainConfig:
    return dataclasses.replace(
        config,
        run=dataclasses.replace(config.run, batch_size=1, accumulation=1, clips_per_step=None),
    )


@lru_cache(maxsize=8)
def _kept_of_one_clip(config: TrainConfig) -> tuple[int, int]:
    """Bytes in float32 that one clip's forward pass keeps, and of the weights it refers to."""
    model = _model(config)
    if isinstance(model, Reconstruction):
        sizes = model.network.config
        side = min(config.autoencoder.crop, config.data.size)
        latent = side // factor_of(sizes)
        pixels = torch.empty(1, sizes["in_channels"], side, side, device="meta")
        noise = torch.empty(1, sizes["latent_channels"], latent, latent, device="meta")
        return kept_for_backward(model, lambda: model(pixels, noise))
    if config.run.gradient_checkpointing:
        model.enable_gradient_checkpointing()
    inputs = example_inputs(
        config.model,
        config.stage,
        frames=config.frames,
        size=config.data.size // config.pixels_of_latent,
        tokens=foreground_tokens(config.preset, config.model),
        device="meta",
    )
    features = config.stage not in ("pretrain", "distill") and config.loss.compares
    return kept_for_backward(model, lambda: model(**inputs, return_features=features))


def _model(config: TrainConfig) -> DualModalDenoiser | Reconstruction:
    """What the stage trains, on the meta device."""
    if config.stage != "autoencoder":
        kind = denoiser_class(config.variant, config.stage)
        return build(config.model, config.stage, "meta", kind)
    with torch.device("meta"):
        return Reconstruction(autoencoder_to_train(config.autoencoder, config.base))
