"""What is known of DWPose without loading it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.annotators.spec import Chosen, Hardware, Locate, Spec
from preprocess.external_file import ExternalFile, Hub, sha256_by

if TYPE_CHECKING:
    from preprocess.annotators.dwpose.annotator import DWPose

__all__ = ["DETECTOR", "DWPOSE", "POSE"]


def _file(name: str, what: str, size: int, sha256: str) -> ExternalFile:
    return ExternalFile(
        f"dwpose/{name}",
        what,
        Hub("yzd-v/DWPose", "1a7144101628d69ee7a3768d1ee3a094070dc388", name),
        "Apache-2.0",
        size,
        sha256_by(sha256),
    )


DETECTOR = _file(
    "yolox_l.onnx",
    "YOLOX-L, DWPose's detector",
    216746733,
    "7860ae79de6c89a3c1eb72ae9a2756c0ccfbe04b7791bb5880afabd97855a411",
)
POSE = _file(
    "dw-ll_ucoco_384.onnx",
    "DWPose, whole body",
    134399116,
    "724f4ff2439ed61afb86fb8a1951ec39c6220682803b4a8bd4f598cd913b1843",
)


def _load(chosen: Chosen, locate: Locate, hardware: Hardware) -> DWPose:
    from preprocess.annotators.dwpose.annotator import DWPose
    from preprocess.annotators.dwpose.networks import PersonDetector, PoseNetwork

    return DWPose(
        PersonDetector(locate(DETECTOR), hardware),
        PoseNetwork(locate(POSE), hardware),
        chosen.settings,
    )


DWPOSE = Spec(
    name="dwpose",
    fills=("pose",),
    load=_load,
    files=(DETECTOR, POSE),
    packages=("onnxruntime", "rtmlib"),
    gpu=0.1,
    finds_people=True,
)
