"""SAM 3's video model of `transformers`, asked for every `person`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from preprocess.annotators.huggingface.pretrained import load_network, load_processor
from preprocess.annotators.spec import Hardware
from preprocess.annotators.torch.packages import needed_packages

__all__ = ["PROMPT", "VideoSegmenter"]

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
