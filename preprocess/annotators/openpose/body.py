"""Bodies: joint maps to peaks, peaks to people."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from preprocess.annotators.openpose.grouping import JOINTS, group
from preprocess.annotators.openpose.maps import STRIDE, Enlarger, enlarger
from preprocess.annotators.openpose.networks import Network

__all__ = ["find_bodies"]

HEIGHT = 184  # pixels of the network's input, whatever the image's: half its training size
LEAST_PEAK = 0.1
_PADDING = 128  # grey


def find_bodies(network: Network, frames: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    """The people in each frame, (H, W, 3) uint8 RGB, all of one size.

    Each is (18, 3) float64 in the order of COCO_18: x and y in the frame's pixels, score the
    height of the joint's peak; zeros for a joint that is absent.
    """
    height, width = frames[0].shape[:2]
    scale = HEIGHT / height
    used = (int(height * scale), int(width * scale))
    shrinks = used[0] + used[1] < height + width
    images = []
    for frame in frames:
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4
        bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        image = cv2.resize(bgr, used[::-1], interpolation=how)
        below, right = (-side % STRIDE for side in used)
        grey = (_PADDING,) * 3
        images.append(
            cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=grey)
        )
    cells = (images[0].shape[0] // STRIDE, images[0].shape[1] // STRIDE)
    to_frame = enlarger(cells, used, (height, width))
    people = []
    for fields, joints in network.maps(images):
        on_cpu = fields.cpu().numpy()

        def field_at(
            channel: int, x: np.ndarray, y: np.ndarray, fields: np.ndarray = on_cpu
        ) -> np.ndarray:
            return to_frame.at(fields[channel : channel + 2], x, y)

        people.append(group(_peaks(joints[:JOINTS], to_frame), field_at, height))
    return people


def _peaks(maps: torch.Tensor, to_frame: Enlarger) -> list[np.ndarray]:
    """For each map (n, 3): x, y and value at the local maxima of the map enlarged and blurred."""
    smooth = to_frame.whole(maps, smooth=True, border=1)
    part, y, x = (smooth > LEAST_PEAK).nonzero(as_tuple=True)
    here = smooth[part, y, x]
    highest = torch.ones_like(here, dtype=torch.bool)
    for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        highest &= here >= smooth[part, y + dy, x + dx]
    found = torch.stack([part, x - 1, y - 1])[:, highest].cpu().numpy()
    values = maps.cpu().numpy()
    peaks = []
    for joint in range(len(maps)):
        px, py = found[1:, found[0] == joint]
        (score,) = to_frame.at(values[joint : joint + 1], px, py)
        peaks.append(np.stack([px, py, score], 1))
    return peaks
