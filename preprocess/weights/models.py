"""Entries of published models: the paper's annotators, and what its training starts from.

Revisions and checksums are those that several public projects, independently of each other, state
for these files; where none was found, only the size, or nothing, is given. A file name that
carries digits of its checksum (SAM: MD5, MiDaS: SHA-256) is its publisher's own word.
"""

from __future__ import annotations

from preprocess.external_file import Checksum, ExternalFile, Hub, Source

__all__ = ["MODELS"]

_SEVERAL = "several public projects"
_CLIP = ("openai/clip-vit-large-patch14", "32bd64288804d66eefd0ccbe215aa642df71cc41")
_SD14 = ("CompVis/stable-diffusion-v1-4", "133a221b8aa7292a167afc5127cb63fb5005638b")
_VARIATIONS = (  # the commit of its tag v2.0
    "lambdalabs/sd-image-variations-diffusers",
    "a2a13984e57db80adcc9e3f85d568dcccb9b29fc",
)
_RAIL = "CreativeML OpenRAIL-M"


def _model(
    name: str,
    what: str,
    source: Source,
    licence: str,
    size: int | None = None,
    sha256: str | None = None,
) -> ExternalFile:
    stated = (Checksum("sha256", sha256, _SEVERAL),) if sha256 else ()
    return ExternalFile(name, what, source, licence, size, stated)


def _folder(
    group: str, what: str, hub: tuple[str, str], licence: str, files: tuple[str, ...]
) -> tuple[ExternalFile, ...]:
    """A whole folder as its libraries load it; nobody states sizes or checksums."""
    return tuple(_model(f"{group}/{file}", what, Hub(*hub, file), licence) for file in files)


MODELS: tuple[ExternalFile, ...] = (
    *_folder(
        "sd-image-variations",
        "what IDOL's training starts from",
        _VARIATIONS,
        _RAIL,
        (
            "model_index.json",
            "feature_extractor/preprocessor_config.json",
            "image_encoder/config.json",
            "image_encoder/pytorch_model.bin",
            "scheduler/scheduler_config.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model.bin",
            "vae/config.json",
            "vae/diffusion_pytorch_model.bin",
        ),
    ),
    *_folder(
        "stable-diffusion-v1-4",
        "another start for training",
        _SD14,
        _RAIL,
        (
            "model_index.json",
            "scheduler/scheduler_config.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model.safetensors",
            "vae/config.json",
            "vae/diffusion_pytorch_model.safetensors",
        ),
    ),
    *_folder(
        "clip-vit-large-patch14",
        "image encoder for Stable Diffusion 1.4",
        _CLIP,
        "MIT (see model card)",
        ("config.json", "preprocessor_config.json"),
    ),
    _model(
        "clip-vit-large-patch14/model.safetensors",
        "image encoder for Stable Diffusion 1.4",
        Hub(*_CLIP, "model.safetensors"),
        "MIT (see model card)",
        1710540580,
        "a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb",
    ),
)
