"""Initial weights: fresh ones, or those of a 2D model in diffusers' layout."""

import logging
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from idol.config.base import read_base
from idol.config.model import DualModalUNetConfig
from idol.model.attention import zero_
from idol.model.denoiser import DualModalDenoiser, is_temporal
from idol.model.saving import CheckpointError, raise_if_different
from idol.model.unet import DualModalUNet

__all__ = [
    "from_pretrained_2d",
    "load_2d_weights",
    "read_weights",
    "start_from_nothing",
    "with_settings",
]

# Coarser levels add little at first, but not nothing: pre-training, which does not train the
# convolutions between the levels, reaches their attention through them.
_FROM_BELOW = 0.1

# Around here SiLU is nearly straight for normalised values.
_STRAIGHT = 2.0


def start_from_nothing(denoiser: DualModalDenoiser) -> None:
    """Change fresh weights so that the model learns, and can be sampled from, in a few minutes.

    Noise is told from an image value by value, and a deep network with random weights takes
    thousands of steps to let every value of its input through. So ResBlocks and transformers start
    as their shortcuts, the first channels of the finest level carry the values, and the last norm
    shifts these to where SiLU bends them little. The last convolution starts as giving the input,
    normalised; channels beyond carry features as drawn. Where the change is predicted, it starts
    as giving nearly none, and background and pose reach every level from the first step on.

    A finest level of fewer channels than the latent carries as many values as it can.
    """
    for name, module in denoiser.named_modules():
        resblock = name.endswith(".conv2")
        transformer = name.endswith(".proj_out") and ".attentions." in name
        if resblock or transformer:
            zero_(module)
    unet = denoiser.unet
    channels, values = unet.conv_in.weight.shape[:2]
    carried = min(channels, values)
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if ".upsamplers." in name:
                parameter.mul_(_FROM_BELOW)
        for number, resnet in enumerate(unet.up_blocks[-1].get_submodule("resnets").children()):
            # What comes from below is other features; within the level, the same as the skip.
            shortcut = resnet.get_submodule("conv_shortcut")
            _pass_on(shortcut.get_parameter("weight"), inputs=1 if number == 0 else 2)
            nn.init.zeros_(shortcut.get_parameter("bias"))
        nn.init.dirac_(unet.conv_in.weight[:carried])
        nn.init.zeros_(unet.conv_in.get_parameter("bias"))
        unet.reset_background_conv()
        if denoiser.settings.prediction == "change":
            _expect_little_change(denoiser)
        else:
            zero_(unet.conv_out)
            nn.init.dirac_(unet.conv_out.weight[:, :carried])
            unet.conv_norm_out.get_parameter("bias")[:carried] = _STRAIGHT
            unet.conv_out.get_parameter("bias")[:carried] = -F.silu(torch.tensor(_STRAIGHT))
    denoiser.copy_encoder_to_controlnet()


def _expect_little_change(denoiser: DualModalDenoiser) -> None:
    """Predict little change, and none of it zero: pre-training keeps this, and learns through it.

    Pose and background reach all levels from the first step on.
    """
    unet, controlnet = denoiser.unet, denoiser.controlnet
    unet.conv_out.weight.mul_(_FROM_BELOW)
    nn.init.zeros_(unet.conv_out.get_parameter("bias"))
    entries = [controlnet.pose_conv]
    if unet.settings.background == "latent":
        entries.append(unet.background_conv)
    for conv in entries:
        nn.init.kaiming_uniform_(conv.weight, a=5**0.5)
    for conv in (*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block):
        nn.init.dirac_(conv.get_parameter("weight"))
        conv.get_parameter("weight").mul_(_FROM_BELOW)


def _pass_on(weight_OIHW: torch.Tensor, *, inputs: int) -> None:
    """Average the last `inputs` of the feature maps of a shortcut's input; others stay as drawn."""
    channels = len(weight_OIHW)
    identity = torch.eye(channels)[:, :, None, None] / inputs
    for number in range(1, inputs + 1):
        start = weight_OIHW.shape[1] - number * channels
        weight_OIHW[:, start : start + channels] = identity


logger = logging.getLogger(__name__)

_NEW_IN_UNET = ("modality_embed.", "background_conv.")
_CROSS_MODAL = (".cross_modal.", ".cross_modal_layers.")


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
    missing = [key for key in result.missing_keys if not _is_new(key)]
    raise_if_different(
        "DualModalUNet", "the 2D U-Net", missing=missing, extra=result.unexpected_keys
    )
    unet.reset_background_conv()


def with_settings(denoiser: DualModalDenoiser, config: DualModalUNetConfig) -> DualModalDenoiser:
    """The model with other switches: weights that both have are kept, what is new starts afresh.

    What only the old one had is left out. So pre-training, which trains the 2D model alone, serves
    every system of the paper's tables.

    Raises:
        CheckpointError: it is of other sizes.
    """
    if denoiser.settings == config:
        return denoiser
    other = type(denoiser).from_config(config)
    own = other.state_dict()
    given = denoiser.state_dict()
    missing = [key for key in own.keys() - given.keys() if not _is_new(_inside(key))]
    extra = [key for key in given.keys() - own.keys() if not _is_new(_inside(key))]
    differing = [k for k in own.keys() & given.keys() if own[k].shape != given[k].shape]
    raise_if_different(
        type(other).__name__, "the model before", missing=missing + differing, extra=extra
    )
    other.load_state_dict({k: v for k, v in given.items() if k in own}, strict=False)
    return other


def _inside(key: str) -> str:
    """A parameter's name inside its part of the denoiser."""
    return key.partition(".")[2]


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


def _is_new(key: str) -> bool:
    return (
        key.startswith(_NEW_IN_UNET)
        or is_temporal(key)
        or any(part in key for part in _CROSS_MODAL)
    )


def _visual_projection(folder: Path) -> Tensor:
    stem = "model" if (folder / "model.safetensors").is_file() else "pytorch_model"
    weights = read_weights(folder, stem)
    if "visual_projection.weight" not in weights:
        raise CheckpointError(
            f"{folder} has no visual_projection.weight: it must hold a CLIP vision model with "
            "projection (CLIPVisionModelWithProjection or CLIPModel)"
        )
    return weights["visual_projection.weight"]
