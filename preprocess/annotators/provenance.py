"""Who makes each modality: name, version, files, packages and notice, known without loading it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from preprocess import weights
from preprocess.annotators.choices import AnnotatorChoice, Record, SamSize, split_model
from preprocess.annotators.huggingface.model_folder import folder_checksums, folder_name
from preprocess.annotators.openpose.notice import NOTICE
from preprocess.errors import InputError

__all__ = [
    "BERT_FILES",
    "DETECTOR_FILE",
    "SAM_FILES",
    "Maker",
    "makers",
    "records",
    "required_files",
    "software",
]

# Raised whenever the annotations of the same frames change, for whatever reason.
LITE_VERSION = "1"

_LITE_BODY = ("lite/pose_detection.tflite", "lite/pose_landmark_full.tflite")
_LITE_EXTRAS = (
    *("lite/hand_recrop.tflite", "lite/hand_landmark_full.tflite"),
    "lite/palm_detection_full.tflite",
    *("lite/face_detection_short_range.tflite", "lite/face_landmark.tflite"),
)
SAM_FILES: dict[SamSize, str] = {
    "vit_h": "sam/sam_vit_h_4b8939.pth",
    "vit_l": "sam/sam_vit_l_0b3195.pth",
    "vit_b": "sam/sam_vit_b_01ec64.pth",
}
DETECTOR_FILE = "groundingdino/groundingdino_swint_ogc.pth"
BERT_FILES = tuple(
    f"bert/{name}"
    for name in ("config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json")
)
# The packages of every build whose versions can change a dataset's bytes.
_SOFTWARE = ("idol-video", "ai-edge-litert", "av", "numpy", "opencv-python-headless", "pyarrow")


@dataclass(frozen=True)
class Maker:
    """`files` are names in the registry, `packages` of distributions beyond the core's; `model`
    is a Hugging Face model or its folder."""

    name: str
    version: str = "1"
    files: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    notice: str | None = None
    model: str | None = None

    def record(self, root: str | Path | None) -> Record:
        """With the checksums of what will be loaded from the folder of external files.

        Raises InputError for a file that has no published checksum and is absent.
        """
        if self.model is None:
            sums = {name: weights.checksum(name, root) for name in self.files}
        else:
            sums = folder_checksums(self.model)
        return Record(self.name, self.version, sums, self.notice)


def makers(choice: AnnotatorChoice) -> dict[str, Maker]:
    """Who makes what, by modality; `person` is the lite tracker."""
    made: dict[str, Maker] = {}
    if choice.tracks_person:
        made["person"] = Maker("lite-person", LITE_VERSION, _LITE_BODY)
    if choice.mask != "none":
        made["mask"] = _mask(choice)
    if choice.pose != "none":
        made["pose"] = _pose(choice)
    return made | {member: _depth(name) for member, name in choice.depth_members.items()}


def records(choice: AnnotatorChoice, root: str | Path | None = None) -> dict[str, Record]:
    """The makers' records, by modality. Raises InputError as `Maker.record` does."""
    return {modality: maker.record(root) for modality, maker in makers(choice).items()}


def required_files(choice: AnnotatorChoice) -> tuple[weights.ExternalFile, ...]:
    """The registry's files that loading the annotators will want."""
    names = {name for maker in makers(choice).values() for name in maker.files}
    return weights.files(*sorted(names)) if names else ()


def software(choice: AnnotatorChoice) -> dict[str, str]:
    """Versions of the packages that can change a dataset's bytes.

    Raises InputError, naming all of them, for packages that are not installed.
    """
    wanted: Mapping[str, str] = {
        package: f"{modality} by {maker.name}"
        for modality, maker in makers(choice).items()
        for package in maker.packages
    }
    found, missing = {}, []
    for package in sorted({*_SOFTWARE, *wanted}):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        uses = sorted({wanted[package] for package in missing if package in wanted})
        raise InputError(
            f"not installed: {', '.join(missing)}, needed for {', '.join(uses) or 'every build'}. "
            "Install the paper's annotators with `make install-paper`."
        )
    return found


def _mask(choice: AnnotatorChoice) -> Maker:
    if choice.mask == "grounded-sam":
        return Maker(
            "grounded-sam",
            files=(DETECTOR_FILE, *BERT_FILES, SAM_FILES[choice.sam]),
            packages=(
                *("groundingdino-py", "segment-anything"),
                *("torch", "torchvision", "transformers"),
            ),
        )
    if choice.mask == "source":
        return Maker("source-mask")
    return Maker("lite-mask", LITE_VERSION, _LITE_BODY)


def _pose(choice: AnnotatorChoice) -> Maker:
    if choice.pose == "openpose":
        more = ("hand_pose_model.pth", "facenet.pth") if choice.hands_and_face else ()
        return Maker(
            "openpose",
            files=tuple(f"openpose/{name}" for name in ("body_pose_model.pth", *more)),
            packages=("controlnet-aux", "torch"),
            notice=NOTICE,
        )
    if choice.pose == "dwpose":
        return Maker(
            "dwpose",
            files=("dwpose/dw-ll_ucoco_384.onnx", "dwpose/yolox_l.onnx"),
            packages=("onnxruntime", "rtmlib"),
        )
    extras = _LITE_EXTRAS if choice.hands_and_face else ()
    return Maker("lite-pose", LITE_VERSION, (*_LITE_BODY, *extras))


def _depth(name: str) -> Maker:
    if model := split_model(name):
        packages = ("huggingface-hub", "torch", "transformers")
        return Maker(f"hf:{folder_name(model)}", packages=packages, model=model)
    if name == "hdnet":
        return Maker("hdnet", files=("hdnet/hdnet.safetensors",), packages=("safetensors", "torch"))
    if name == "midas":
        return Maker(
            "midas",
            files=("midas/dpt_hybrid-midas-501f0c75.pt",),
            packages=("controlnet-aux", "timm", "torch"),
        )
    return Maker("lite-depth", LITE_VERSION, _LITE_BODY)
