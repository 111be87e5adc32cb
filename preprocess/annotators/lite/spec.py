"""What is known of the lite annotators without loading their networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from preprocess.annotators.spec import Chosen, Hardware, Locate, Spec
from preprocess.external_file import ExternalFile, Member, Wheel, sha256_by

if TYPE_CHECKING:
    from preprocess.annotators.lite.annotators import LiteDepth, LiteMask, LitePose
    from preprocess.annotators.lite.person import LitePerson

__all__ = ["LITE_DEPTH", "LITE_MASK", "LITE_PERSON", "LITE_POSE", "Tracking"]

_MEDIAPIPE = Wheel(
    "mediapipe",
    "0.10.21",
    "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
    ("--platform=manylinux_2_28_x86_64", "--python-version=311", "--abi=cp311"),
)


def _file(folder: str, name: str, what: str, size: int, sha256: str) -> ExternalFile:
    return ExternalFile(
        f"lite/{name}.tflite",
        what,
        Member(_MEDIAPIPE, f"mediapipe/modules/{folder}/{name}.tflite"),
        "Apache-2.0",
        size,
        sha256_by(sha256, "this project"),
    )


_BODY = (
    _file(
        "pose_detection",
        "pose_detection",
        "person detector",
        2959046,
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    ),
    _file(
        "pose_landmark",
        "pose_landmark_full",
        "33 body landmarks, person mask",
        6440512,
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    ),
)
_HANDS_AND_FACE = (
    _file(
        "hand_landmark",
        "hand_landmark_full",
        "21 landmarks of a hand",
        5478917,
        "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
    ),
    _file(
        "palm_detection",
        "palm_detection_full",
        "palm detector",
        2339846,
        "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
    ),
    _file(
        "holistic_landmark",
        "hand_recrop",
        "hand region from the wrist",
        123792,
        "67d996ce96f9d36fe17d2693022c6da93168026ab2f028f9e2365398d8ac7d5d",
    ),
    _file(
        "face_detection",
        "face_detection_short_range",
        "face detector",
        229714,
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    ),
    _file(
        "face_landmark",
        "face_landmark",
        "468 landmarks of a face",
        1242398,
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
    ),
)


@dataclass(frozen=True)
class Tracking:
    """What the tracker looks for besides the body, which costs time."""

    hands_and_face: bool


def _load_person(chosen: Chosen, locate: Locate, hardware: Hardware) -> LitePerson:
    from preprocess.annotators.lite.person import LitePerson

    files = {file.name: file for file in (*_BODY, *_HANDS_AND_FACE)}
    details = chosen.options.hands_and_face
    return LitePerson(lambda name: locate(files[f"lite/{name}"]), hands=details, face=details)


def _load_mask(chosen: Chosen, locate: Locate, hardware: Hardware) -> LiteMask:
    from preprocess.annotators.lite.annotators import LiteMask

    return LiteMask()


def _load_pose(chosen: Chosen, locate: Locate, hardware: Hardware) -> LitePose:
    from preprocess.annotators.lite.annotators import LitePose

    return LitePose(smooth=chosen.settings.smooth, check=chosen.settings.check_poses)


def _pose_files(chosen: Chosen) -> tuple[ExternalFile, ...]:
    return (*_BODY, *_HANDS_AND_FACE) if chosen.settings.hands_and_face else _BODY


def _load_depth(chosen: Chosen, locate: Locate, hardware: Hardware) -> LiteDepth:
    from preprocess.annotators.lite.annotators import LiteDepth

    return LiteDepth()


# The tracker, which the others read: `Scene.people`.
LITE_PERSON = Spec(
    name="lite", fills=("person",), load=_load_person, title="lite-person", files=_BODY
)
LITE_MASK = Spec(
    name="lite",
    fills=("mask",),
    load=_load_mask,
    title="lite-mask",
    files=_BODY,
    needs_tracker=True,
)
LITE_POSE = Spec(
    name="lite",
    fills=("pose",),
    load=_load_pose,
    title="lite-pose",
    files=(*_BODY, *_HANDS_AND_FACE),
    wanted=_pose_files,
    needs_tracker=True,
)
LITE_DEPTH = Spec(
    name="lite",
    fills=("depth_person", "depth_frame"),
    load=_load_depth,
    title="lite-depth",
    version="2",  # z along the camera's axis, not along the line of sight
    files=_BODY,
    needs_tracker=True,
)
