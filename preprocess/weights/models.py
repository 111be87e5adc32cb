"""Entries of published models: the paper's annotators, and what its training starts from.

Revisions and checksums are those that several public projects, independently of each other, state
for these files; where none was found, only the size, or nothing, is given. A file name that
carries digits of its checksum (SAM: MD5, MiDaS: SHA-256) is its publisher's own word.
"""

from __future__ import annotations

from preprocess.external_file import Checksum, ExternalFile, Hub, MadeHere, Source, Url

__all__ = ["MODELS"]

_SEVERAL = "several public projects"
_FILE_NAME = "its file name"
_ANNOTATORS = ("lllyasviel/Annotators", "982e7edaec38759d914a963c48c4726685de7d96")
_DWPOSE = ("yzd-v/DWPose", "1a7144101628d69ee7a3768d1ee3a094070dc388")
_BERT = ("google-bert/bert-base-uncased", "86b5e0934494bd15c9632b12f734a8a67f723594")
_CLIP = ("openai/clip-vit-large-patch14", "32bd64288804d66eefd0ccbe215aa642df71cc41")
_SD14 = ("CompVis/stable-diffusion-v1-4", "133a221b8aa7292a167afc5127cb63fb5005638b")
_VARIATIONS = (  # the commit of its tag v2.0
    "lambdalabs/sd-image-variations-diffusers",
    "a2a13984e57db80adcc9e3f85d568dcccb9b29fc",
)
_OPENPOSE_LICENCE = "non-commercial (CMU)"
_RAIL = "CreativeML OpenRAIL-M"


def _model(
    name: str,
    what: str,
    source: Source,
    licence: str,
    size: int | None = None,
    sha256: str | None = None,
) -> ExternalFile:
    stated = (Checksum("sha256", sha256, _SEVERAL),) if sha256 else ()
    return ExternalFile(name, what, source, licence, size, stated)


def _sam(variant: str, md5: str, size: int, sha256: str) -> ExternalFile:
    file = f"sam_{variant}_{md5}.pth"
    return ExternalFile(
        f"sam/{file}",
        f"Segment Anything, {variant.replace('vit_', 'ViT-').upper()}",
        Url(f"https://dl.fbaipublicfiles.com/segment_anything/{file}"),
        "Apache-2.0",
        size,
        (Checksum("md5", md5, _FILE_NAME), Checksum("sha256", sha256, _SEVERAL)),
        alternative=True,
    )


def _folder(
    group: str, what: str, hub: tuple[str, str], licence: str, files: tuple[str, ...]
) -> tuple[ExternalFile, ...]:
    """A whole folder as its libraries load it; nobody states sizes or checksums."""
    return tuple(_model(f"{group}/{file}", what, Hub(*hub, file), licence) for file in files)


MODELS: tuple[ExternalFile, ...] = (
    _sam(
        *("vit_h", "4b8939", 2564550879),
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    ),
    _sam(
        *("vit_l", "0b3195", 1249524607),
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
    _sam(
        *("vit_b", "01ec64", 375042383),
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    ),
    _model(
        "groundingdino/groundingdino_swint_ogc.pth",
        "GroundingDINO, Swin-T",
        Url(
            "https://github.com/IDEA-Research/GroundingDINO/releases/download/v0.1.0-alpha/"
            "groundingdino_swint_ogc.pth"
        ),
        "Apache-2.0",
        693997677,
        "3b3ca2563c77c69f651d7bd133e97139c186df06231157a64c507099c52bc799",
    ),
    # Its weights are in GroundingDINO's own file.
    _model("bert/config.json", "BERT's shape", Hub(*_BERT, "config.json"), "Apache-2.0", 570),
    _model(
        "bert/vocab.txt",
        "BERT's vocabulary",
        Hub(*_BERT, "vocab.txt"),
        "Apache-2.0",
        231508,
        "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    ),
    _model(
        *("bert/tokenizer.json", "BERT's tokenizer", Hub(*_BERT, "tokenizer.json")),
        *("Apache-2.0", 466062),
    ),
    _model(
        *("bert/tokenizer_config.json", "BERT's tokenizer", Hub(*_BERT, "tokenizer_config.json")),
        *("Apache-2.0", 48),
    ),
    _model(
        "openpose/body_pose_model.pth",
        "OpenPose, body",
        Hub(*_ANNOTATORS, "body_pose_model.pth"),
        _OPENPOSE_LICENCE,
        209267595,
        "25a948c16078b0f08e236bda51a385d855ef4c153598947c28c0d47ed94bb746",
    ),
    _model(
        "openpose/hand_pose_model.pth",
        "OpenPose, hands",
        Hub(*_ANNOTATORS, "hand_pose_model.pth"),
        _OPENPOSE_LICENCE,
        147341049,
        "b76b00d1750901abd07b9f9d8c98cc3385b8fe834a26d4b4f0aad439e75fc600",
    ),
    _model(
        "openpose/facenet.pth",
        "OpenPose, face",
        Hub(*_ANNOTATORS, "facenet.pth"),
        _OPENPOSE_LICENCE,
        153718792,
        "8beb52e548624ffcc4aed12af7aee7dcbfaeea420c75609fee999fe7add79d43",
    ),
    _model(
        "dwpose/yolox_l.onnx",
        "YOLOX-L, DWPose's detector",
        Hub(*_DWPOSE, "yolox_l.onnx"),
        "Apache-2.0",
        216746733,
        "7860ae79de6c89a3c1eb72ae9a2756c0ccfbe04b7791bb5880afabd97855a411",
    ),
    _model(
        "dwpose/dw-ll_ucoco_384.onnx",
        "DWPose, whole body",
        Hub(*_DWPOSE, "dw-ll_ucoco_384.onnx"),
        "Apache-2.0",
        134399116,
        "724f4ff2439ed61afb86fb8a1951ec39c6220682803b4a8bd4f598cd913b1843",
    ),
    ExternalFile(
        "midas/dpt_hybrid-midas-501f0c75.pt",
        "MiDaS 3.0, DPT-hybrid",
        Hub(*_ANNOTATORS, "dpt_hybrid-midas-501f0c75.pt"),
        "MIT",
        None,
        (
            Checksum("sha256", "501f0c75", _FILE_NAME),
            Checksum(
                "sha256",
                "501f0c75b3bca7daec6b3682c5054c09b366765aef6fa3a09d03a5cb4b230853",
                _SEVERAL,
            ),
        ),
    ),
    _model(
        "hdnet/hdnet.safetensors",
        "HDNet, normals and depth of people",
        MadeHere("idol-prep weights convert-hdnet CKPT_DIR", "the checkpoints HDNet publishes"),
        "MIT",
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
        "image encoder for Stable Diffusion 1.4",
        _CLIP,
        "MIT (see model card)",
        ("config.json", "preprocessor_config.json"),
    ),
    _model(
        "clip-vit-large-patch14/model.safetensors",
        "image encoder for Stable Diffusion 1.4",
        Hub(*_CLIP, "model.safetensors"),
        "MIT (see model card)",
        1710540580,
        "a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb",
    ),
)
