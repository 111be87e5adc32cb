"""MiDaS' DPT-hybrid: controlnet_aux's module, with the published weights and preprocessing."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from preprocess.annotators.spec import Hardware
from preprocess.annotators.torch.batching import Batches
from preprocess.annotators.torch.device import half_precision
from preprocess.annotators.torch.loading import import_controlnet_aux, load_state, needed_packages
from preprocess.errors import InputError

__all__ = ["Midas", "build_dpt_hybrid", "network_size"]

SIDE = 384
MULTIPLE = 32  # of the network's input, in pixels
# Roughly, for a frame of 384 x 672 in float32: the decoder's maps of 256 channels at half of it.
FRAME_BYTES = 900 << 20


def build_dpt_hybrid() -> nn.Module:
    """The module without weights, on the meta device: nothing is drawn and nothing downloaded."""
    with needed_packages("MiDaS"):
        (dpt,) = import_controlnet_aux("midas.midas.dpt_depth")
    with torch.device("meta"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mapping deprecated model name", UserWarning)
        return dpt.DPTDepthModel(path=None, backbone="vitb_rn50_384", non_negative=True)


def network_size(width: int, height: int) -> tuple[int, int]:
    """(width, height) at which a frame goes through the network.

    The side that needs the smaller change becomes 384, the other follows, both rounded to 32.
    """
    by_width, by_height = SIDE / width, SIDE / height
    scale = by_width if abs(1 - by_width) < abs(1 - by_height) else by_height
    sides = (max(round(scale * side / MULTIPLE), 1) * MULTIPLE for side in (width, height))
    return next(sides), next(sides)


class Midas:
    """Frames to depth, smaller is nearer."""

    def __init__(self, module: nn.Module, hardware: Hardware) -> None:
        self._module = module.to(hardware.device).eval()
        self._hardware = hardware
        self._batches = Batches(hardware, FRAME_BYTES)

    @classmethod
    def load(cls, path: Path, hardware: Hardware) -> Midas:
        """From the published file. Raises InputError when it holds another network's weights."""
        module = build_dpt_hybrid()
        state = load_state(path)
        wrong = [
            name
            for name, tensor in module.state_dict().items()
            if name not in state or state[name].shape != tensor.shape
        ]
        if wrong:
            raise InputError(
                f"{path} is not MiDaS' DPT-hybrid: {len(wrong)} of its tensors are absent or of "
                f"another size, {wrong[0]} first. Fetch it again: `idol-prep weights fetch midas`"
            )
        module.load_state_dict(state, strict=False, assign=True)
        return cls(module, hardware)

    def __call__(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        """(H, W, 3) uint8 RGB, all of one size -> (H, W) float32 each: the network's relative
        inverse depth with its sign turned, so that smaller is nearer."""
        return self._batches.map(self._forward, frames)

    @torch.inference_mode()
    def _forward(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        height, width = frames[0].shape[:2]
        size = network_size(width, height)
        resized = [cv2.resize(f / 255.0, size, interpolation=cv2.INTER_CUBIC) for f in frames]
        batch = torch.from_numpy(np.stack(resized).astype(np.float32)).to(self._hardware.device)
        with half_precision(self._hardware):
            inverse = self._module((batch.permute(0, 3, 1, 2) - 0.5) / 0.5)
        full = nn.functional.interpolate(
            inverse.float()[:, None], (height, width), mode="bicubic", align_corners=False
        )
        return list(-full[:, 0].cpu().numpy())
