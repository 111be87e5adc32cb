"""Train the network that tells how deep joints are (`shards.sample.lifting`).

    python -m preprocess.sources.people.lifting --people examples/people-lifting.yaml --out FILE.npz

Joints of rendered people move without being rendered (`preprocess.sources.people.kinematics`). The
network sees windows of their frames as a stream gives them: at another rate, mirrored, with some
joints unknown and others a little off.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from preprocess.errors import InputError
from preprocess.sources.people.kinematics import moving_joints
from preprocess.sources.people.spec import PeopleSpec, load_spec
from shards.command import run
from shards.files.atomic import atomic_file
from shards.sample.clip import FOREGROUND_DEPTH_END
from shards.sample.keypoints import COCO_18
from shards.sample.lifting import EPS, HEADS, LAYERS, WIDTH, WINDOW, to_depth, to_output, told

__all__ = ["Lifting", "learnt", "people", "saved"]

_log = logging.getLogger(__name__)

_BATCH, _RATE, _WARM = 128, 1e-3, 0.05
_HELD_OUT = 20  # one video in so many
_UNKNOWN = 0.15  # share of joints left out, of half of the windows
_OFF = 0.03  # the most by which joints are off, in their mean distance from the middle
_TOLD = 5 * len(COCO_18)


class _Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(WIDTH, EPS)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.mixed = nn.Linear(WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, EPS)
        self.wide = nn.Linear(WIDTH, 4 * WIDTH)
        self.narrow = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, hidden_NTD: Tensor) -> Tensor:
        parts = self.qkv(self.attention_norm(hidden_NTD)).unflatten(-1, (3, HEADS, WIDTH // HEADS))
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        hidden_NTD = hidden_NTD + self.mixed(mixed)
        return hidden_NTD + self.narrow(F.silu(self.wide(self.norm(hidden_NTD))))


class Lifting(nn.Module):
    """What `shards.sample.lifting` runs, by the same names: (N, T, 90) to (N, T, 18)."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(_TOLD, WIDTH)
        self.layers = nn.ModuleList(_Layer() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH, EPS)
        self.leave = nn.Linear(WIDTH, len(COCO_18))

    def forward(self, told_NTD: Tensor) -> Tensor:
        hidden = self.enter(told_NTD)
        for layer in self.layers:
            hidden = layer(hidden)
        return self.leave(self.norm(hidden))


def people(spec: PeopleSpec, workers: int) -> tuple[np.ndarray, np.ndarray]:
    """(V, T, 18, 2) places of joints in all videos of the spec, in pictures' heights, and
    (V, T, 18) their depths in each video's range, in [0, .75] where they are not beyond it."""
    with ProcessPoolExecutor(workers) as pool:
        videos = list(pool.map(partial(moving_joints, spec), range(spec.videos), chunksize=50))
    joints = np.stack([video.joints for video in videos])
    near, far = (np.array([getattr(v, end) for v in videos], np.float32) for end in ("near", "far"))
    depths = (joints[..., 2] - near[:, None, None]) / (far - near)[:, None, None]
    return joints[..., :2], FOREGROUND_DEPTH_END * depths


def learnt(places: np.ndarray, depths: np.ndarray, steps: int, seed: int = 0) -> Lifting:
    """Train on videos as `people` gives them, by the squared error of depth."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = Lifting()
    optimizer = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=0.01)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, steps, pct_start=_WARM)
    apart = np.arange(len(places)) % _HELD_OUT == 0
    kept = np.flatnonzero(~apart) if not apart.all() else np.flatnonzero(apart)
    for step in range(steps):
        seen, wanted = _drawn(rng, places, depths, rng.choice(kept, _BATCH))
        error = F.mse_loss(network(seen), wanted)
        optimizer.zero_grad()
        error.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        rate.step()
        if (step + 1) % 500 == 0 or step + 1 == steps:
            share = _share_left(network, places[apart], depths[apart])
            _log.info(
                f"step {step + 1}: error {error.item():.4f}; held out {share:.3f} of the mean's"
            )
    return network.eval()


def _drawn(
    rng: np.random.Generator, places: np.ndarray, depths: np.ndarray, videos: np.ndarray
) -> tuple[Tensor, Tensor]:
    """A batch of windows, as the network sees them, and what it should say."""
    available = places.shape[1]
    length = WINDOW if rng.uniform() < 0.6 else int(rng.integers(1, WINDOW + 1))
    length = min(length, available)
    step = int(rng.integers(1, (available - 1) // max(length - 1, 1) + 1)) if length > 1 else 1
    start = rng.integers(0, available - (length - 1) * step, len(videos))
    at = start[:, None] + step * np.arange(length)
    where, depth = places[videos[:, None], at], depths[videos[:, None], at]
    mirrored = rng.uniform(size=len(videos)) < 0.5
    other = COCO_18.mirrored()
    where = np.where(mirrored[:, None, None, None], where[:, :, other] * (-1, 1), where)
    depth = np.where(mirrored[:, None, None], depth[:, :, other], depth)
    size = where.std((1, 2), keepdims=True).mean(-1, keepdims=True)
    off = rng.uniform(0, _OFF, (len(videos), 1, 1, 1)) * size
    where = where + rng.normal(size=where.shape) * off
    known = rng.uniform(size=where.shape[:3]) >= _UNKNOWN
    always = rng.uniform(size=(len(videos), 1, where.shape[2])) >= _UNKNOWN  # all the time
    several = rng.uniform(size=(len(videos), 1, 1)) < 0.5
    known = (known & always) | several
    seen = torch.from_numpy(told(where, known))
    return seen, torch.from_numpy(to_output(depth)).float()


def _share_left(network: Lifting, places: np.ndarray, depths: np.ndarray) -> float:
    """The error of held-out windows, all joints known, over that of their own mean depth."""
    if not len(places):
        return float("nan")
    length = min(WINDOW, places.shape[1])
    where, depth = places[:, :length], depths[:, :length]
    with torch.no_grad():
        found = network(torch.from_numpy(told(where, np.ones(where.shape[:3], bool)))).numpy()
    left = np.sqrt(((to_depth(found) - depth) ** 2).mean())
    return float(left / np.sqrt(((depth - depth.mean((1, 2), keepdims=True)) ** 2).mean()))


def saved(network: Lifting, out: Path) -> None:
    """Write its weights in half precision, whole or not at all."""
    weights = {
        name: value.numpy().astype(np.float16) for name, value in network.state_dict().items()
    }
    with atomic_file(out) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, **weights)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--people", type=Path, required=True, help="whose joints move")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args(argv)
    for name in ("steps", "workers"):
        if getattr(arguments, name) < 1:
            raise InputError(f"--{name} must be at least 1, not {getattr(arguments, name)}")
    if arguments.out.is_dir() or not arguments.out.absolute().parent.is_dir():
        raise InputError(f"--out {arguments.out} is to be a file in a folder that is there")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    places, depths = people(load_spec(arguments.people), arguments.workers)
    _log.info(f"joints of {len(places)} videos")
    saved(learnt(places, depths, arguments.steps), arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(run("lifting", main, errors=(InputError, OSError)))
