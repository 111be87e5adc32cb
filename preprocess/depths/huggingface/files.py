"""A model's files: in a folder of the user's, or fetched from the model hub."""

from __future__ import annotations

from pathlib import Path

from preprocess.errors import InputError
from preprocess.torch.packages import needed_packages

__all__ = ["model_files", "model_folder"]

CONFIGURATION = ("config.json", "preprocessor_config.json")
# The first that is there counts, as in `transformers` itself.
WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")


def model_folder(model: str) -> Path:
    """The folder with `model`'s files: `model` itself, or what the hub's cache holds of it, after
    fetching what is not there. Raises InputError when neither is to be had."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
        raise InputError(f"there is no folder {model} with a depth model")
    with needed_packages("a Hugging Face depth model"):
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError
    try:
        patterns = ["*.json", *WEIGHTS[:1]]
        fetched = Path(snapshot_download(model, allow_patterns=patterns))
        if not any(fetched.glob(WEIGHTS[0])):
            fetched = Path(snapshot_download(model, allow_patterns=["*.json", *WEIGHTS[1:]]))
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise InputError(f"the model hub has no {model}, or it is not public") from error
    except (OSError, ValueError) as error:  # the hub's own errors are among these
        raise InputError(
            f"{model} is neither a folder here nor in the hub's cache, and the hub cannot be "
            f"reached. On a machine that can: hf download {model} --local-dir FOLDER; then copy "
            f"the folder here and use --depth hf:FOLDER"
        ) from error
    return fetched


def model_files(model: str) -> list[Path]:
    """The files that decide what `model` computes: configuration, preprocessing, weights.

    Raises InputError when `model` cannot be had or one of them is absent.
    """
    folder = model_folder(model)
    absent = [name for name in CONFIGURATION if not (folder / name).is_file()]
    weights = next((found for p in WEIGHTS if (found := sorted(folder.glob(p)))), [])
    if absent or not weights:
        missing = " and ".join(absent or [" or ".join(WEIGHTS)])
        raise InputError(
            f"{folder} is no folder of a depth model: it has no {missing}. Save the model and its "
            f"image processor there with save_pretrained"
        )
    return [*(folder / name for name in CONFIGURATION), *weights]
