"""Hugging Face models: a folder of the user's, or one that the hub's own cache has."""

from dataclasses import dataclass
from pathlib import Path

from preprocess.errors import InputError
from shards.files.digest import sha256_file
from shards.files.home import expanded

__all__ = ["HubModels"]

# What transformers reads of any model. Pickles (*.bin) are never read.
_FILES = ("config.json", "preprocessor_config.json", "*.safetensors", "*.safetensors.index.json")


@dataclass(frozen=True)
class HubModels:
    """Models of which an annotator takes one: by a hub's name, or as a folder of the user's.

    `option` is what a model is given with, as in "--depth hf"; `more` are patterns of files that
    these models have besides the usual ones.
    """

    option: str
    more: tuple[str, ...] = ()

    def called(self, model: str) -> str:
        """How a dataset calls it: a hub's name as it is, a folder without where it lies."""
        folder = expanded(model)
        return folder.resolve().name if folder.is_dir() else model

    def folder(self, model: str) -> Path:
        """The folder of a model, which is fetched from the hub unless it is here.

        Raises InputError when it cannot be had, or holds no safetensors file.
        """
        folder = expanded(model)
        if not folder.is_dir():
            if model.startswith((".", "/", "~")) or model.count("/") > 1:
                raise InputError(f"{self.option}:{model}: {folder} is not a folder")
            folder = self._from_hub(model)
        for name in ("config.json", "*.safetensors"):
            if not any(folder.glob(name)):
                raise InputError(
                    f"{self.option}:{model}: {folder} holds no {name}. Give the folder of a model "
                    "saved by transformers (`save_pretrained`), its weights as safetensors."
                )
        return folder

    def checksums(self, model: str) -> dict[str, str]:
        """SHA-256 of the files that the model is made of, by name. Raises as `folder`."""
        folder = self.folder(model)
        files = {path for pattern in (*_FILES, *self.more) for path in folder.glob(pattern)}
        return {path.name: sha256_file(path) for path in sorted(files)}

    def _from_hub(self, model: str) -> Path:
        try:
            from huggingface_hub import snapshot_download
            from huggingface_hub.errors import (
                HfHubHTTPError,
                HFValidationError,
                LocalEntryNotFoundError,
            )
        except ModuleNotFoundError as error:
            raise InputError(
                f"{self.option}:{model} needs {error.name}: install it with `make install-paper`"
            ) from error
        try:
            return Path(snapshot_download(model, allow_patterns=[*_FILES, *self.more]))
        except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise InputError(
                f"{self.option}:{model} is not in the hub's cache and cannot be fetched: {first}. "
                "Where its page on the hub asks you to accept a licence, do so and set HF_TOKEN. "
                "On a machine without a network copy the model's folder there and give "
                f"{self.option}:FOLDER."
            ) from error
