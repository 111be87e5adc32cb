"""OpenPose (Cao et al., CVPR 2017): body, hands and face, by controlnet_aux's networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from preprocess.annotators.choices import Record

if TYPE_CHECKING:
    from preprocess.annotators.openpose.annotator import OpenPose
    from preprocess.annotators.people import People, Person
    from preprocess.annotators.torch.batching import BatchSize

__all__ = ["BODY", "FACE", "HAND", "load"]

BODY = "openpose/body_pose_model.pth"
HAND = "openpose/hand_pose_model.pth"
FACE = "openpose/facenet.pth"


def load(
    record: Record,
    locate: Callable[[str], Path],
    *,
    people: People,
    person: Person,
    hands_and_face: bool,
    smooth: bool,
    device: str,
    half: bool,
    batch: BatchSize,
) -> OpenPose:
    """Load the networks from the files that `locate` gives for `BODY`, and `HAND` and `FACE`.

    Raises InputError for a package or file that is absent, or a file that is something else.
    """
    from preprocess.annotators.openpose.annotator import OpenPose
    from preprocess.annotators.openpose.networks import load_body, load_face, load_hand

    return OpenPose(
        record,
        load_body(locate(BODY), device, half=half, batch=batch),
        load_hand(locate(HAND), device, half=half, batch=batch) if hands_and_face else None,
        load_face(locate(FACE), device, half=half, batch=batch) if hands_and_face else None,
        people=people,
        person=person,
        smooth=smooth,
    )
