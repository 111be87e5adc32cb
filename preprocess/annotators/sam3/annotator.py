"""SAM 3 as a mask annotator: everybody in the clip, or the one who is wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from preprocess.annotators.huggingface.pretrained import load_network, load_processor
from preprocess.annotators.scene import Masks, Scene
from preprocess.annotators.spec import Hardware, PeopleMode
from preprocess.annotators.torch.loading import needed_packages
from preprocess.crop import Box, main_box
from preprocess.identity import choose_track, nth_person, prominence

__all__ = ["PROMPT", "Sam3", "VideoSegmenter"]

# Each frame's people: (H, W) bool by number.
Found = Sequence[Mapping[int, np.ndarray]]


class Sam3:
    """Masks made at the source's size, and brought to the clip's square as its frames are."""

    def __init__(
        self,
        segment: Callable[[Sequence[np.ndarray]], Found],
        *,
        people: PeopleMode,
        person: str,
    ) -> None:
        """`segment` is a `VideoSegmenter`."""
        self._segment = segment
        self._people = people
        self._person = person

    def find(self, frames: Sequence[np.ndarray]) -> list[list[Box]]:
        """Everybody's box in each frame, (H, W, 3) uint8 RGB, each looked at by itself."""
        found = [there for frame in frames for there in self._segment([frame])]
        return [[_box(mask) for mask in there.values() if mask.any()] for there in found]

    def masks(self, scene: Scene) -> Masks:
        # Where people overlap a pixel is one's alone, which may leave nothing of another.
        found = [
            {number: mask for number, mask in there.items() if mask.any()}
            for there in self._segment(scene.frames)
        ]
        if self._people == "all":
            wanted = [set(there) for there in found]
        elif scene.identity is not None:
            wanted = _of_subject(found, scene)
        else:
            wanted = [_one(found, self._person)] * len(found)
        clip, boxes = [], []
        for frame, there, who in zip(scene.frames, found, wanted, strict=True):
            people = [mask for number, mask in there.items() if number in who]
            union = np.zeros(frame.shape[:2], bool)
            for mask in people:
                union |= mask
            clip.append(scene.crop.apply(union.astype(np.uint8) * 255))
            boxes.append(tuple(_box(mask) for mask in people))
        return Masks(np.stack(clip), tuple(boxes))


def _of_subject(found: Found, scene: Scene) -> list[set[int]]:
    """In each frame the number of whoever is the scene's subject there."""
    assert scene.identity is not None
    numbers = sorted(set().union(*found))
    tracks = [{t: _box(there[n]) for t, there in enumerate(found) if n in there} for n in numbers]
    chosen = choose_track(scene.identity, tracks, scene.frames, scene.indices)
    return [set() if n is None else {numbers[n]} for n in chosen]


def _one(found: Found, person: str) -> set[int]:
    """The number of the wanted person, summed over the frames, and of those who are never there
    together with them: most often it is they, lost and found again."""
    weights: dict[int, float] = {}
    for there in found:
        for number, mask in there.items():
            height, width = mask.shape
            weight = prominence(_box(mask), width, height, person)
            weights[number] = weights.get(number, 0) + weight
    chosen: set[int] = set()
    ordered = sorted(weights, key=lambda number: (-weights[number], number))
    for number in ordered[nth_person(person) - 1 :]:
        if not any(number in there and chosen & there.keys() for there in found):
            chosen.add(number)
    return chosen


def _box(mask: np.ndarray) -> Box:
    """Around a mask, (H, W) bool, that is not empty."""
    box = main_box(mask)
    assert box is not None
    return box


PROMPT = "person"


@dataclass(frozen=True, eq=False)
class VideoSegmenter:
    """Finds people in consecutive frames and follows them; a clip goes through by itself."""

    processor: Any
    module: Any
    hardware: Hardware

    @classmethod
    def load(cls, folder: Path, hardware: Hardware) -> VideoSegmenter:
        """From a folder that `save_pretrained` wrote. Raises InputError when it is no SAM 3."""
        with needed_packages("SAM 3"):
            from transformers import Sam3VideoModel, Sam3VideoProcessor
        what = f"SAM 3 in {folder}"
        module = load_network(Sam3VideoModel, folder, what)
        processor = load_processor(Sam3VideoProcessor, folder, what)
        return cls(processor, module.to(hardware.device), hardware)

    @torch.inference_mode()
    def __call__(self, frames: Sequence[np.ndarray]) -> list[dict[int, np.ndarray]]:
        """(H, W, 3) uint8 RGB frames -> each frame's people: (H, W) bool by a number that stays
        the person's own through the clip."""
        session = self.processor.init_video_session(
            video=np.stack(frames), inference_device=self.hardware.device, dtype=torch.float32
        )
        self.processor.add_text_prompt(session, PROMPT)
        people: list[dict[int, np.ndarray]] = [{} for _ in frames]
        with _half_precision(self.hardware):
            for output in self.module.propagate_in_video_iterator(session):
                found = self.processor.postprocess_outputs(session, output)
                masks = found["masks"].cpu().numpy()
                numbers = found["object_ids"].tolist()
                people[output.frame_idx] = dict(zip(numbers, masks, strict=True))
        return people


def _half_precision(hardware: Hardware) -> AbstractContextManager[object]:
    """bfloat16 on a GPU: in it the library keeps what it remembers of earlier frames, and torch
    refuses to mix that with float16."""
    if hardware.half and hardware.device.startswith("cuda"):
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()
