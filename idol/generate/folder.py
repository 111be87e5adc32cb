"""A model's folder as a diffusers pipeline: `model_index.json` and what stands beside it.

model_index.json   the class of each part, and what `idol.json` says
pipeline.py        for those who load by `DiffusionPipeline.from_pretrained(...,
                   trust_remote_code=True)`; whoever loads by `IdolPipeline` does not run it
idol.json          what the model is
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
from transformers import CLIPVisionModelWithProjection

from idol.diffusion.schedulers import own_scheduler
from idol.encoders import PatchCodec, TinyEncoder, vae_class
from idol.encoders.vae_identity import is_vae
from idol.model_info import FILE, ModelInfo
from idol.variants import denoiser_class

__all__ = ["INDEX", "complete_folder", "write_index"]

INDEX = "model_index.json"

_CLASS = "IdolPipeline"
_CODE = '''\
"""Tells diffusers where this pipeline is defined; it needs the package `idol-video`."""

from idol.generate.pipeline import IdolPipeline

__all__ = ["IdolPipeline"]
'''


def write_index(folder: Path, info: ModelInfo) -> None:
    """Make a pipeline of a folder that holds the model's parts, frozen ones too."""
    tiny = info.preset == "tiny"
    patches = not is_vae(folder / "vae")
    scheduler = own_scheduler(info.preset, info.distilled, PatchCodec.bound if patches else None)
    scheduler.save_pretrained(folder / "scheduler")
    classes: dict[str, type] = {
        **denoiser_class(info.variant, info.stage).part_classes._asdict(),
        "image_encoder": TinyEncoder if tiny else CLIPVisionModelWithProjection,
        "vae": PatchCodec if patches else vae_class(folder / "vae"),
        "scheduler": type(scheduler),
    }
    parts = {name: [_library(part), part.__name__] for name, part in classes.items()}
    index = {"_class_name": _CLASS, "_diffusers_version": diffusers.__version__, **parts}
    _write_json(folder / INDEX, {**index, "info": info.as_json()})
    complete_folder(folder, info)


def complete_folder(folder: Path, info: ModelInfo | None) -> None:
    """Write what diffusers itself does not into a folder that it saved a pipeline in."""
    index = json.loads((folder / INDEX).read_bytes())
    _write_json(folder / INDEX, {**index, "_class_name": ["pipeline", _CLASS]})
    (folder / "pipeline.py").write_text(_CODE)
    if info is not None:
        _write_json(folder / FILE, info.as_json())


def _library(part: type) -> str:
    """Where diffusers looks for a class: its own and transformers' by the package's name."""
    package = part.__module__.split(".")[0]
    return package if package in ("diffusers", "transformers") else part.__module__


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
