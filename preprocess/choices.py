"""The choices of a build, as plain values: importing them loads no library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from preprocess import weights

__all__ = ["AnnotatorChoice", "CropMode", "DatasetName", "PoseStyle", "Record"]

CropMode = Literal["center", "subject", "none"]
DatasetName = Literal["tiktok", "ntu120", "videos", "images"]
PoseStyle = Literal["openpose", "dwpose"]

# Raised whenever the lite annotations of the same frames change, for whatever reason.
LITE_VERSION = "1"

LITE_BODY = ("lite/pose_detection.tflite", "lite/pose_landmark_full.tflite")
_HANDS = (
    "lite/hand_recrop.tflite",
    "lite/hand_landmark_full.tflite",
    "lite/palm_detection_full.tflite",
)
_FACE = ("lite/face_detection_short_range.tflite", "lite/face_landmark.tflite")


@dataclass(frozen=True)
class Record:
    """Which annotator made something: goes into the sample's json and `dataset.json`.

    `weights` maps file names to their SHA-256.
    """

    name: str
    version: str
    weights: dict[str, str]

    def as_json(self) -> dict[str, object]:
        return {"name": self.name, "version": self.version, "weights": dict(self.weights)}


@dataclass(frozen=True)
class AnnotatorChoice:
    """Which annotator makes each modality; "none" leaves it out."""

    mask: Literal["lite", "none"] = "lite"
    pose: Literal["lite", "none"] = "lite"
    pose_style: PoseStyle = "openpose"
    depth: Literal["lite", "none"] = "lite"
    smooth: bool = True
    crop: CropMode = "subject"

    @property
    def tracks_person(self) -> bool:
        """Whether anything, the crop included, needs to know where the person is."""
        return "lite" in (self.mask, self.pose, self.depth) or self.crop == "subject"

    @property
    def hands_and_face(self) -> bool:
        return self.pose == "lite" and self.pose_style == "dwpose"

    def records(self) -> dict[str, Record]:
        """Who makes what, by modality: known without loading anything."""
        makers = {
            "person": lite_record("lite-person", LITE_BODY) if self.tracks_person else None,
            "mask": lite_record("lite-mask", LITE_BODY) if self.mask == "lite" else None,
            "pose": lite_record("lite-pose", self._pose_files) if self.pose == "lite" else None,
            "hdnet": lite_record("lite-depth", LITE_BODY) if self.depth == "lite" else None,
            "midas": lite_record("lite-depth", LITE_BODY) if self.depth == "lite" else None,
        }
        return {modality: record for modality, record in makers.items() if record}

    @property
    def _pose_files(self) -> tuple[str, ...]:
        return (*LITE_BODY, *_HANDS, *_FACE) if self.hands_and_face else LITE_BODY


def lite_record(name: str, files: tuple[str, ...]) -> Record:
    checksums = {f.name: weights.checksum(f.name) for f in weights.files(*files)}
    return Record(name, LITE_VERSION, checksums)
