"""Clips of datasets held in memory, for `tiny_runs.py`; and as latents and conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

import cv2
import numpy as np
import torch
from torch import Tensor

from idol.diffusion.conditions import Conditions
from idol.saved import Trained
from shards import Clip, open_dataset
from shards.sample.colormap import depth_to_hot
from shards.sample.keypoints import JOINT_SETS, Keypoints
from shards.sample.skeleton import draw_poses
from shards.stream.foreground import holed


class Clips:
    """Clips of datasets as tensors on a device; batches are drawn there."""

    def __init__(
        self,
        datasets: Sequence[tuple[str, float]],
        device: torch.device,
        most: int | None = None,
        *,
        size: int = 64,
    ) -> None:
        """`datasets` are paths of splits, and how often each is drawn from against the others.

        `most`: the first so many clips of each alone; `size`: height and width, in pixels.
        """
        arrays: list[dict[str, np.ndarray]] = []
        weights: list[float] = []
        for path, weight in datasets:
            whole = filter(_is_whole, open_dataset(path).clips())
            there = [_arrays(clip, size) for clip in islice(whole, most)]
            arrays += there
            weights += [weight / len(there)] * len(there)
        longest = max(len(a["rgb"]) for a in arrays)
        self.lengths = torch.tensor([len(a["rgb"]) for a in arrays], device=device)
        self.held = {
            name: torch.from_numpy(np.stack([_padded(a, name, longest) for a in arrays])).to(device)
            for name in arrays[0]
        }
        self._drawn = (torch.tensor(weights).cumsum(0) / sum(weights)).to(device)
        self.device, self.size = device, size

    def draw(
        self, count: int, frames: int, mirror: float, most_apart: int = 4
    ) -> dict[str, Tensor]:
        """A batch of random clips, frames of them, and mirror images."""

        def chance() -> Tensor:
            return torch.rand(count, device=self.device)

        index = torch.searchsorted(self._drawn, chance()).clamp_max(len(self.lengths) - 1)
        length = self.lengths[index]
        apart = torch.ones_like(index)
        if frames > 1:
            most = ((length - 1) // (frames - 1)).clamp(1, most_apart)
            apart = 1 + (chance() * most).long()
        start = (chance() * (length - (frames - 1) * apart)).long()
        at = start[:, None] + torch.arange(frames, device=self.device) * apart[:, None]
        return self.take(index, at, chance() < mirror)

    def take(self, index: Tensor, at: Tensor, mirrored: Tensor) -> dict[str, Tensor]:
        """Frames `at` (B, F) of clips `index` (B,), uint8 as they are held."""
        batch = {}
        for name in ("rgb", "depth", "foreground", "foreground_mask", "background"):
            held = self.held[name]
            images = held[index[:, None], at] if name in ("rgb", "depth") else held[index]
            turned = images.flip(-1 if name == "foreground_mask" else -2)
            where = mirrored.view(-1, *[1] * (images.ndim - 1))
            batch[name] = torch.where(where, turned, images)
        pose, turned = (self.held[name][index[:, None], at] for name in ("pose", "pose_mirrored"))
        batch["pose"] = torch.where(mirrored.view(-1, 1, 1, 1, 1), turned, pose)
        return batch


def _is_whole(clip: Clip) -> bool:
    needed = (clip.depth_person, clip.keypoints, clip.reference, clip.background)
    return all(array is not None for array in needed)


def _arrays(clip: Clip, size: int) -> dict[str, np.ndarray]:
    assert clip.depth_person is not None
    assert clip.keypoints is not None
    assert clip.background is not None
    assert clip.background_mask is not None
    drawn, told = clip.rgb.shape[1], clip.info["keypoints"]
    points = Keypoints(clip.keypoints, JOINT_SETS[told["joint_set"]])
    poses = [
        draw_poses(p, (drawn, drawn), told["style"], min_score=told["min_score"])
        for p in (points, points.flipped(drawn))
    ]
    arrays = {
        "rgb": clip.rgb,
        "depth": depth_to_hot(clip.depth_person),
        "pose": poses[0],
        "pose_mirrored": poses[1],
        "foreground": clip["reference"][None],
        "foreground_mask": clip["reference_mask"][None],
        "background": holed(clip.background, clip.background_mask)[None],
    }
    return {name: np.stack([_fit(image, size) for image in a]) for name, a in arrays.items()}


def _fit(image: np.ndarray, size: int) -> np.ndarray:
    if len(image) == size:
        return image
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)


def _padded(arrays: Mapping[str, np.ndarray], name: str, length: int) -> np.ndarray:
    array = arrays[name]
    if name.startswith(("foreground", "background")):
        return array[0]
    return np.concatenate([array, np.repeat(array[-1:], length - len(array), axis=0)])


def latents_of(batch: Mapping[str, Tensor], trained: Trained) -> tuple[Tensor, Conditions]:
    """Latents (B, M, F, C, h, w) of both modalities, and what they are conditioned on."""

    def encode(images: Tensor) -> Tensor:
        pixels = images.movedim(-1, -3).float() / 127.5 - 1
        return trained.codec.encode(pixels.flatten(0, -4)).unflatten(0, pixels.shape[:-3])

    latents = torch.stack([encode(batch["rgb"]), encode(batch["depth"])], dim=1)
    tokens = trained.image_encoder(batch["foreground"], batch["foreground_mask"])
    return latents, Conditions(tokens, encode(batch["background"]), encode(batch["pose"]))
