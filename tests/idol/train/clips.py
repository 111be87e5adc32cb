"""Four clips that are easy to tell apart, drawn and not filmed."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from idol.config.model import DEPTH, VIDEO
from idol.data.preparation import LatentBatch
from idol.diffusion.conditions import Conditions

FACTOR = 2


def four_clips(frames: int = 2, size: int = 16) -> LatentBatch:
    """A square of a colour of its own goes its own way over its own place; latents of 12 channels.

    Depth is the square in grey on white, pose its middle on black, the foreground its colour.
    """
    generator = torch.Generator().manual_seed(0)
    places = torch.rand(4, 3, 2, 2, generator=generator) * 2 - 1
    places = F.interpolate(places, (size, size), mode="bilinear")
    colours = torch.tensor([[1, -1, -1], [-1, 1, -1], [-1, -1, 1], [1, 1, -1]]).float()
    corners = torch.tensor([[2, 2], [8, 3], [3, 8], [8, 8]])
    steps = torch.tensor([[2, 0], [0, 2], [-1, 1], [-2, -1]])
    video = places[:, None].repeat(1, frames, 1, 1, 1)
    depth, pose = torch.ones_like(video), -torch.ones_like(video)
    for clip in range(4):
        for frame in range(frames):
            top, left = (corners[clip] + frame * steps[clip]).tolist()
            square = (slice(top, top + 6), slice(left, left + 6))
            middle = (slice(top + 2, top + 4), slice(left + 2, left + 4))
            video[clip, frame][:, *square] = colours[clip][:, None, None]
            depth[clip, frame][:, *square] = -0.5
            pose[clip, frame][:, *middle] = 1
    tokens = torch.cat([colours, torch.ones(4, 1)], dim=1)[:, None].repeat(1, 2, 1)
    return LatentBatch(
        key=tuple(f"drawn-{n}" for n in range(4)),
        latents_BMFCHW=F.pixel_unshuffle(torch.stack([video, depth], dim=1), FACTOR),
        conditions=Conditions(
            encoded_foreground_BTD=tokens,
            background_BCHW=F.pixel_unshuffle(places, FACTOR),
            pose_BFCHW=F.pixel_unshuffle(pose, FACTOR),
        ),
        modalities=(VIDEO, DEPTH),
    )
