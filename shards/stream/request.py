"""What is asked of each clip, and what its tar must hold for that."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import get_args

from shards.latents import BACKGROUND, LatentsInfo
from shards.sample.modalities import Depth, Modality, Streamed, streamed_rows
from shards.stream.foreground import Cut

__all__ = ["REFERENCE", "Request", "depth_there", "modalities_there"]

REFERENCE = "reference"  # stands for foreground, background and their masks


@dataclass(frozen=True)
class Request:
    """The content of a sample. Raises ValueError naming the first mistake.

    `modalities`      arrays wanted, as the table's rows are streamed, and `reference`, which stands
                      for foreground, background and their masks.
    `max_frame_step`  frames of a sample are up to so many frames of the clip apart.
    `crop_area`       fraction of the image's area that a random crop keeps: lowest, highest.
    `mirror`          probability of a mirror image.
    `latents`         take these cached latents in place of images, where there can be any: the
                      hole of HAP's and HAOP's background is another each time.
    """

    frames: int
    modalities: frozenset[str]
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
        if unknown := sorted(set(self.modalities) - set(_names())):
            known = ", ".join(_names())
            raise ValueError(f"no such modality: {', '.join(unknown)}; there are {known}")
        if self.cut != "reference" and self.frames != 1:
            raise ValueError(f"{self.cut} is for single images: frames must be 1")
        low, high = self.crop_area
        if not 0 < low <= high <= 1:
            raise ValueError(f"crop_area must be two rising fractions in (0, 1], not {low}, {high}")
        if not 0 <= self.mirror <= 1:
            raise ValueError(f"mirror must be a probability, not {self.mirror}")
        if self.moves and self.latents is not None:
            raise ValueError(
                "cached latents are those of whole, unchanged images: stream without crop_area "
                "and mirror, or without latents"
            )
        still = [row.name for row, streamed in self.rows if streamed.moves == "never"]
        if self.moves and still:
            raise ValueError(
                f"{', '.join(still)} can be neither cropped nor mirrored: stream without crop_area "
                "and mirror, or leave it out"
            )

    @property
    def moves(self) -> bool:
        """Whether images may be cropped or mirrored."""
        return self.crop_area[0] < 1 or self.mirror > 0

    @property
    def rows(self) -> list[tuple[Modality, Streamed]]:
        """The table's rows of what is wanted, but for `reference`, in their order."""
        return [
            (row, streamed)
            for row, streamed in _rows(self.depth)
            if streamed.array in self.modalities
        ]

    @property
    def stored(self) -> frozenset[str]:
        """Modalities that the tars must have, by their names in the table."""
        stored = {"rgb", *(row.name for row, _ in self.rows)}
        if self.moves and any(streamed.moves == "redrawn" for _, streamed in self.rows):
            stored.add("keypoints")
        if REFERENCE in self.modalities:
            stored |= _parts_of(self.cut)
        return frozenset(stored)

    @property
    def cached(self) -> dict[str, str]:
        """What is taken from latents: a sample's array to the member of the tar."""
        if self.latents is None:
            return {}
        cached = {
            f"{streamed.array}_latents": f"{row.name}_latents"
            for row, streamed in self.rows
            if streamed.latents
        }
        if REFERENCE in self.modalities and self.cut == "reference":
            cached[BACKGROUND] = BACKGROUND
        return cached

    def shapes(self, height: int, width: int) -> dict[str, tuple[int, ...]]:
        """Shape of each array of a sample; `recycle.dtype_of` gives its type."""
        grey: tuple[int, ...] = (height, width)
        colour = (*grey, 3)
        shapes = {
            streamed.array: (self.frames, *(colour if streamed.channels == 3 else grey))
            for _, streamed in self.rows
        }
        if REFERENCE in self.modalities:
            for part in ("foreground", "background"):
                shapes |= {part: colour, f"{part}_mask": grey}
        if self.latents is not None:
            for name in self.cached:
                one = name == BACKGROUND
                shapes[name] = self.latents.shape if one else (self.frames, *self.latents.shape)
                shapes.pop(name.removesuffix("_latents"))
            if BACKGROUND in self.cached:
                shapes.pop("background_mask")
        return shapes


def modalities_there(stored: Collection[str], depth: Depth, cut: Cut) -> frozenset[str]:
    """All that can be asked of a clip with these stored modalities."""
    there = {streamed.array for row, streamed in _rows(depth) if row.name in stored}
    parts = {REFERENCE} if _parts_of(cut) <= set(stored) else set()
    return frozenset({"rgb"} | there | parts)


def depth_there(stored: Collection[str]) -> Depth:
    """The person's depth, the paper's default, unless the whole frame's is the only one."""
    depths = [s.depth for row, s in streamed_rows() if s.depth and row.name in stored]
    return depths[0] if depths else "person"


def _rows(depth: Depth) -> Iterator[tuple[Modality, Streamed]]:
    """The table's rows that are streamed, with one of the two depths."""
    for row, streamed in streamed_rows():
        if streamed.depth in (None, depth):
            yield row, streamed


def _names() -> list[str]:
    return [*dict.fromkeys(streamed.array for _, streamed in streamed_rows()), REFERENCE]


def _parts_of(cut: Cut) -> frozenset[str]:
    """What foreground and background are cut from."""
    return frozenset(("reference", "reference_mask") if cut == "reference" else ("rgb", "mask"))
