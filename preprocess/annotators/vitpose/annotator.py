"""ViTPose as an annotator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from preprocess.annotators.dwpose.annotator import COCO_WHOLEBODY_133, from_coco_wholebody
from preprocess.annotators.huggingface.pretrained import load_network, load_processor
from preprocess.annotators.people import Finding, people_of_clip
from preprocess.annotators.sanity import CheckedKeypoints
from preprocess.annotators.scene import Scene
from preprocess.annotators.spec import Hardware, Settings
from preprocess.annotators.torch.batching import Batches
from preprocess.annotators.torch.device import half_precision
from preprocess.annotators.torch.loading import needed_packages
from preprocess.crop import Box
from preprocess.errors import InputError
from shards.sample.skeleton import MIN_SCORE

__all__ = ["PoseModel", "VitPose"]


class VitPose:
    """The body's joints of the people whom the mask annotator found, or else the lite tracker."""

    min_score = MIN_SCORE

    def __init__(
        self,
        pose: Callable[[Sequence[tuple[np.ndarray, Box]]], Sequence[np.ndarray]],
        settings: Settings,
    ) -> None:
        """`pose` is a `PoseModel`; `people_of_clip` says what the settings do."""
        self._pose = pose
        self._settings = settings

    def keypoints(self, scene: Scene) -> CheckedKeypoints:
        """The people's OPENPOSE_134 joints in pixels of the clip; hands, face and feet score 0."""
        height, width = scene.frames[0].shape[:2]

        def joints_of(wanted: Sequence[Finding]) -> list[np.ndarray]:
            people = [(scene.frames[frame], scene.boxes[frame][n]) for frame, n in wanted]
            return [_from_coco(joints, width, height) for joints in self._pose(people)]

        return people_of_clip(scene, scene.boxes, joints_of, self._settings)


def _from_coco(joints: np.ndarray, width: int, height: int) -> np.ndarray:
    """(17, 3) in COCO's order, with which COCO-WholeBody's begins -> (134, 3)."""
    whole = np.zeros((len(COCO_WHOLEBODY_133), 3), np.float32)
    whole[: len(joints)] = joints
    return from_coco_wholebody(whole, width, height)


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
