"""The choices of a build, as plain values: importing them loads no library."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "IMAGE_DATASETS",
    "AnnotatorChoice",
    "CropMode",
    "DatasetName",
    "Hardware",
    "MaskName",
    "PeopleMode",
    "PersonMode",
    "PoseName",
    "PoseStyle",
    "Record",
    "SamSize",
    "split_model",
]

CropMode = Literal["center", "subject", "none"]
DatasetName = Literal[
    "tiktok", "ntu120", "disco", "coco", "shhq", "deepfashion2", "laion", "videos", "images"
]
# Their videos are single pictures.
IMAGE_DATASETS = ("coco", "shhq", "deepfashion2", "laion", "images")

MaskName = Literal["lite", "grounded-sam", "source", "none"]
PoseName = Literal["lite", "openpose", "dwpose", "none"]
PoseStyle = Literal["openpose", "dwpose"]
PeopleMode = Literal["one", "all"]
PersonMode = Literal["largest", "central"]
SamSize = Literal["vit_h", "vit_l", "vit_b"]

_DEPTHS = ("lite", "hdnet", "midas", "none")
_MODEL = "hf:"


@dataclass(frozen=True)
class Record:
    """Which annotator made something: goes into the sample's json and `dataset.json`.

    `weights` maps file names to their SHA-256. `notice` is what its licence wants users told.
    """

    name: str
    version: str
    weights: dict[str, str]
    notice: str | None = None

    def as_json(self) -> dict[str, object]:
        notice = {"notice": self.notice} if self.notice else {}
        return {"name": self.name, "version": self.version, "weights": dict(self.weights), **notice}


@dataclass(frozen=True)
class Hardware:
    """What networks run on. Only `half` may change a byte on purpose."""

    device: str = "cpu"  # "cpu", "cuda" or "cuda:0"
    half: bool = False  # fp16 where the device is a GPU
    batch: int | Literal["auto"] = "auto"  # items in a forward; auto: what fits


@dataclass(frozen=True)
class AnnotatorChoice:
    """Which annotator makes each modality; "none" leaves it out.

    `depth` are one or two annotators with different members: `hdnet`, `midas` or `hf:` and a
    model; or `lite` or `none` alone. `people`, `person`, `sam` and `smooth_masks` are for the
    annotators that look for people themselves.
    """

    mask: MaskName = "lite"
    pose: PoseName = "lite"
    pose_style: PoseStyle = "openpose"
    depth: tuple[str, ...] = ("lite",)
    smooth: bool = True
    crop: CropMode = "subject"
    people: PeopleMode = "one"
    person: PersonMode = "largest"
    sam: SamSize = "vit_h"
    smooth_masks: bool = False

    @property
    def tracks_person(self) -> bool:
        """Whether anything, the crop included, needs the lite tracker."""
        return "lite" in (self.mask, self.pose, *self.depth) or self.crop == "subject"

    @property
    def finds_people(self) -> bool:
        """Whether an annotator looks for people itself, and so can take more than one."""
        return self.mask == "grounded-sam" or self.pose in ("openpose", "dwpose")

    @property
    def hands_and_face(self) -> bool:
        return self.pose_style == "dwpose"

    @property
    def depth_members(self) -> dict[str, str]:
        """Who makes which depth member of a sample: the person's first, however they were given."""
        made: dict[str, str] = {}
        for name in sorted(self.depth, key=lambda name: name != "hdnet"):
            if name == "lite":
                made |= {"depth_person": name, "depth_frame": name}
            elif name != "none":
                made["depth_person" if name == "hdnet" else "depth_frame"] = name
        return made

    @property
    def depth_annotators(self) -> tuple[str, ...]:
        """Names in the order of their members, however they were given."""
        return tuple(dict.fromkeys(self.depth_members.values()))

    @property
    def networks(self) -> bool:
        """Whether networks run that a GPU speeds up."""
        light = {"lite", "source", "none"}
        return not {self.mask, self.pose, *self.depth} <= light

    def mistakes(self) -> Iterator[str]:
        """What cannot be combined, one line each."""
        if not self.depth:
            yield "depth names nobody: say none to leave it out"
        for name in self.depth:
            if name not in _DEPTHS and not (name.startswith(_MODEL) and split_model(name)):
                yield f"depth must be of lite, hdnet, midas, hf:MODEL_OR_FOLDER or none, not {name}"
        alone = {"lite", "none"} & set(self.depth)
        if alone and len(self.depth) > 1:
            yield f"depth {min(alone)} cannot be combined, as in: {' '.join(self.depth)}"
        elif sum(name != "hdnet" for name in self.depth) > 1 or self.depth.count("hdnet") > 1:
            yield (
                "depth may name one of hdnet and one of midas or hf:MODEL, since a sample has one "
                f"member for each, not {' '.join(self.depth)}"
            )
        if "hdnet" in self.depth and self.mask == "none":
            yield "depth hdnet is that of the person: it needs a mask other than none"
        lite = [n for n in ("mask", "pose") if getattr(self, n) == "lite"]
        if self.people == "all" and lite:
            yield f"people all: lite sees one person alone; choose another {' and '.join(lite)}"
        elif self.people == "all" and not self.finds_people:
            yield "people all: nobody looks for people; choose grounded-sam, openpose or dwpose"


def split_model(depth: str) -> str | None:
    """The model's name or folder in `hf:NAME`; None for every other depth."""
    return depth.removeprefix(_MODEL) or None if depth.startswith(_MODEL) else None
