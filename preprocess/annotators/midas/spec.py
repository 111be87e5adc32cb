"""What is known of MiDaS without loading it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.annotators.spec import Chosen, Hardware, Locate, Spec
from preprocess.external_file import Checksum, ExternalFile, Hub, sha256_by

if TYPE_CHECKING:
    from preprocess.annotators.whole_frame import WholeFrameDepth

__all__ = ["MIDAS", "WEIGHTS"]

_FILE = "dpt_hybrid-midas-501f0c75.pt"
WEIGHTS = ExternalFile(
    f"midas/{_FILE}",
    "MiDaS 3.0, DPT-hybrid",
    Hub("lllyasviel/Annotators", "982e7edaec38759d914a963c48c4726685de7d96", _FILE),
    "MIT",
    None,
    (
        Checksum("sha256", "501f0c75", "its file name"),
        *sha256_by("501f0c75b3bca7daec6b3682c5054c09b366765aef6fa3a09d03a5cb4b230853"),
    ),
)


def _load(chosen: Chosen, locate: Locate, hardware: Hardware) -> WholeFrameDepth:
    from preprocess.annotators.midas.network import Midas
    from preprocess.annotators.whole_frame import WholeFrameDepth

    return WholeFrameDepth(
        label="MiDaS DPT-hybrid, estimated from single images",
        unit="relative inverse depth with its sign turned, smaller is nearer",
        estimate=Midas.load(locate(WEIGHTS), hardware),
    )


MIDAS = Spec(
    name="midas",
    fills=("depth_frame",),
    load=_load,
    files=(WEIGHTS,),
    packages=("controlnet-aux", "timm", "torch"),
    gpu=0.15,
)
