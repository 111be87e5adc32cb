"""A trained model on disk: `idol.json` beside its parts, in diffusers' layout.

idol.json               what the model is and what it needs
unet/ controlnet/ foreground_projection/
image_encoder/          preset tiny: trained with the model; sd14: CLIP, in final models
vae/                    sd14, in final models
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from idol.checkpoint import Checkpoints
from idol.config.model import DualModalUNetConfig, PresetName, StageName
from idol.encoders import CLIPEncoder, LatentCodec, PatchCodec, TinyEncoder, VAECodec
from idol.errors import IdolError
from idol.model import DualModalDenoiser
from idol.tensors import read_tensors, write_tensors

__all__ = [
    "FILE",
    "ModelInfo",
    "NotAModelError",
    "Trained",
    "find_model",
    "frozen_parts",
    "load_tiny",
    "load_trained",
    "read_info",
    "write_frozen",
    "write_model",
]

FILE = "idol.json"
FORMAT = 1
_TINY = "image_encoder/model.safetensors"


class NotAModelError(IdolError):
    """A folder holds no trained model, or one written by a newer version."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What `idol.json` says.

    Attributes:
        settings: of the video model, whose one-frame form the earlier stages train.
        size: height and width of its images; `frames`: of its clips.
        step: of the stage, at which it was saved.
        vae, image_encoder: folders or hub names of frozen parts; None where there are none, or
            where they lie beside `idol.json`.
    """

    stage: StageName
    preset: PresetName
    settings: DualModalUNetConfig
    size: int
    frames: int
    step: int
    vae: str | None = None
    image_encoder: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The file's content."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {"format": FORMAT, **values, "settings": self.settings.to_dict()}


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


def find_model(folder: str | PathLike[str]) -> Path:
    """The model's folder in an output of `idol-train`: the final one, else the newest checkpoint's.

    Raises:
        NotAModelError: there is none.
    """
    root = Path(folder)
    for path in (root, root / "model"):
        if (path / FILE).is_file():
            return path
    newest = Checkpoints(root / "checkpoints").newest()
    if newest is not None and (newest / "model" / FILE).is_file():
        return newest / "model"
    raise NotAModelError(
        f"{root} holds no trained model: no {FILE}, and no valid checkpoint; give the --output "
        "of a run of idol-train"
    )


def read_info(folder: str | PathLike[str]) -> ModelInfo:
    """Read a model folder's `idol.json`.

    Raises:
        NotAModelError: it is absent, damaged, or of a newer format.
        ConfigError: its settings contradict each other.
    """
    path = Path(folder) / FILE
    try:
        values = json.loads(path.read_bytes())
        if (found := values.pop("format")) != FORMAT:
            raise NotAModelError(f"{path} has format {found}, this version reads {FORMAT}")
        settings = DualModalUNetConfig.from_dict(values.pop("settings"))
        return ModelInfo(settings=settings, **values)
    except (OSError, KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise NotAModelError(f"{path} is absent or damaged: {error}") from error


def load_trained(
    folder: str | PathLike[str],
    *,
    vae: str | PathLike[str] | None = None,
    image_encoder: str | PathLike[str] | None = None,
) -> tuple[Trained, ModelInfo]:
    """Load the model in an output of `idol-train`, a checkpoint of it, or a model's folder.

    Args:
        vae, image_encoder: in place of those that it names.

    Raises:
        NotAModelError: there is no model.
        CheckpointError, ConfigError, OSError: a part is damaged or missing.
    """
    path = find_model(folder)
    info = read_info(path)
    denoiser = DualModalDenoiser.from_pretrained(path)
    encoder, codec = frozen_parts(
        info.preset,
        vae=vae or _beside(path, "vae") or info.vae,
        image_encoder=image_encoder or _beside(path, "image_encoder") or info.image_encoder,
        channels=info.settings.foreground_dim,
    )
    if isinstance(encoder, TinyEncoder):
        load_tiny(encoder, path)
    return Trained(denoiser, encoder, codec), info


def frozen_parts(
    preset: PresetName,
    *,
    vae: str | PathLike[str] | None,
    image_encoder: str | PathLike[str] | None,
    channels: int,
    lazily: bool = False,
) -> tuple[TinyEncoder | CLIPEncoder, LatentCodec]:
    """The image encoder, a fresh one for preset tiny, and the codec.

    Args:
        lazily: load the VAE when an image first passes through it.

    Raises:
        NotAModelError: a network is needed and no folder is known.
        OSError: a folder holds no such network.
    """
    if preset == "tiny":
        return TinyEncoder(channels), PatchCodec()
    if vae is None or image_encoder is None:
        raise NotAModelError("preset sd14 needs a VAE and a CLIP image encoder: name their folders")
    # As text: a hub name is no path.
    codec = VAECodec.from_pretrained(str(vae), lazily=lazily)
    return CLIPEncoder.from_pretrained(str(image_encoder)), codec


def load_tiny(encoder: TinyEncoder, folder: Path) -> None:
    """Load the weights of preset tiny's image encoder from a model's folder."""
    encoder.load_state_dict(read_tensors(folder / _TINY))


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
        write_tensors(folder / name / "diffusion_pytorch_model.safetensors", own)
    if own := _below(weights, "image_encoder."):
        (folder / _TINY).parent.mkdir()
        write_tensors(folder / _TINY, own)
    (folder / FILE).write_text(json.dumps(info.as_json(), indent=2) + "\n")


def write_frozen(
    folder: Path,
    vae: str | PathLike[str] | None,
    image_encoder: str | PathLike[str] | None,
) -> None:
    """Copy preset sd14's frozen networks into a model's folder, as exactly as they are."""
    encoder, codec = frozen_parts("sd14", vae=vae, image_encoder=image_encoder, channels=0)
    encoder.clip.save_pretrained(folder / "image_encoder")  # type: ignore[union-attr, operator]
    codec.vae.save_pretrained(folder / "vae")  # type: ignore[attr-defined]


def _below(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def _beside(folder: Path, name: str) -> Path | None:
    return folder / name if (folder / name / "config.json").is_file() else None
