"""Hugging Face models: a folder of the user's, or one that the hub's own cache has."""

from __future__ import annotations

from pathlib import Path

from preprocess.errors import InputError
from shards.files.digest import sha256_file

__all__ = ["folder_checksums", "folder_name", "model_folder"]

# What transformers reads of a model that works on pictures. Pickles (*.bin) are never read.
_FILES = ("config.json", "preprocessor_config.json", "*.safetensors", "*.safetensors.index.json")


def folder_name(model: str) -> str:
    """How a dataset calls the model: a hub's name as it is, a folder without where it lies."""
    folder = Path(model).expanduser()
    return folder.resolve().name if folder.is_dir() else model


def model_folder(model: str) -> Path:
    """The folder of a model, which is fetched from the hub unless it is here.

    Raises InputError when it cannot be had, or holds no safetensors file.
    """
    folder = Path(model).expanduser()
    if not folder.is_dir():
        if model.startswith((".", "/", "~")) or model.count("/") > 1:
            raise InputError(f"hf:{model}: {folder} is no folder")
        folder = _from_hub(model)
    for name in ("config.json", "*.safetensors"):
        if not any(folder.glob(name)):
            raise InputError(
                f"hf:{model}: {folder} holds no {name}. Give the folder of a depth model saved by "
                "transformers (`save_pretrained`), its weights as safetensors."
            )
    return folder


def folder_checksums(model: str) -> dict[str, str]:
    """SHA-256 of the files that the model is made of, by name. Raises as `model_folder`."""
    folder = model_folder(model)
    paths = sorted({path for pattern in _FILES for path in folder.glob(pattern)})
    return {path.name: sha256_file(path) for path in paths}


def _from_hub(model: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
        )
    except ModuleNotFoundError as error:
        raise InputError(
            f"hf:{model} needs {error.name}: install it with `make install-paper`"
        ) from error
    try:
        return Path(snapshot_download(model, allow_patterns=list(_FILES)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise InputError(
            f"hf:{model} is not in the hub's cache and cannot be fetched: {first}. On a machine "
            "without a network copy the model's folder there and give --depth hf:FOLDER."
        ) from error
