"""HDNet from images to depth: normals first, then depth from image, normals and DensePose.

Shapes are suffixes of names: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from preprocess.annotators.hdnet.network import HourglassNetwork
from preprocess.annotators.spec import Hardware
from preprocess.annotators.torch.device import half_precision

__all__ = ["HDNet"]

_BACKGROUND = 255.0


class HDNet:
    """Both networks on one device. An image's result does not depend on the others."""

    def __init__(self, networks: Mapping[str, HourglassNetwork], hardware: Hardware) -> None:
        self._normal = networks["normal"].to(hardware.device)
        self._depth = networks["depth"].to(hardware.device)
        self._hardware = hardware

    @torch.inference_mode()
    def __call__(
        self, rgb_NHWC: np.ndarray, foreground_NHW: np.ndarray, iuv_NHWC: np.ndarray
    ) -> np.ndarray:
        """(N, H, W) float32 depth along the viewing axis, larger is farther, in HDNet's own scale.

        rgb_NHWC: uint8, of the size that the network was trained on, 256 x 256.
        foreground_NHW: bool, the person. The depth outside it means nothing.
        iuv_NHWC: uint8, DensePose with the channels V, U and part index, 0 off the body.
        """
        with half_precision(self._hardware):
            return self._run(rgb_NHWC, foreground_NHW, iuv_NHWC)

    def _run(
        self, rgb_NHWC: np.ndarray, foreground_NHW: np.ndarray, iuv_NHWC: np.ndarray
    ) -> np.ndarray:
        foreground_N1HW = torch.from_numpy(foreground_NHW).to(self._hardware.device)[:, None]
        rgb_NCHW = torch.where(foreground_N1HW, self._channels_first(rgb_NHWC), _BACKGROUND)
        normal_NCHW = normalize(self._normal(rgb_NCHW)) * foreground_N1HW
        iuv_NCHW = self._channels_first(iuv_NHWC)
        depth_N1HW = self._depth(torch.cat([rgb_NCHW, normal_NCHW, iuv_NCHW], 1))
        return depth_N1HW[:, 0].float().cpu().numpy()

    def _channels_first(self, image_NHWC: np.ndarray) -> Tensor:
        """Raw 0-255 floats: the networks were trained without scaling."""
        moved = torch.from_numpy(image_NHWC).to(self._hardware.device).permute(0, 3, 1, 2)
        return moved.to(torch.float32, memory_format=torch.contiguous_format)
