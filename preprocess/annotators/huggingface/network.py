"""A depth model of `transformers` as a function from frames to depth that grows with distance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from preprocess.annotators.huggingface.model_folder import model_folder
from preprocess.annotators.torch.batching import Batches, BatchSize
from preprocess.annotators.torch.device import half_precision
from preprocess.annotators.torch.packages import needed_packages
from preprocess.errors import InputError

__all__ = ["DepthModel"]

INVERSE = "relative inverse depth with its sign turned, smaller is nearer"
METRIC = "metres as the network estimates them, smaller is nearer"
# Models differ by a hundred times; a large one at 518 x 924 takes about this.
FRAME_BYTES = 2 << 30


@dataclass(frozen=True, eq=False)
class DepthModel:
    """`kind` is the architecture's name, `inverse` whether its raw numbers fall with distance."""

    kind: str
    inverse: bool
    processor: Any
    module: Any
    device: str
    half: bool
    batches: Batches

    @classmethod
    def load(cls, model: str, device: str, *, half: bool, batch: BatchSize) -> DepthModel:
        """Raises InputError as `preprocess.annotators.huggingface.load` says."""
        folder = model_folder(model)
        with needed_packages("a Hugging Face depth model"):
            from transformers import (
                AutoConfig,
                AutoImageProcessor,
                AutoModelForDepthEstimation,
            )
            from transformers.models.auto.modeling_auto import (
                MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES,
            )
        try:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            kind = config.model_type
            if kind not in MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES:
                raise InputError(
                    f"{model} is no depth model but a {kind}: use one for depth estimation, "
                    f"such as Depth Anything"
                )
            inverse = _is_inverse(model, config)
            processor = AutoImageProcessor.from_pretrained(folder, trust_remote_code=False)
            with _no_progress_bar():
                module, report = AutoModelForDepthEstimation.from_pretrained(
                    folder, trust_remote_code=False, dtype=torch.float32, output_loading_info=True
                )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InputError(f"the depth model {model} does not load: {reason}") from error
        if absent := sorted(report["missing_keys"]):
            raise InputError(
                f"the weights of {model} lack {len(absent)} tensors, {absent[0]} first: they are "
                f"another model's, or have no part for depth"
            )
        batches = Batches(batch, device, FRAME_BYTES)
        return cls(kind, inverse, processor, module.to(device).eval(), device, half, batches)

    @property
    def unit(self) -> str:
        return INVERSE if self.inverse else METRIC

    def __call__(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        """(H, W, 3) uint8 RGB, all of one size -> (H, W) float32 each, in `unit`."""
        return self.batches.map(self._forward, frames)

    @torch.inference_mode()
    def _forward(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        inputs = self.processor(
            images=list(frames), return_tensors="pt", input_data_format="channels_last"
        )
        with half_precision(self.device, self.half):
            outputs = self.module(**inputs.to(self.device))
        # To ZoeDepth the second argument is the source's size, to all others the wanted one.
        found = self.processor.post_process_depth_estimation(
            outputs, [frame.shape[:2] for frame in frames]
        )
        depths = [depth["predicted_depth"].float().cpu().numpy() for depth in found]
        return [-depth if self.inverse else depth for depth in depths]


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Builds have their own, across which the library's would be written."""
    from transformers.utils import logging

    was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            logging.enable_progress_bar()


def _is_inverse(model: str, config: Any) -> bool:
    kind = config.model_type
    if kind == "depth_anything":
        return config.depth_estimation_type == "relative"
    if kind == "dpt":
        # Those on DINOv2 were trained on NYU's and KITTI's metres, the others like MiDaS.
        return getattr(config.backbone_config, "model_type", "") != "dinov2"
    if kind in ("zoedepth", "depth_pro", "glpn"):
        return False
    raise InputError(
        f"{model} is a {kind}, of which it is not known here whether its numbers grow or fall "
        f"with distance. Use depth_anything, dpt, zoedepth, depth_pro or glpn"
    )
