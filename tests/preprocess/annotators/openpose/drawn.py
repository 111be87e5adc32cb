"""In the networks' place: modules that give maps drawn beforehand, and figures to draw."""

from __future__ import annotations

import numpy as np
import torch

from preprocess.annotators.openpose.body import LIMB_FIELDS
from preprocess.annotators.openpose.networks import Network
from preprocess.annotators.spec import Hardware

# A standing figure in an image of 368 x 368: COCO_18's joints, x, y, score.
STANDING = np.array(
    [
        *((180, 70, 0.9), (180, 110, 0.8)),
        *((150, 112, 0.9), (138, 160, 0.7), (130, 205, 0.6)),
        *((212, 112, 0.9), (224, 158, 0.7), (236, 200, 0.6)),
        *((162, 210, 0.7), (158, 268, 0.8), (154, 330, 0.9)),
        *((200, 210, 0.7), (206, 270, 0.8), (210, 332, 0.9)),
        *((170, 60, 0.9), (192, 60, 0.9), (158, 64, 0.5), (204, 66, 0.5)),
    ]
)


class DrawnBody(torch.nn.Module):
    """Gives (fields, maps) of drawing number n for images whose first pixel is n."""

    def __init__(self, drawings):
        super().__init__()
        self.drawings = drawings
        self.tells_the_device = torch.nn.Parameter(torch.zeros(1))
        self.batches = []

    def forward(self, images):
        self.batches.append(len(images))
        numbers = ((images[:, 0, 0, 0] + 0.5) * 256).round().int().tolist()
        drawn = [self.drawings[n] for n in numbers]
        return tuple(torch.from_numpy(np.stack(maps)).float() for maps in zip(*drawn, strict=True))


class DrawnPart(torch.nn.Module):
    """In the hand's or face's place: peaks at `joints` (n, 3), x, y as shares of the image's
    side (0 at its left edge, 1 at its right one) and height, whatever the image."""

    def __init__(self, joints, channels):
        super().__init__()
        self.joints = joints
        self.channels = channels

    def forward(self, images):
        cells = images.shape[-1] // 8
        centre = (np.arange(cells) + 0.5) / cells
        maps = np.zeros((len(images), self.channels, cells, cells))
        for channel, (x, y, score) in enumerate(self.joints):
            far = (centre[None] - x) ** 2 + (centre[:, None] - y) ** 2
            maps[:, channel] = score * np.exp(-far / (2 * 0.04**2))
        return torch.from_numpy(maps).float()


def network(module, batch=4):
    return Network(module, Hardware(batch=batch), 1)


def numbered_frames(count, size):
    return tuple(np.full((*size, 3), number, np.uint8) for number in range(count))


def figures(people, size):
    """Fields (38, h, w) and maps (19, h, w), as a network sees people in an image of `size`.

    people: (n, 18, 3) x, y in the image's pixels; a score of 0 for joints that are not there.
    """
    height, width = size
    scale = 184 / height
    used = int(height * scale), int(width * scale)
    h, w = (-(-side // 8) for side in used)
    y, x = np.indices((h, w)) * 8 + 3.5  # the cells' centres in the network's input
    maps = np.zeros((19, h, w))
    fields = np.zeros((38, h, w))
    for person in people:
        at = (person[:, :2] + 0.5) * (used[1] / width, used[0] / height) - 0.5
        for joint in np.flatnonzero(person[:, 2]):
            far = (x - at[joint, 0]) ** 2 + (y - at[joint, 1]) ** 2
            maps[joint] = np.maximum(maps[joint], person[joint, 2] * np.exp(-far / (2 * 10.0**2)))
        for a, b, channel in LIMB_FIELDS:
            if person[a, 2] and person[b, 2]:
                length = np.hypot(*(at[b] - at[a]))
                unit = (at[b] - at[a]) / length
                beside = np.stack([x, y]) - at[a][:, None, None]
                along = np.tensordot(unit, beside, 1)
                away = unit[0] * beside[1] - unit[1] * beside[0]
                on_limb = (along > -8) & (along < length + 8) & (abs(away) < 10)
                limb = fields[channel : channel + 2]
                limb[:] = np.where(on_limb, unit[:, None, None], limb)
    return fields, maps
