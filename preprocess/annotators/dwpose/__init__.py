"""DWPose (Yang et al., ICCV-W 2023): body, feet, face and hands, by ONNX files and rtmlib."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from preprocess.annotators.choices import Record

if TYPE_CHECKING:
    from preprocess.annotators.dwpose.annotator import DWPose
    from preprocess.annotators.people import People, Person
    from preprocess.annotators.torch.batching import BatchSize

__all__ = ["DETECTOR", "POSE", "load"]

DETECTOR = "dwpose/yolox_l.onnx"
POSE = "dwpose/dw-ll_ucoco_384.onnx"


def load(
    record: Record,
    locate: Callable[[str], Path],
    *,
    people: People,
    person: Person,
    smooth: bool,
    device: str,
    batch: BatchSize,
) -> DWPose:
    """Load the networks from the files that `locate` gives for `DETECTOR` and `POSE`.

    Raises InputError for a package or file that is absent, or a file that is something else.
    """
    from preprocess.annotators.dwpose.annotator import DWPose
    from preprocess.annotators.dwpose.networks import PersonDetector, PoseNetwork

    return DWPose(
        record,
        PersonDetector(locate(DETECTOR), device, batch=batch),
        PoseNetwork(locate(POSE), device, batch=batch),
        people=people,
        person=person,
        smooth=smooth,
    )
