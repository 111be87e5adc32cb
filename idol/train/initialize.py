"""What a run starts from: fresh weights, a 2D model, the stage before, or its own checkpoint."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from idol.config.base import read_base
from idol.config.model import DualModalUNetConfig, StageName
from idol.config.train import TrainConfig
from idol.encoders import TinyEncoder
from idol.encoders.joint import JOINT_CHANNELS
from idol.encoders.vae_identity import identify_vae, is_vae, sizes_of
from idol.model import DualModalDenoiser, from_pretrained_2d, set_trainable, stage_config
from idol.model.initial_weights import start_from_nothing, widened, with_settings
from idol.model_info import ModelInfo, find_model, read_info
from idol.saved import Trained, frozen_parts, load_tiny, take_average
from idol.tensors import into_memory
from idol.train.stopping import TrainError
from idol.variants import denoiser_class, variant_called
from idol.variants.ldm3d import holds_depth

__all__ = ["build", "check_sources", "resumed", "teacher_of", "with_sources"]

_COMES_AFTER: dict[StageName, tuple[StageName, ...]] = {
    "pretrain": ("pretrain",),
    "image": ("pretrain", "image"),
    "video": ("image", "video"),
    "distill": ("video",),
    "autoencoder": (),
}
_LAYERS = "pretrained_layers"
_JOINT_CODEC = (
    "variant ldm3d takes a VAE of colour and depth, which idol-train --stage autoencoder "
    "--autoencoder.depth makes, and the other variants one of colours"
)
_SIZES = (
    "latent_channels",
    "block_out_channels",
    "attention_levels",
    "layers_per_block",
    "attention_heads",
    "head_channels",
    "linear_projection",
    "norm_groups",
    "cross_attention_dim",
    "foreground_dim",
    "foreground_patch",
    "foreground_depth",
)


def with_sources(config: TrainConfig) -> TrainConfig:
    """The same with the model's folder for --init-from, and the frozen networks it will take.

    They are its own --vae and --image-encoder, else those of --base, else those of --init-from.

    Raises:
        NotAModelError: --init-from holds no model.
    """
    before = find_model(config.init_from) if config.init_from else None
    config = dataclasses.replace(config, init_from=before)
    if config.preset == "tiny":
        own = before and _beside(before)
        recorded = read_info(before).vae if before else None
        return dataclasses.replace(
            config, vae=config.vae or own or (Path(recorded) if recorded else None)
        )
    info = read_info(before) if before else None
    found: dict[str, Path | None] = {}
    for name in ("vae", "image_encoder"):
        places = [getattr(config, name)]
        places += [root / name for root in (config.base, before) if root and (root / name).is_dir()]
        recorded = getattr(info, name) if info else None
        places += [Path(recorded)] if recorded else []
        found[name] = next((place for place in places if place), None)
    return dataclasses.replace(config, vae=found["vae"], image_encoder=found["image_encoder"])


def resumed(config: TrainConfig, saved: Mapping[str, Any]) -> TrainConfig:
    """The same for a run that has a checkpoint: weights are there, frozen networks as before.

    Raises NotAModelError where the teacher of stage distill is gone.
    """
    frozen = {
        name: getattr(config, name) or (Path(saved[name]) if saved.get(name) else None)
        for name in ("vae", "image_encoder")
    }
    teacher = None
    if config.stage == "distill":  # which goes on teaching
        teacher = find_model(config.init_from or saved["init_from"])
    return dataclasses.replace(
        config,
        init_from=teacher,
        base=None,
        vae=frozen["vae"],
        image_encoder=frozen["image_encoder"],
    )


def check_sources(config: TrainConfig, *, resuming: bool = False) -> None:
    """Check that there is all that the weights start from; `with_sources` comes first.

    Args:
        resuming: a checkpoint has the weights.

    Raises:
        TrainError: naming every mistake.
        NotAModelError, ConfigError: --init-from holds no model, or a damaged one.
    """
    mistakes = variant_called(config.variant).mistakes(config, config.variant)
    if config.base and not (config.base / "unet" / "config.json").is_file():
        mistakes.append(f"--base {config.base} has no unet/config.json: give diffusers' layout")
    elif config.base and config.model.prediction != (base := read_base(config.base))["prediction"]:
        mistakes.append(
            f"--base {config.base} predicts {'the ' * (base['prediction'] == 'noise')}"
            f"{base['prediction']}: leave out --model.prediction "
            f"{config.model.prediction}"
        )
    if config.base and config.preset == "tiny":
        mistakes.append("--base is for preset sd14; tiny starts from fresh weights")
    if config.preset == "tiny" and config.image_encoder:
        mistakes.append("--image-encoder is for preset sd14: tiny has its own")
    if config.preset == "tiny" and config.vae and not is_vae(config.vae):
        mistakes.append(
            f"--vae {config.vae} holds no autoencoder: give the model/ of a run of stage "
            "autoencoder, or leave it out for patches"
        )
    mistakes += _codec_mistakes(config)
    if config.base and config.init_from:
        mistakes.append(
            "--base and --init-from both give weights: leave out --base, and name its VAE and "
            "image encoder by --vae and --image-encoder where --init-from has not"
        )
    if config.preset == "sd14":
        for name, what in (("vae", "VAE"), ("image_encoder", "CLIP image encoder")):
            if getattr(config, name) is None:
                option = "--" + name.replace("_", "-")
                mistakes.append(f"no {what} is known: give {option}, or a --base that has one")
    if not resuming:
        mistakes += _adapter_mistakes(config)
    if config.stage == "distill" and not config.init_from:
        mistakes.append(
            "stage distill starts from --init-from, the output of stage video: a teacher"
        )
    elif resuming:
        pass
    elif config.init_from:
        mistakes += _stage_mistakes(config, read_info(config.init_from))
    elif config.preset == "sd14" and not config.base:
        mistakes.append("preset sd14 starts from --base, or from --init-from, the stage before")
    elif config.preset == "sd14" and config.stage == "video":
        mistakes.append("stage video starts from --init-from, the output of stage image")
    TrainError.raise_if_any(mistakes, "no valid initial weights")


def build(config: TrainConfig, checkpoint: Path | None = None) -> Trained:
    """Build the model of the stage, its trained parameters marked by `requires_grad`.

    Args:
        checkpoint: of this very run, to resume from.

    Raises:
        CheckpointError, ConfigError, OSError: weights do not fit, or are not there.
        NotAModelError: a checkpoint is of another version.
    """
    torch.manual_seed(config.run.seed)
    encoder, codec = frozen_parts(
        config.preset,
        vae=config.vae,
        image_encoder=config.image_encoder,
        settings=config.model,
        lazily=config.data.latents,
    )
    wanted = stage_config(config.model, config.stage)
    kind = denoiser_class(config.variant, config.stage)
    folder = checkpoint / "model" if checkpoint else None
    if folder is not None:
        read_info(folder)  # refuses what an older version wrote
        denoiser = kind.from_pretrained(folder)
    elif config.init_from:
        folder = config.init_from
        denoiser = _continued(config, folder, kind)
    elif config.base:
        switches = {key: value for key, value in wanted.to_dict().items() if key not in _SIZES}
        unified = from_pretrained_2d(config.base, image_encoder=config.image_encoder, **switches)
        denoiser = kind.from_unified(unified)
    else:
        unified = DualModalDenoiser.from_config(wanted)
        start_from_nothing(unified)
        denoiser = kind.from_unified(unified)
    _check_settings(denoiser.settings, wanted)
    if checkpoint is None:
        for option, adapter in variant_called(config.variant).adapters.items():
            if path := getattr(config, option):
                adapter.load(denoiser, path)
    if (config.model.streams == "joint") != holds_depth(codec):
        raise TrainError(f"--vae {config.vae}: {_JOINT_CODEC}")
    if folder is not None and config.preset == "tiny":
        load_tiny(encoder, folder)  # type: ignore[arg-type]
        if checkpoint is None:
            take_average(folder, image_encoder=encoder)  # type: ignore[arg-type]
    into_memory(denoiser)
    set_trainable(denoiser, config.stage, config.optimizer.pretrained_layers)
    if config.stage == "distill" and isinstance(encoder, TinyEncoder):
        encoder.requires_grad_(False)  # so that teacher and student are given the same
    return Trained(denoiser, encoder, codec)


def teacher_of(config: TrainConfig) -> DualModalDenoiser:
    """Of stage distill the model at --init-from, frozen. Raises as `build`."""
    assert config.init_from is not None
    info = read_info(config.init_from)
    teacher = denoiser_class(info.variant, info.stage).from_pretrained(config.init_from)
    take_average(config.init_from, denoiser=teacher)
    return teacher.float().requires_grad_(False).eval()


# Settings that a model may go on with otherwise than it began.
_CHANGED_ON_THE_WAY = (
    "background_hole",
    "posed_foreground",
    "posed_spread",
    "posed_depth",
    "posed_depth_spread",
)


def _continued(
    config: TrainConfig, folder: Path, kind: type[DualModalDenoiser]
) -> DualModalDenoiser:
    before = read_info(folder)
    denoiser = denoiser_class(before.variant, before.stage).from_pretrained(folder)
    take_average(folder, denoiser=denoiser)
    if config.patch and denoiser.settings.latent_channels < config.model.latent_channels:
        denoiser = widened(denoiser, config.model)
    changes: dict[str, Any] = {name: getattr(config.model, name) for name in _CHANGED_ON_THE_WAY}
    changes["matte"] = config.model.matte or denoiser.settings.matte
    if before.stage in ("pretrain", "video"):
        changes |= _of_another_variant(config, before.variant)
    denoiser = with_settings(denoiser, dataclasses.replace(denoiser.settings, **changes))
    if config.stage == "video" and before.stage == "image":
        return denoiser.with_temporal_layers(config.model)
    if config.stage == "image" and before.stage == "pretrain":
        # Pre-training moved the U-Net alone, and the ControlNet starts as a copy of it.
        denoiser.copy_encoder_to_controlnet()
        return kind.from_unified(denoiser)
    return denoiser


def _codec_mistakes(config: TrainConfig) -> list[str]:
    """What does not fit the autoencoder at --vae; of a hub name nothing is known yet."""
    if config.vae is None or not is_vae(config.vae):
        joint = config.model.streams == "joint" and config.vae is None and config.preset == "tiny"
        return ["variant ldm3d needs --vae: " + _JOINT_CODEC] if joint else []
    mistakes, wanted = [], config.model.latent_channels
    pictures, latents = sizes_of(config.vae)
    if latents != wanted:
        mistakes.append(
            f"--vae {config.vae} has latents of {latents} channels, and --model.latent-channels is "
            f"{wanted}: leave that out, here and in --config"
        )
    if (config.model.streams == "joint") != (pictures == JOINT_CHANNELS):
        mistakes.append(f"--vae {config.vae}: {_JOINT_CODEC}")
    if config.model.matte:
        mistakes.append(
            f"a matte is of patches of pixels: leave out --model.matte, or --vae {config.vae}"
        )
    if config.model.prediction == "change" and _is_of_another_codec(config):
        mistakes.append(
            f"--vae {config.vae} is another autoencoder than that of --init-from "
            f"{config.init_from}, whose latents it learnt: leave it out"
        )
    return mistakes


def _is_of_another_codec(config: TrainConfig) -> bool:
    """Whether --init-from learnt other latents, as far as folders tell."""
    if config.init_from is None or config.vae is None or not is_vae(config.vae):
        return False
    recorded = read_info(config.init_from).vae
    theirs = _beside(config.init_from) or (recorded and Path(recorded))
    if not theirs:
        return config.preset == "tiny"  # it learnt patches
    return is_vae(theirs) and identify_vae(theirs) != identify_vae(config.vae)


def _beside(model: Path) -> Path | None:
    """The autoencoder in a model's own folder."""
    return model / "vae" if is_vae(model / "vae") else None


def _adapter_mistakes(config: TrainConfig) -> list[str]:
    """Folders of others' weights that are lacking, or that the stage before has taken already."""
    mistakes = []
    again = config.init_from and read_info(config.init_from).stage == config.stage
    for option, adapter in variant_called(config.variant).adapters.items():
        flag, given = "--" + option.replace("_", "-"), getattr(config, option)
        if again and given:
            mistakes.append(f"--init-from {config.init_from} has taken its {flag}: leave it out")
        if config.preset == "sd14" and config.stage == adapter.stage and not (again or given):
            mistakes.append(f"--variant {config.variant} needs {flag} in stage {config.stage}")
    return mistakes


def _of_another_variant(config: TrainConfig, before: str) -> dict[str, Any]:
    """The settings that this variant has otherwise than the one before.

    Pre-training trains the 2D model, the same in all variants: it serves them all. A video model
    serves those that have its weights.
    """
    wanted = stage_config(config.model, config.stage)
    keys = {*variant_called(before).model, *variant_called(config.variant).model}
    if "pose_control" in keys:  # an adapter's alone, by the codec
        keys.add("pose_downscale")
    return {key: getattr(wanted, key) for key in keys}


def _stage_mistakes(config: TrainConfig, before: ModelInfo) -> list[str]:
    mistakes = []
    if config.patch and before.settings.latent_channels > config.model.latent_channels:
        mistakes.append(
            f"--init-from {config.init_from} has larger patches than --patch {config.patch}, and "
            "a model goes on with its own or larger ones: leave that out"
        )
    hole = before.settings.background_hole
    if config.stage == "distill" and hole != config.model.background_hole:
        mistakes.append(
            f"--init-from {config.init_from} teaches what it makes of {hole} holes: leave out "
            "--model.background-hole"
        )
    posed = before.settings.posed_foreground
    if config.stage == "distill" and posed != config.model.posed_foreground:
        mistakes.append(
            f"--init-from {config.init_from} teaches what it makes of a background with"
            f"{'' if posed else 'out'} a posed foreground: leave out --model.posed-foreground"
        )
    shown = before.settings.posed_depth
    if config.stage == "distill" and shown != config.model.posed_depth:
        mistakes.append(
            f"--init-from {config.init_from} teaches what it makes with{'' if shown else 'out'} "
            "the depth of a posed foreground: leave out --model.posed-depth"
        )
    for name in ("posed_spread", "posed_depth_spread"):
        units = getattr(before.settings, name)
        if config.stage == "distill" and units != getattr(config.model, name):
            mistakes.append(
                f"--init-from {config.init_from} teaches in units of {units:g}: leave out "
                f"--model.{name.replace('_', '-')}"
            )
    if before.preset != config.preset:
        mistakes.append(f"--init-from {config.init_from} is of preset {before.preset}")
    if before.stage not in _COMES_AFTER[config.stage]:
        after = " or ".join(_COMES_AFTER[config.stage])
        mistakes.append(
            f"--init-from {config.init_from} was trained in stage {before.stage}; stage "
            f"{config.stage} starts from {after}, whose weights it needs"
        )
    elif before.stage == "pretrain":
        ours, theirs = (variant_called(v.variant) for v in (config, before))
        wanted, found = ours.pretraining, theirs.pretraining
        same_layers = ours.optimizer.get(_LAYERS) == theirs.optimizer.get(_LAYERS)
        if wanted == "none" and config.stage == "image":
            mistakes.append(
                f"--variant {config.variant} has no pre-training: leave out --init-from"
            )
        elif found != wanted:
            mistakes.append(
                f"--init-from {config.init_from} was pre-trained by {found.upper()}, and --variant "
                f"{config.variant} starts from {wanted.upper()}"
            )
        elif config.stage != "pretrain" and not same_layers:
            mistakes.append(
                f"--init-from {config.init_from} was pre-trained as variant {before.variant}, "
                f"which trains other layers: pre-train with --variant {config.variant}"
            )
    elif before.variant != config.variant and not _goes_on(before, config):
        mistakes.append(
            f"--init-from {config.init_from} is of variant {before.variant}: give --variant "
            f"{before.variant}, or start from an output of variant {config.variant}"
        )
    return mistakes


def _goes_on(before: ModelInfo, config: TrainConfig) -> bool:
    """Whether what another variant made is what this one would have, or may be given to it."""
    ours, theirs = (variant_called(v.variant) for v in (config, before))
    if before.stage == "image":
        return ours.trains_images_as(theirs)
    # Trained on it becomes ours; a student, which learns from it alone, would stay theirs.
    return before.stage == config.stage == "video" and ours.has_the_weights_of(theirs)


def _check_settings(found: DualModalUNetConfig, wanted: DualModalUNetConfig) -> None:
    saved, given = found.to_dict(), wanted.to_dict()
    differing = [key for key in given if saved[key] != given[key]]
    if differing:
        raise TrainError(
            "the initial weights are of another model:\n"
            + "\n".join(f"  {key}: saved {saved[key]}, given {given[key]}" for key in differing)
            + "\nGive the same --model settings."
        )
