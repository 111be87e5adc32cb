"""ViTPose of `transformers`: the 17 joints of COCO of each person in their box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from preprocess.annotators.huggingface.pretrained import load_network, load_processor
from preprocess.annotators.spec import Hardware
from preprocess.annotators.torch.batching import Batches
from preprocess.annotators.torch.device import half_precision
from preprocess.annotators.torch.packages import needed_packages
from preprocess.crop import Box
from preprocess.errors import InputError

__all__ = ["JOINTS", "PoseModel"]

JOINTS = 17
# ViTPose++ has experts, one for each dataset that it was trained on: COCO's is the first.
_COCO = 0
_BYTES_PER_PERSON = 200 << 20  # of the largest published, ViTPose++-H


@dataclass(frozen=True, eq=False)
class PoseModel:
    """A person's result does not depend on the others."""

    processor: Any
    module: Any
    hardware: Hardware
    batches: Batches

    @classmethod
    def load(cls, folder: Path, hardware: Hardware) -> PoseModel:
        """From a folder that `save_pretrained` wrote. Raises InputError when it is no ViTPose."""
        with needed_packages("ViTPose"):
            from transformers import AutoImageProcessor, VitPoseForPoseEstimation
        what = f"ViTPose in {folder}"
        module = load_network(VitPoseForPoseEstimation, folder, what)
        if module.config.num_labels != JOINTS:
            raise InputError(
                f"{what} finds {module.config.num_labels} joints, not COCO's {JOINTS}: use "
                "another one, such as usyd-community/vitpose-base-simple"
            )
        processor = load_processor(AutoImageProcessor, folder, what)
        batches = Batches(hardware, _BYTES_PER_PERSON)
        return cls(processor, module.to(hardware.device), hardware, batches)

    def __call__(self, wanted: Sequence[tuple[np.ndarray, Box]]) -> list[np.ndarray]:
        """(H, W, 3) uint8 RGB frames, each with a person's box in its pixels -> (17, 3) float32
        each: x, y in pixels of the frame, and the score, the height of the heat map's peak."""
        return self.batches.map(self._forward, wanted)

    @torch.inference_mode()
    def _forward(self, wanted: Sequence[tuple[np.ndarray, Box]]) -> list[np.ndarray]:
        boxes = [[[x0, y0, x1 - x0, y1 - y0]] for _, (x0, y0, x1, y1) in wanted]
        inputs = self.processor(
            [frame for frame, _ in wanted],
            boxes=boxes,
            return_tensors="pt",
            input_data_format="channels_last",
        ).to(self.hardware.device)
        if self.module.config.backbone_config.num_experts > 1:
            experts = torch.full((len(wanted),), _COCO, device=self.hardware.device)
            inputs["dataset_index"] = experts
        with half_precision(self.hardware):
            outputs = self.module(**inputs)
        outputs.heatmaps = outputs.heatmaps.float()
        found = self.processor.post_process_pose_estimation(outputs, boxes=boxes)
        return [
            np.concatenate([person["keypoints"], person["scores"][:, None]], 1, dtype=np.float32)
            for (person,) in found
        ]
