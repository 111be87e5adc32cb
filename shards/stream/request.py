"""What is asked of each clip, and what its tar must hold for that."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

from shards.latents.info import LatentsInfo
from shards.stream.foreground import Cut

__all__ = ["Depth", "Modality", "Request", "depth_there", "modalities_there"]

Modality = Literal["rgb", "mask", "pose", "depth", "reference"]
Depth = Literal["person", "frame"]


@dataclass(frozen=True)
class Request:
    """The content of a sample. Raises ValueError naming the first mistake.

    `modalities`      arrays wanted; `reference` stands for foreground, background, their masks.
    `max_frame_step`  frames of a sample are up to so many frames of the clip apart.
    `crop_area`       share of the picture's area that a random crop keeps: lowest, highest.
    `mirror`          probability of a mirror image.
    `latents`         take these cached latents in place of pictures, where there can be any: the
                      hole of HAP's and HAOP's background is another each time.
    """

    frames: int
    modalities: frozenset[Modality]
    depth: Depth
    cut: Cut
    max_frame_step: int
    crop_area: tuple[float, float]
    mirror: float
    latents: LatentsInfo | None = None

    def __post_init__(self) -> None:
        if self.frames < 1 or self.max_frame_step < 1:
            raise ValueError("frames and max_frame_step must be at least 1")
        for value, choices in ((self.depth, Depth), (self.cut, Cut)):
            if value not in get_args(choices):
                raise ValueError(f"{value!r} is none of {', '.join(get_args(choices))}")
        if unknown := sorted(set(self.modalities) - set(get_args(Modality))):
            known = ", ".join(get_args(Modality))
            raise ValueError(f"no such modality: {', '.join(unknown)}; there are {known}")
        if self.cut != "reference" and self.frames != 1:
            raise ValueError(f"{self.cut} is for single images: frames must be 1")
        low, high = self.crop_area
        if not 0 < low <= high <= 1:
            raise ValueError(f"crop_area must be two rising shares in (0, 1], not {low}, {high}")
        if not 0 <= self.mirror <= 1:
            raise ValueError(f"mirror must be a probability, not {self.mirror}")
        if self.moves and self.latents is not None:
            raise ValueError(
                "cached latents are those of whole pictures, as they are: stream without crop_area "
                "and mirror, or without latents"
            )

    @property
    def moves(self) -> bool:
        """Whether pictures may be cropped or mirrored."""
        return self.crop_area[0] < 1 or self.mirror > 0

    @property
    def stored(self) -> frozenset[str]:
        """Modalities that the tars must have, by the names of `shards.sample.members`."""
        stored: set[str] = {"rgb", *(self.modalities & {"mask", "pose"})}
        if "depth" in self.modalities:
            stored.add(f"depth_{self.depth}")
        if "pose" in self.modalities and self.moves:
            stored.add("keypoints")
        if "reference" in self.modalities:
            stored |= _parts_of(self.cut)
        return frozenset(stored)

    @property
    def cached(self) -> dict[str, str]:
        """What is taken from latents: a sample's array to the member of the tar."""
        if self.latents is None:
            return {}
        stored = {"rgb": "rgb", "pose": "pose", "depth": f"depth_{self.depth}"}
        cached = {
            f"{name}_latents": f"{member}_latents"
            for name, member in stored.items()
            if name in self.modalities
        }
        if "reference" in self.modalities and self.cut == "reference":
            cached["background_latents"] = "background_latents"
        return cached

    def shapes(self, height: int, width: int) -> dict[str, tuple[int, ...]]:
        """Shape of each array of a sample; `recycle.dtype_of` tells its type."""
        grey: tuple[int, ...] = (height, width)
        picture = (*grey, 3)
        per_frame = (("rgb", picture), ("mask", grey), ("pose", picture), ("depth", picture))
        shapes = {name: (self.frames, *shape) for name, shape in per_frame}
        shapes = {name: shape for name, shape in shapes.items() if name in self.modalities}
        if "reference" in self.modalities:
            for part in ("foreground", "background"):
                shapes |= {part: picture, f"{part}_mask": grey}
        if self.latents is not None:
            for name in self.cached:
                one = name == "background_latents"
                shapes[name] = self.latents.shape if one else (self.frames, *self.latents.shape)
                shapes.pop(name.removesuffix("_latents"))
            if "background_latents" in self.cached:
                shapes.pop("background_mask")
        return shapes


def modalities_there(stored: Collection[str], depth: Depth, cut: Cut) -> frozenset[Modality]:
    """All that can be asked of a clip with these stored modalities."""
    there: dict[Modality, bool] = {
        "rgb": True,
        "mask": "mask" in stored,
        "pose": "pose" in stored,
        "depth": f"depth_{depth}" in stored,
        "reference": all(name in stored for name in _parts_of(cut)),
    }
    return frozenset(name for name, is_there in there.items() if is_there)


def depth_there(stored: Collection[str]) -> Depth:
    """The person's depth, the paper's default, unless the whole frame's is the only one."""
    return "frame" if "depth_frame" in stored and "depth_person" not in stored else "person"


def _parts_of(cut: Cut) -> frozenset[str]:
    """What foreground and background are cut from."""
    return frozenset(("reference", "reference_mask") if cut == "reference" else ("rgb", "mask"))
