"""Loading a model to generate with, whatever of `idol-train` or of diffusers holds it."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPVisionModelWithProjection

from idol.diffusion.schedulers import own_scheduler
from idol.encoders import load_vae
from idol.generate.folder import INDEX
from idol.generate.pipeline import IdolPipeline
from idol.model_info import NotAModelError, find_model, read_info
from idol.saved import load_trained
from idol.tensors import naming_damage

__all__ = ["load_pipeline"]


def load_pipeline(
    folder: str | PathLike[str],
    *,
    dtype: torch.dtype | None = None,
    vae: str | PathLike[str] | None = None,
    image_encoder: str | PathLike[str] | None = None,
) -> IdolPipeline:
    """The pipeline in a folder: a saved one, an output of `idol-train`, or a checkpoint of it.

    Args:
        dtype: of all parts; float32 unless given.
        vae, image_encoder: folders or hub names, in place of those that it has or names.

    Raises:
        NotAModelError: it holds no model, or a part of it is missing.
        GenerationError: the VAE is not this model's.
        CheckpointError, ConfigError, OSError: a part is damaged.
    """
    path = Path(folder) if (Path(folder) / INDEX).is_file() else find_model(folder)
    options: dict[str, Any] = {"dtype": dtype or torch.float32}
    if not (path / INDEX).is_file():
        info = read_info(path)
        trained, _ = load_trained(path, vae=vae, image_encoder=image_encoder)
        scheduler = own_scheduler(info.preset, info.distilled, trained.codec.bound)
        pipe = IdolPipeline.of(
            trained.denoiser, trained.image_encoder, trained.codec, scheduler, info
        )
        return _ready(pipe.to(**options))
    given: dict[str, Any] = {}
    if vae is not None:
        given["vae"] = load_vae(vae, **options)
    if image_encoder is not None:
        with naming_damage(image_encoder):
            given["image_encoder"] = CLIPVisionModelWithProjection.from_pretrained(
                image_encoder, **options
            )
    _check_parts(path, given)
    return _ready(IdolPipeline.from_pretrained(path, **given, **options))


def _ready(pipe: IdolPipeline) -> IdolPipeline:
    pipe.enable_cuda_graphs()
    return pipe


def _check_parts(path: Path, given: dict[str, Any]) -> None:
    """Raise NotAModelError, naming the parts that are absent, or another pipeline."""
    try:
        index = json.loads((path / INDEX).read_bytes())
        kind = index.get("_class_name")
        parts = [n for n, v in index.items() if isinstance(v, list) and not n.startswith("_")]
    except (ValueError, AttributeError) as error:
        raise NotAModelError(f"{path / INDEX} is damaged: {error}") from error
    if (kind[-1] if isinstance(kind, list) else kind) != IdolPipeline.__name__:
        raise NotAModelError(f"{path} holds a {kind}, and no model of idol-train")
    absent = [name for name in parts if name not in given and not (path / name).is_dir()]
    if absent:
        raise NotAModelError(
            f"{path} lacks {', '.join(f'{name}/' for name in absent)}: copy the whole folder that "
            "idol-train left"
        )
