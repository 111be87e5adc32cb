"""What is known of DensePose without loading it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from preprocess.annotators.spec import Chosen, Hardware, Locate, Spec
from preprocess.errors import InputError
from shards.files.digest import sha256_file
from shards.files.home import expanded

if TYPE_CHECKING:
    from preprocess.annotators.densepose.annotator import DensePose

__all__ = ["DENSEPOSE"]


def _path(text: str) -> Path:
    path = expanded(text)
    if not path.is_file():
        raise InputError(
            f"--densepose {text} does not exist: give a folder of IUV images, or a TorchScript "
            "file of DensePose (docs/recipes.md says what it has to be)"
        )
    return path


def _checksums(text: str) -> dict[str, str]:
    return {_called(text): sha256_file(_path(text))}


def _called(text: str) -> str:
    return Path(text).name


def _load(chosen: Chosen, locate: Locate, hardware: Hardware) -> DensePose:
    from preprocess.annotators.densepose.annotator import DensePose, DensePoseProgram

    return DensePose(DensePoseProgram(_path(chosen.parameter), hardware.device))


DENSEPOSE = Spec(
    name="densepose",
    fills=("densepose",),
    load=_load,
    packages=("torch", "torchvision"),
    parameter="TorchScript FILE",
    checksums=_checksums,
    called=_called,
    gpu=0.2,
)
