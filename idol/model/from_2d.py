"""The weights of a 2D model in diffusers' layout, which the paper's model starts from."""

import logging
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from idol.config.base import read_base
from idol.config.model import DualModalUNetConfig
from idol.model.denoiser import DualModalDenoiser, is_temporal
from idol.model.saving import CheckpointError, raise_if_different
from idol.model.unet import DualModalUNet

__all__ = ["from_pretrained_2d", "is_new", "load_2d_weights", "read_weights"]

logger = logging.getLogger(__name__)

_NEW_IN_UNET = (
    *(".modality_embed.", ".background_conv.", ".matte_conv.", ".posed_depth_conv."),
    *(".cross_modal.", ".cross_modal_layers."),
)


def from_pretrained_2d(
    folder: str | PathLike[str],
    *,
    image_encoder: str | PathLike[str] | None = None,
    **switches: Any,
) -> DualModalDenoiser:
    """Build a dual-modal model on the weights of a 2D diffusion model (sec. 3.1).

    A clip of any length then starts as independent frames of the 2D model: what is new starts as
    the identity or zero, the background convolution as `background_init` says, the ControlNet as
    a copy of the encoder, the foreground projection as CLIP's `visual_projection`.

    Args:
        folder: in diffusers' format, with `unet/`, such as a copy of Stable Diffusion 1.4, 1.5 or
            2.1, or of sd-image-variations.
        image_encoder: a CLIP vision model's folder; default `folder/image_encoder` if it exists.
            Without one (Stable Diffusion 1.4) the foreground projection starts at random.
        switches: settings of `DualModalUNetConfig`; the sizes come from the folder.

    Raises:
        FileNotFoundError: a file is missing; the message names it.
        ConfigError: the folder holds another architecture, or a switch is invalid.
        CheckpointError: its weights are not exactly those of the 2D model.
    """
    folder = Path(folder)
    encoder_folder = Path(image_encoder) if image_encoder else folder / "image_encoder"
    projection = None
    if image_encoder or encoder_folder.is_dir():
        projection = _visual_projection(encoder_folder)
        switches.setdefault("foreground_dim", projection.shape[1])
    settings = DualModalUNetConfig.from_dict({**read_base(folder), **switches})
    denoiser = DualModalDenoiser.from_config(settings)
    load_2d_weights(denoiser.unet, read_weights(folder / "unet", "diffusion_pytorch_model"))
    denoiser.copy_encoder_to_controlnet()
    if projection is None:
        logger.info("no image encoder in %s: the foreground projection starts at random", folder)
        return denoiser
    weight = denoiser.foreground_projection.linear.weight
    if weight.shape != projection.shape:
        raise CheckpointError(
            f"visual_projection in {encoder_folder} is {tuple(projection.shape)}, and the model "
            f"needs {tuple(weight.shape)} (cross_attention_dim, foreground_dim)"
        )
    weight.data.copy_(projection)
    return denoiser


def load_2d_weights(unet: DualModalUNet, weights: Mapping[str, Tensor]) -> None:
    """Copy a `UNet2DConditionModel`'s state dict into `unet`; what is new stays as made.

    Raises:
        CheckpointError: a 2D parameter is missing, or one is left over.
    """
    result = unet.load_state_dict(weights, strict=False)
    missing = [key for key in result.missing_keys if not is_new(key)]
    raise_if_different(
        "DualModalUNet", "the 2D U-Net", missing=missing, extra=result.unexpected_keys
    )
    unet.reset_background_conv()


def read_weights(folder: Path, stem: str) -> dict[str, Tensor]:
    """Read `{stem}.safetensors` or `{stem}.bin` in `folder`, on the CPU; no pickled code runs.

    Raises:
        FileNotFoundError: neither file is there.
    """
    safe, legacy = folder / f"{stem}.safetensors", folder / f"{stem}.bin"
    half = folder / f"{stem}.fp16.safetensors"
    for path in (safe, half):
        if path.is_file() and (path is safe or not legacy.is_file()):
            from safetensors.torch import load_file

            return load_file(path)
    if legacy.is_file():
        return torch.load(legacy, map_location="cpu", weights_only=True)
    raise FileNotFoundError(f"no weights in {folder}: expected {safe.name} or {legacy.name}")


def is_new(key: str) -> bool:
    """Whether a parameter of the U-Net, by its name in it, is none of the 2D model's."""
    return is_temporal(key) or any(part in f".{key}" for part in _NEW_IN_UNET)


def _visual_projection(folder: Path) -> Tensor:
    stem = "model" if (folder / "model.safetensors").is_file() else "pytorch_model"
    weights = read_weights(folder, stem)
    if "visual_projection.weight" not in weights:
        raise CheckpointError(
            f"{folder} has no visual_projection.weight: it must hold a CLIP vision model with "
            "projection (CLIPVisionModelWithProjection or CLIPModel)"
        )
    return weights["visual_projection.weight"]
