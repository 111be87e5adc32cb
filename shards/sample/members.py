"""Members of a sample: which file holds which modality, and how it is named.

{key}.json               what the clip is, and who annotated it
{key}.rgb.000.jpg ...    one file a frame, for rgb, mask, pose, depth_person and depth_frame
{key}.keypoints.npy      one file a clip, for keypoints, reference and reference_mask
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["JSON", "KINDS", "Kind", "member_name", "parse_suffix", "split_name"]

JSON = "json"


@dataclass(frozen=True)
class Kind:
    """How a modality is stored: the files' extension, and whether each frame has one."""

    extension: str
    per_frame: bool


KINDS = {
    "rgb": Kind("jpg", per_frame=True),
    "mask": Kind("png", per_frame=True),
    "pose": Kind("png", per_frame=True),
    "keypoints": Kind("npy", per_frame=False),
    "depth_person": Kind("png", per_frame=True),
    "depth_frame": Kind("png", per_frame=True),
    "reference": Kind("jpg", per_frame=False),
    "reference_mask": Kind("png", per_frame=False),
}


def member_name(key: str, modality: str, frame: int | None = None) -> str:
    """Name of the member with a modality (or `JSON`) of a sample, and of a frame of it."""
    if modality == JSON:
        return f"{key}.json"
    kind = KINDS[modality]
    if kind.per_frame != (frame is not None):
        raise ValueError(f"{modality} is stored per {'frame' if kind.per_frame else 'clip'}")
    middle = "" if frame is None else f".{frame:03d}"
    return f"{key}.{modality}{middle}.{kind.extension}"


def split_name(name: str) -> tuple[str, str]:
    """`(key, suffix)`: a member's name cut at its first dot, as WebDataset does."""
    key, _, suffix = name.partition(".")
    return key, suffix


def parse_suffix(suffix: str) -> tuple[str, int | None] | None:
    """`(modality, frame)` of a member by what follows its key; None for members of others."""
    if suffix == JSON:
        return JSON, None
    match = re.fullmatch(r"(\w+?)(?:\.([0-9]{3,9}))?\.(\w+)", suffix, re.ASCII)
    if match is None:
        return None
    modality, frame, extension = match.groups()
    kind = KINDS.get(modality)
    if kind is None or kind.extension != extension or kind.per_frame != (frame is not None):
        return None
    return modality, None if frame is None else int(frame)
