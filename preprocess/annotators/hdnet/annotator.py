"""HDNet on clips of any size: normals first, then depth from image, normals and DensePose.

Shapes are suffixes of names: N images, C channels, H rows, W columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from preprocess.annotators.hdnet.network import HourglassNetwork
from preprocess.annotators.scene import Scene
from preprocess.annotators.spec import Hardware
from preprocess.annotators.torch.batching import Batches
from preprocess.annotators.torch.device import half_precision
from preprocess.crop import Crop
from preprocess.errors import ClipError
from preprocess.pixels import pixels_in

__all__ = ["SIZE", "HDNet", "HDNetDepth"]

SIZE = 256  # what the networks were trained on
_FOREGROUND = 100  # masks above this are the person, as in the reference
_BACKGROUND = 255.0  # of the image that the networks are given
_PARTS = 24
_BYTES_PER_FRAME = 300 << 20  # a dozen maps of 64 channels at full size, and room for cuDNN


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


class HDNetDepth:
    """Depth of the person in each frame by itself.

    The networks' depth grows away from the camera: its training turns it into points by the
    camera's rays, with normals of surfaces that face the camera pointing to negative z.
    """

    label = "HDNet, estimated from single images"
    unit = "HDNet's own scale along the viewing axis, smaller is nearer"
    metres = False

    def __init__(self, networks: HDNet, hardware: Hardware) -> None:
        self._networks = networks
        self._batches = Batches(hardware, _BYTES_PER_FRAME)

    def depths(self, scene: Scene, masks: np.ndarray | None) -> np.ndarray:
        """(T, S, S) float32, NaN where `masks`, (T, S, S) uint8, is not above 100.

        The frames are cropped straight to 256 x 256 from the source, and the depth is brought to
        the clip's size. Where the scene has no DensePose the networks get zeros, which makes their
        depth worse. Raises ClipError when what it has is no DensePose of its frames.
        """
        return self.depths_of_each([scene], [masks])[0]

    def depths_of_each(
        self, scenes: Sequence[Scene], masks: Sequence[np.ndarray | None]
    ) -> list[np.ndarray]:
        found = []
        people: list[tuple[Scene, int, np.ndarray]] = []  # a frame, with its foreground
        into: list[tuple[np.ndarray, np.ndarray]] = []  # depth to fill in, where it is wanted
        for scene, given in zip(scenes, masks, strict=True):
            assert given is not None
            depth = np.full(given.shape, np.nan, np.float32)
            found.append(depth)
            for i, mask in enumerate(given):
                foreground = _resized(mask, SIZE) > _FOREGROUND
                if foreground.any():
                    people.append((scene, i, foreground))
                    into.append((depth[i], mask > _FOREGROUND))
        raws = self._batches.map(self._run, people)
        for raw, (_, _, foreground), (depth, wanted) in zip(raws, people, into, strict=True):
            full = _resized(_filled(raw, foreground), len(depth))
            depth[wanted] = full[wanted]
        return found

    def _run(self, people: Sequence[tuple[Scene, int, np.ndarray]]) -> list[np.ndarray]:
        squares = [replace(scene.crop, size=SIZE) for scene, _, _ in people]
        rgb = [
            square.apply(pixels_in(scene.pictures[i], square.box))
            for (scene, i, _), square in zip(people, squares, strict=True)
        ]
        iuv = [
            self._iuv(scene, i, square)
            for (scene, i, _), square in zip(people, squares, strict=True)
        ]
        foreground = np.stack([mask for _, _, mask in people])
        return list(self._networks(np.stack(rgb), foreground, np.stack(iuv)))

    def _iuv(self, scene: Scene, index: int, square: Crop) -> np.ndarray:
        """(256, 256, 3) uint8; zeros where the source has none."""
        iuv = scene.iuv[index] if scene.iuv else None
        if iuv is None:
            return np.zeros((SIZE, SIZE, 3), np.uint8)
        size, frame = iuv.shape[:2], scene.pictures[index].shape[:2]
        if size != frame:
            raise ClipError(f"DensePose of {size[1]}x{size[0]} for a frame {frame[1]}x{frame[0]}")
        if (parts := int(iuv[..., 2].max())) > _PARTS:
            raise ClipError(
                f"DensePose has a part {parts}, of {_PARTS}: its channels must be V, U, part index"
            )
        # Nearest: between two parts lies no third one, and U and V restart on each.
        return cv2.warpAffine(iuv, square.to_clip, (SIZE, SIZE), flags=cv2.INTER_NEAREST)


def _filled(depth: np.ndarray, foreground: np.ndarray) -> np.ndarray:
    """The background takes the nearest foreground's depth.

    So resizing can be linear, smooth inside the body, and still mixes nothing into its edge.
    """
    _, labels = cv2.distanceTransformWithLabels(
        (~foreground).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.zeros(labels.max() + 1, np.float32)
    nearest[labels[foreground]] = depth[foreground]
    return nearest[labels]


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    if image.shape == (size, size):
        return image
    how = cv2.INTER_AREA if size < image.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(image, (size, size), interpolation=how)
