"""A trained model on disk: `idol.json` beside its parts, in diffusers' layout.

idol.json               what the model is and what it needs
unet/ controlnet/ foreground_projection/
image_encoder/          preset tiny: trained with the model; sd14: CLIP, in final models
vae/                    in final models
scheduler/ model_index.json pipeline.py
                        in final models, which are folders of a diffusers pipeline
                        (`idol.generate.folder`)
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from idol.config.model import DualModalUNetConfig, PresetName
from idol.config.patches import patch_of
from idol.config_json import write_config_json
from idol.encoders import CLIPEncoder, LatentCodec, PatchCodec, TinyEncoder, VAECodec
from idol.encoders.vae_identity import is_vae
from idol.model import DualModalDenoiser
from idol.model.saving import raise_if_different
from idol.model_info import (
    FILE,
    ModelInfo,
    NotAModelError,
    average_beside,
    find_model,
    read_info,
)
from idol.tensors import into_memory, read_tensors, write_tensors
from idol.variants import denoiser_class

__all__ = [
    "Trained",
    "digest",
    "frozen_digests",
    "frozen_parts",
    "load_tiny",
    "load_trained",
    "take_average",
    "write_frozen",
    "write_model",
]

_WEIGHTS = "diffusion_pytorch_model.safetensors"
_TINY = "image_encoder"


@dataclasses.dataclass(frozen=True)
class Trained:
    """A model with all it needs to turn images into images."""

    denoiser: DualModalDenoiser
    image_encoder: TinyEncoder | CLIPEncoder
    codec: LatentCodec

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> Trained:
        """Move all parts to `device`, in place; `dtype` is that of the frozen ones."""
        self.denoiser.to(device)
        for part in (self.image_encoder, self.codec):
            if isinstance(part, nn.Module):
                part.to(device)
            elif hasattr(part, "to"):
                part.to(device, dtype)
        return self


def load_trained(
    folder: str | PathLike[str],
    *,
    vae: str | PathLike[str] | None = None,
    image_encoder: str | PathLike[str] | None = None,
) -> tuple[Trained, ModelInfo]:
    """Load the model in an output of `idol-train`, a checkpoint of it, or a model's folder.

    A checkpoint of a run that averages weights is loaded with the average, as the final model is.

    Args:
        vae, image_encoder: in place of those that it names.

    Raises:
        NotAModelError: there is no model.
        CheckpointError, ConfigError, OSError: a part is damaged or missing.
    """
    path = find_model(folder)
    info = read_info(path)
    denoiser = denoiser_class(info.variant, info.stage).from_pretrained(path)
    encoder, codec = frozen_parts(
        info.preset,
        # Preset tiny may have patches in its place.
        vae=vae or (path / "vae" if is_vae(path / "vae") else info.vae),
        image_encoder=image_encoder or _beside(path, "image_encoder") or info.image_encoder,
        settings=info.settings,
    )
    take_average(path, denoiser=denoiser)
    if isinstance(encoder, TinyEncoder):
        load_tiny(encoder, path)
        take_average(path, image_encoder=encoder)
    frozen_clip = encoder.clip if isinstance(encoder, CLIPEncoder) else encoder
    frozen_vae = codec.vae if isinstance(codec, VAECodec) else codec
    for part in (denoiser, frozen_clip, frozen_vae):
        if isinstance(part, nn.Module):
            into_memory(part)
    return Trained(denoiser, encoder, codec), info


def frozen_parts(
    preset: PresetName,
    *,
    vae: str | PathLike[str] | None,
    image_encoder: str | PathLike[str] | None,
    settings: DualModalUNetConfig,
    lazily: bool = False,
) -> tuple[TinyEncoder | CLIPEncoder, LatentCodec]:
    """The image encoder, a fresh one for preset tiny, and the codec: of preset tiny, unless a VAE
    is given, patches.

    Args:
        settings: the model's, which say how preset tiny's image encoder is made.
        lazily: load the VAE when an image first passes through it.

    Raises:
        NotAModelError: a network is needed and no folder is known.
        ConfigError: there are no patches of so many channels.
        OSError: a folder holds no such network.
    """
    if preset == "tiny":
        encoder = TinyEncoder(
            settings.foreground_dim,
            patch=settings.foreground_patch,
            depth=settings.foreground_depth,
        )
        if vae is None:
            return encoder, PatchCodec(patch_of(settings.latent_channels))
        return encoder, VAECodec.from_pretrained(vae, lazily=lazily)
    if vae is None or image_encoder is None:
        raise NotAModelError("preset sd14 needs a VAE and a CLIP image encoder: name their folders")
    # As text: a hub name is no path.
    codec = VAECodec.from_pretrained(str(vae), lazily=lazily)
    return CLIPEncoder.from_pretrained(str(image_encoder)), codec


def frozen_digests(trained: Trained) -> dict[str, str]:
    """SHA-256 over the tensors of VAE and CLIP, as they were loaded; those that exist.

    The tiny preset has neither, and with cached latents the VAE may never be loaded.
    """
    parts: dict[str, nn.Module] = {}
    if isinstance(trained.codec, VAECodec) and trained.codec.is_loaded:
        parts["vae"] = trained.codec.vae
    if isinstance(trained.image_encoder, CLIPEncoder):
        parts["image_encoder"] = trained.image_encoder.clip
    return {name: digest(part) for name, part in parts.items()}


def load_tiny(encoder: TinyEncoder, folder: Path) -> None:
    """Load the weights of preset tiny's image encoder from a model's folder."""
    encoder.load_state_dict(read_tensors(folder / _TINY / _WEIGHTS))


def take_average(folder: Path, **parts: nn.Module) -> None:
    """Put the averaged weights beside a checkpoint's model, if there are any, into its parts, which
    were loaded from its folder: `denoiser`, `image_encoder`.

    Raises:
        CheckpointError: they are of another model.
        OSError: they are damaged.
    """
    path = average_beside(folder)
    if path is None:
        return
    weights = read_tensors(path)
    for name, part in parts.items():
        result = part.load_state_dict(_below(weights, f"{name}."), strict=False)
        raise_if_different(name, str(path), missing=[], extra=result.unexpected_keys)


def write_model(
    folder: Path, trained: Trained, weights: Mapping[str, Tensor], info: ModelInfo
) -> None:
    """Write a model's folder.

    Args:
        trained: gives configurations alone.
        weights: whole tensors on the CPU, by names that begin with `denoiser.` or
            `image_encoder.`.
    """
    for name, part in trained.denoiser.named_children():
        part.save_config(folder / name)  # type: ignore[operator]
        own = _below(weights, f"denoiser.{name}.")
        write_tensors(folder / name / _WEIGHTS, own)
    if isinstance(trained.image_encoder, TinyEncoder):
        trained.image_encoder.save_config(folder / _TINY)
        write_tensors(folder / _TINY / _WEIGHTS, _below(weights, "image_encoder."))
    (folder / FILE).write_text(json.dumps(info.as_json(), indent=2) + "\n")


def write_frozen(
    folder: Path,
    info: ModelInfo,
    vae: str | PathLike[str] | None,
    image_encoder: str | PathLike[str] | None,
) -> None:
    """Copy the frozen parts into a model's folder, as exactly as they are."""
    encoder, codec = frozen_parts(
        info.preset, vae=vae, image_encoder=image_encoder, settings=info.settings
    )
    if isinstance(encoder, CLIPEncoder):
        encoder.clip.save_pretrained(folder / "image_encoder")
    component: Any = codec.vae if isinstance(codec, VAECodec) else codec
    component.save_pretrained(folder / "vae")
    write_config_json(component, folder / "vae")


def _below(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def _beside(folder: Path, name: str) -> Path | None:
    return folder / name if (folder / name / "config.json").is_file() else None


def digest(module: nn.Module) -> str:
    """SHA-256 over a network's tensors, with their names, types and shapes."""
    found = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        found.update(f"{name} {tensor.dtype} {[*tensor.shape]}\n".encode())
        found.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()
