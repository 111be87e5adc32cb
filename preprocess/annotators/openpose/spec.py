"""What is known of OpenPose without loading it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.annotators.spec import Chosen, Hardware, Locate, Spec
from preprocess.external_file import ExternalFile, Hub, sha256_by

if TYPE_CHECKING:
    from preprocess.annotators.openpose.annotator import OpenPose

__all__ = ["BODY", "FACE", "HAND", "OPENPOSE"]


def _file(name: str, what: str, size: int, sha256: str) -> ExternalFile:
    return ExternalFile(
        f"openpose/{name}",
        what,
        Hub("lllyasviel/Annotators", "982e7edaec38759d914a963c48c4726685de7d96", name),
        "non-commercial (CMU)",
        size,
        sha256_by(sha256),
    )


BODY = _file(
    "body_pose_model.pth",
    "OpenPose, body",
    209267595,
    "25a948c16078b0f08e236bda51a385d855ef4c153598947c28c0d47ed94bb746",
)
HAND = _file(
    "hand_pose_model.pth",
    "OpenPose, hands",
    147341049,
    "b76b00d1750901abd07b9f9d8c98cc3385b8fe834a26d4b4f0aad439e75fc600",
)
FACE = _file(
    "facenet.pth",
    "OpenPose, face",
    153718792,
    "8beb52e548624ffcc4aed12af7aee7dcbfaeea420c75609fee999fe7add79d43",
)


def _files(chosen: Chosen) -> tuple[ExternalFile, ...]:
    return (BODY, HAND, FACE) if chosen.settings.hands_and_face else (BODY,)


def _load(chosen: Chosen, locate: Locate, hardware: Hardware) -> OpenPose:
    from preprocess.annotators.openpose.annotator import OpenPose
    from preprocess.annotators.openpose.networks import load_body, load_face, load_hand

    settings = chosen.settings
    return OpenPose(
        load_body(locate(BODY), hardware),
        load_hand(locate(HAND), hardware) if settings.hands_and_face else None,
        load_face(locate(FACE), hardware) if settings.hands_and_face else None,
        settings,
    )


OPENPOSE = Spec(
    name="openpose",
    fills=("pose",),
    load=_load,
    notice=(
        "OpenPose is licensed by Carnegie Mellon University for academic or non-profit, "
        "non-commercial research use only: mind that for everything made with its skeletons. "
        "--pose dwpose and --pose lite come without this restriction."
    ),
    files=(BODY, HAND, FACE),
    wanted=_files,
    packages=("controlnet-aux", "torch"),
    gpu=0.1,
    finds_people=True,
)
