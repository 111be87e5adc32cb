"""A depth model of `transformers` as a function from frames to depth that grows with distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from preprocess.annotators.huggingface.pretrained import load_network, load_processor, loading
from preprocess.annotators.spec import Hardware
from preprocess.annotators.torch.batching import Batches
from preprocess.annotators.torch.device import half_precision
from preprocess.annotators.torch.loading import needed_packages
from preprocess.errors import InputError

__all__ = ["DepthModel"]

INVERSE = "relative inverse depth with its sign turned, smaller is nearer"
RELATIVE = "metres up to a factor of the camera's, smaller is nearer"
METRIC = "metres as the network estimates them, smaller is nearer"
# Models differ by a hundred times; a large one at 518 x 924 takes about this.
FRAME_BYTES = 2 << 30


@dataclass(frozen=True, eq=False)
class DepthModel:
    """`kind` is the architecture's name, `unit` what its depth is measured in."""

    kind: str
    unit: str
    processor: Any
    module: Any
    hardware: Hardware
    batches: Batches

    @classmethod
    def load(cls, folder: Path, hardware: Hardware) -> DepthModel:
        """Load the model that `save_pretrained` wrote to a folder.

        Raises InputError when it does not load, is no depth model, or is of a kind of which it is
        not known whether its numbers grow or fall with distance.
        """
        with needed_packages("a Hugging Face depth model"):
            from transformers import (
                AutoConfig,
                AutoImageProcessor,
                AutoModelForDepthEstimation,
            )
            from transformers.models.auto.modeling_auto import (
                MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES,
            )
        what = f"the depth model {folder}"
        with loading(what):
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        kind = config.model_type
        if kind not in MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES:
            raise InputError(
                f"{folder} is no depth model but a {kind}: use one for depth estimation, "
                f"such as Depth Anything"
            )
        unit = _unit(folder, config)
        processor = load_processor(AutoImageProcessor, folder, what)
        module = load_network(AutoModelForDepthEstimation, folder, what)
        batches = Batches(hardware, FRAME_BYTES)
        return cls(kind, unit, processor, module.to(hardware.device), hardware, batches)

    def __call__(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        """(H, W, 3) uint8 RGB, all of one size -> (H, W) float32 each, in `unit`."""
        return self.batches.map(self._forward, frames)

    @torch.inference_mode()
    def _forward(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        inputs = self.processor(
            images=list(frames), return_tensors="pt", input_data_format="channels_last"
        )
        with half_precision(self.hardware):
            outputs = self.module(**inputs.to(self.hardware.device))
        # To ZoeDepth the second argument is the source's size, to all others the wanted one.
        found = self.processor.post_process_depth_estimation(
            outputs, [frame.shape[:2] for frame in frames]
        )
        depths = [depth["predicted_depth"].float().cpu().numpy() for depth in found]
        return [-depth if self.unit == INVERSE else depth for depth in depths]


def _unit(folder: Path, config: Any) -> str:
    """What the numbers that transformers' own post-processing gives are."""
    kind = config.model_type
    if kind == "depth_anything":
        return INVERSE if config.depth_estimation_type == "relative" else METRIC
    if kind == "dpt":
        # Those on DINOv2 were trained on NYU's and KITTI's metres, the others like MiDaS.
        backbone = getattr(config.backbone_config, "model_type", "")
        return METRIC if backbone == "dinov2" else INVERSE
    if kind == "depth_pro":
        # Its network gives inverse depth of a canonical camera; the post-processing inverts it,
        # and makes it metres where the network also estimates the camera's angle of view.
        return METRIC if config.use_fov_model else RELATIVE
    if kind in ("zoedepth", "glpn"):
        return METRIC
    raise InputError(
        f"{folder} is a {kind}, of which it is not known here whether its numbers grow or fall "
        f"with distance. Use depth_anything, dpt, zoedepth, depth_pro or glpn"
    )
