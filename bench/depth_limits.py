"""How much of a person's depth is to be known at all: docs/laptop-model.md, "Why depth misses".

    idol-prep build --recipe people --source examples/people-train.yaml --clip-length 12 \\
        --size 64 --val-fraction 0 --out people
    idol-prep build --recipe people --source examples/people-held-out.yaml --clip-length 8 \\
        --size 64 --val-fraction 0 --out held-out
    python bench/depth_limits.py --learnt people --held-out held-out

First the variance of depth in the person's pixels: between clips, between the frames of a clip, and
within frames. Then a network that is told, of a pixel of the person, where it is, the true joints
(18, in the picture, seen or hidden) and the true silhouette, and gives the depth there; it is
trained for the squared error alone, on one set of people, and its error on the other stands beside
that of the mean of the first.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import sys
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from shards import Clip, open_dataset
from shards.command import run
from shards.errors import ShardsError

JOINTS, SIDE = 18, 16  # of a pose; of a silhouette as the network is told it
FRAMES, PIXELS = 4, 60  # of a clip, evenly spaced; of a frame, at random
FORMS = ("in the clip's own range", "metres from the clip's median", "from each frame's median")


@dataclasses.dataclass(frozen=True)
class Pixels:
    """Pixels of people.

    Attributes:
        told: (frames, 2 JOINTS + SIDE^2) of joints and silhouette.
        at: (N, 2), against the silhouette's middle, in its heights; `frame`: (N,), whose it is.
        depth: (N, 3), in each of `FORMS`.
    """

    told: Tensor
    at: Tensor
    frame: Tensor
    depth: Tensor


def frames_of(clip: Clip) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of some of the clip's frames with a person: depth (H, W), person (H, W), joints (18, 2)."""
    assert clip.depth_person is not None
    assert clip.keypoints is not None
    far_at = clip.info["depth"]["depth_person"]["far_at"]
    if far_at is None:
        return []
    found = []
    for at in np.linspace(0, len(clip.rgb) - 1, FRAMES).astype(int):
        depth = clip.depth_person[at]
        person = depth <= (far_at + 1) / 2  # all else is 1
        if person.any():
            found.append((depth, person, clip.keypoints[at, 0, :JOINTS, :2]))
    return found


def gathered(paths: Sequence[str], seed: int) -> Pixels:
    """Pixels of all clips."""
    rng = np.random.default_rng(seed)
    told, at, frame, depth = [], [], [], []
    for path in paths:
        for clip in open_dataset(path).clips():
            frames = frames_of(clip)
            if not frames:
                continue
            said = clip.info["depth"]["depth_person"]
            metres = (said["far"] - said["near"]) / said["far_at"]
            median = np.median(np.concatenate([d[p] for d, p, _ in frames]))
            for d, person, joints in frames:
                ys, xs = np.nonzero(person)
                middle = np.array([xs.min() + xs.max(), ys.min() + ys.max()]) / 2
                height = ys.max() - ys.min() + 1
                silhouette = person[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
                small = cv2.resize(silhouette.astype(np.float32), (SIDE, SIDE), None, 0, 0, 3)
                drawn = rng.integers(0, len(ys), PIXELS)
                values = d[ys[drawn], xs[drawn]]
                forms = (
                    values,
                    (values - median) * metres,
                    (values - np.median(d[person])) * metres,
                )
                frame += [len(told)] * PIXELS
                told.append(np.concatenate([((joints - middle) / height).ravel(), small.ravel()]))
                at.append((np.stack([xs[drawn], ys[drawn]], axis=1) - middle) / height)
                depth.append(np.stack(forms, axis=1))
    return Pixels(
        torch.from_numpy(np.stack(told)).float(),
        torch.from_numpy(np.concatenate(at)).float(),
        torch.tensor(frame),
        torch.from_numpy(np.concatenate(depth)).float(),
    )


def variance(paths: Sequence[str]) -> dict[str, float]:
    """Of depth in all of the person's pixels, each frame and clip by its pixels."""
    clips = [
        [d[p] for d, p, _ in frames_of(c)] for path in paths for c in open_dataset(path).clips()
    ]
    frames = [frame for clip in clips for frame in clip]
    whole = np.concatenate(frames)
    within_clips = sum(_squares(np.concatenate(clip)) for clip in clips if clip) / len(whole)
    within_frames = sum(map(_squares, frames)) / len(whole)
    total = whole.var(dtype=np.float64)
    return {
        "deviation": float(total**0.5),
        "deviation_within_clips": float(within_clips**0.5),
        "deviation_within_frames": float(within_frames**0.5),
        "share_between_clips": float(1 - within_clips / total),
        "share_between_frames": float((within_clips - within_frames) / total),
        "share_within_frames": float(within_frames / total),
    }


def _squares(values: np.ndarray) -> float:
    return float(values.var(dtype=np.float64)) * len(values)


def limits(learnt: Pixels, held_out: Pixels, steps: int) -> dict[str, dict[str, float]]:
    """Errors of the mean and of the network, by form."""
    torch.manual_seed(0)
    mean, deviation = learnt.depth.mean(0), learnt.depth.std(0)
    sizes = (2 + 2 * JOINTS + learnt.told.shape[1], 256, 256, 256)
    layers = [
        part
        for inputs, outputs in itertools.pairwise(sizes)
        for part in (nn.Linear(inputs, outputs), nn.SiLU())
    ]
    network = nn.Sequential(*layers, nn.Linear(sizes[-1], len(FORMS)))
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=0.05)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    def depth(of: Pixels, which: Tensor) -> Tensor:
        told, at = of.told[of.frame[which]], of.at[which]
        offsets = told[:, : 2 * JOINTS].unflatten(1, (JOINTS, 2)) - at[:, None]
        return network(torch.cat([at, offsets.flatten(1), told], dim=1))

    for _ in range(steps):
        which = torch.randint(len(learnt.frame), (1024,))
        error = depth(learnt, which) - (learnt.depth[which] - mean) / deviation
        optimizer.zero_grad()
        error.square().mean().backward()
        optimizer.step()
        rate.step()
    with torch.no_grad():
        parts = torch.arange(len(held_out.frame)).split(4096)
        guessed = torch.cat([depth(held_out, part) for part in parts]) * deviation + mean
    found = {}
    for number, form in enumerate(FORMS):
        truth = held_out.depth[:, number]
        of_mean = _rms(truth - mean[number])
        of_network = _rms(truth - guessed[:, number])
        found[form] = {"mean": of_mean, "network": of_network, "ratio": of_network / of_mean}
    return found


def _rms(errors: Tensor) -> float:
    return float(errors.square().mean().sqrt())


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--learnt", nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--held-out", nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--steps", type=int, default=3000)
    arguments = parser.parse_args(argv)
    print(json.dumps({"variance": variance(arguments.held_out)}, indent=2), flush=True)
    learnt, held_out = gathered(arguments.learnt, 0), gathered(arguments.held_out, 1)
    print(f"{len(learnt.frame)} pixels to learn from, {len(held_out.frame)} held out", flush=True)
    print(json.dumps(limits(learnt, held_out, arguments.steps), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(run("depth_limits.py", main, errors=(ShardsError, OSError)))
