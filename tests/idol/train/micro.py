"""A model and shards so small that a step takes hundredths of a second."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.state import AcceleratorState

from idol.config import TrainConfig, defaults
from idol.config.model import PresetName, StageName
from idol.model import DualModalUNetConfig
from idol.train.cli import run_config
from idol.train.monitor import Monitor
from shards.dataset import open_for_build
from shards.sample.clip import Clip
from shards.sample.codec import encode_clip
from shards.writer import commit_shard
from tests.processes import free_port

SIZE = 16

MODEL = DualModalUNetConfig(
    latent_channels=48,
    block_out_channels=(8, 8),
    attention_levels=(True, False),
    layers_per_block=1,
    attention_heads=2,
    norm_groups=4,
    cross_attention_dim=8,
    foreground_dim=8,
    pose_downscale=4,
    prediction="v",
)


def clip(seed: int, frames: int = 3, size: int = SIZE) -> Clip:
    """A grey person's box on a coloured ground, with every modality."""
    rng = np.random.default_rng(seed)
    rgb = np.broadcast_to(rng.integers(0, 256, 3, np.uint8), (frames, size, size, 3)).copy()
    mask = np.zeros((frames, size, size), np.uint8)
    for t in range(frames):
        mask[t, 4:12, 2 + t : 8 + t] = 255
    rgb[mask > 0] = 128
    pose = np.where(mask[..., None] > 0, np.uint8([255, 0, 80]), np.uint8(0))
    return Clip(
        key=f"videos-box-{seed}",
        rgb=rgb,
        mask=mask,
        pose=pose,
        depth_person=np.where(mask > 0, 0.5, 1).astype(np.float32),
        reference=rgb[0],
        reference_mask=mask[0],
        background=rgb[0],
        background_mask=mask[0],
        info={"frame_indices": list(range(frames)), "size": [size, size]},
    )


def without(whole: Clip, *modalities: str) -> Clip:
    """The clip without some of its modalities."""
    return dataclasses.replace(whole, **dict.fromkeys(modalities))


def write_shards(root: Path, train: list[Clip], val: list[Clip] | None = None) -> Path:
    """A dataset of one shard a split."""
    build = open_for_build(root, {})
    splits = {"train": train} | ({"val": val} if val else {})
    for split, clips in splits.items():
        commit_shard(root, split, 0, [(c.key, encode_clip(c)) for c in clips])
    build.finish(dict.fromkeys(splits, 1))
    return root


def configured(
    stage: StageName,
    preset: PresetName,
    shards: Path | str,
    output: Path,
    *,
    model: DualModalUNetConfig | None = None,
    **settings: Any,
) -> TrainConfig:
    """The defaults with other settings, also of the configuration's parts, by their names."""
    config = defaults(stage, preset, shards=[str(shards)], output=output, model=model)
    for name in ("data", "optimizer", "run", "report"):
        part = getattr(config, name)
        own = {f.name for f in dataclasses.fields(part)} & settings.keys()
        settings[name] = dataclasses.replace(part, **{key: settings.pop(key) for key in own})
    return dataclasses.replace(config, **settings)


def micro(stage: StageName, shards: Path | str, output: Path, **settings: Any) -> TrainConfig:
    """A configuration of a few quick steps, silent."""
    values: dict[str, Any] = {
        "size": SIZE,
        "frames": 2,
        "workers": 0,
        "steps": 4,
        "batch_size": 2,
        "cpu": True,
        "tensorboard": False,
        "progress": False,
        "sample_every": 0,
        "validate_every": 0,
        "gradient_norms_every": 0,
        "model": MODEL,
        **settings,
    }
    return configured(stage, "tiny", shards, output, **values)


def losses_of(output: Path) -> list[dict[str, Any]]:
    """The lines of `losses.jsonl`."""
    return [json.loads(line) for line in (output / "losses.jsonl").read_text().splitlines()]


def weights_of(folder: Path) -> dict[str, bytes]:
    """Every file of weights below a folder, by its path."""
    files = sorted(folder.rglob("*.safetensors"))
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def in_processes(config: TrainConfig, count: int = 1, *, pause: float = 0.0) -> list[BaseProcess]:
    """Start `count` processes that train together over gloo; one alone for 1.

    After each step they wait `pause` seconds, so that who looks on can come in between.

    They exit as the command does. Their server imports torch once for all of them; forks of this
    process would not do, for autograd's threads, once started, cannot be forked.
    """
    port = free_port() if count > 1 else 0
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "idol.train.train"])
    started: list[BaseProcess] = []
    for rank in range(count):
        environment = {} if count == 1 else _torchrun_environment(rank, count, port)
        process = context.Process(target=_train, args=(config, environment, pause))
        process.start()
        started.append(process)
    return started


def _torchrun_environment(rank: int, count: int, port: int) -> dict[str, str]:
    ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    places = {"MASTER_ADDR": "localhost", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
    return {name: str(value) for name, value in (ranks | places).items()}


def _train(config: TrainConfig, environment: dict[str, str], pause: float) -> None:
    log_step = Monitor.log_step

    def paused(*arguments: Any) -> None:
        log_step(*arguments)
        time.sleep(pause)

    Monitor.log_step = paused  # type: ignore[method-assign,assignment]
    os.environ.update(environment)
    torch.set_num_threads(1)  # as in the tests' own process: sums have the same order
    os.setpgid(0, 0)  # so that it can be signalled together with its workers
    AcceleratorState._reset_state(reset_partial_state=True)
    sys.exit(run_config(config))
