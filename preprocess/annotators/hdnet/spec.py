"""What is known of HDNet without loading it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.annotators.spec import Chosen, Hardware, Locate, SourceImages, Spec
from preprocess.external_file import ExternalFile, MadeHere

if TYPE_CHECKING:
    from preprocess.annotators.hdnet.annotator import HDNetDepth

__all__ = ["HDNET", "WEIGHTS"]

WEIGHTS = ExternalFile(
    "hdnet/hdnet.safetensors",
    "HDNet, normals and depth of people",
    MadeHere("idol-prep weights convert-hdnet CKPT_DIR", "the checkpoints HDNet publishes"),
    "MIT",
    None,
)


def _load(chosen: Chosen, locate: Locate, hardware: Hardware) -> HDNetDepth:
    from preprocess.annotators.hdnet.annotator import HDNet, HDNetDepth
    from preprocess.annotators.hdnet.weights_file import load_networks

    return HDNetDepth(HDNet(load_networks(locate(WEIGHTS)), hardware), hardware)


HDNET = Spec(
    name="hdnet",
    fills=("depth_person",),
    load=_load,
    files=(WEIGHTS,),
    packages=("safetensors", "torch"),
    gpu=0.15,
    needs_mask=True,
    reads=SourceImages(
        "densepose",
        "HDNet gets zeros in its place, and its depth is worse than the published one; give "
        "--densepose FOLDER or FILE",
    ),
)
