"""Settings of preset tiny trained side by side on clips held in memory: docs/laptop-model.md.

    python bench/tiny_runs.py RUNS.json --shards people:1 demo:0.05 --val people-val --out OUT

RUNS.json is a list of objects with the fields of `Setting`; one that names another in `init_from`
goes on from its weights, or from those of a model in that folder. Each leaves its model as
`idol-train` does (OUT/NAME), a sheet of held-out clips (OUT/NAME.png), and its figures in
OUT/report.json. Model, losses and sampler are those of `idol-train`; noise and order are not, for
they are drawn on the device. On a GPU a step is one CUDA graph on a stream of its own, so that
several settings share it.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from tiny_clips import Clips, latents_of
from tiny_figures import held_out_losses, measured, sheet
from torch import nn

from idol.config import LossConfig, preset
from idol.config.autoencoder import read_latents
from idol.config.checks import ConfigError
from idol.config.presets import with_latents, with_patches
from idol.diffusion.sampling import predict
from idol.diffusion.schedule import noise_schedule
from idol.errors import IdolError
from idol.generate.folder import write_index
from idol.losses import training_losses
from idol.model import DualModalDenoiser, DualModalUNetConfig
from idol.model.initial_weights import start_from_nothing, widened, with_settings
from idol.model_info import DepthMeaning, ModelInfo, find_model, read_info
from idol.saved import Trained, frozen_parts, load_trained, write_frozen, write_model
from shards import command
from shards.errors import ShardsError


@dataclasses.dataclass(kw_only=True)
class Setting:
    """A run. `model` are settings of `DualModalUNetConfig` that differ from preset tiny's.

    `passes` are frames of clips (both modalities count as one), `batch` clips of a step; where
    `cpu_minutes` are given these count in their place, on a CPU: so much time of this process, in
    which the learning rate falls. `vae` is the model of a run of stage autoencoder, `patch` the
    side of patches without one.
    """

    name: str
    init_from: str | None = None
    video: bool = False
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    vae: str | None = None
    patch: Literal[4, 8] = 4
    passes: int = 290_000
    cpu_minutes: float = 0.0
    batch: int = 16
    learning_rate: float = 3e-3
    warm_up: float = 0.05
    mirror: float = 0.5
    ema: float = 0.0
    consistency: float = 0.01
    dropout: float = 0.05
    half: bool = False
    seed: int = 0

    @property
    def frames(self) -> int:
        """Of a clip."""
        return 8 if self.video else 1

    @property
    def steps(self) -> int:
        """Of the optimizer."""
        return max(1, self.passes // (self.batch * self.frames))


def settings_in(file: Path, out: Path) -> list[Setting]:
    """The settings that a file holds, of which none would end badly after its training.

    Raises:
        ConfigError: naming all mistakes.
        NotAModelError: one goes on from what is no model.
    """
    try:
        listed = json.loads(file.read_bytes())
    except ValueError as error:
        raise ConfigError(f"{file} is no JSON: {error}") from error
    if not isinstance(listed, list) or not all(isinstance(values, dict) for values in listed):
        raise ConfigError(f"{file} must be a list of objects")
    mistakes = []
    fields = {field.name for field in dataclasses.fields(Setting)}
    for number, values in enumerate(listed):
        name = values.get("name")
        if not isinstance(name, str) or name != Path(name).name:
            mistakes.append(f"setting {number} needs a name, which becomes a folder's")
        if unknown := values.keys() - fields:
            mistakes.append(f"{name} has unknown fields: {', '.join(sorted(unknown))}")
    ConfigError.raise_if_any(mistakes, str(file))
    settings = [Setting(**values) for values in listed]
    before = {setting.name: setting.init_from for setting in settings}
    names = [setting.name for setting in settings]
    mistakes = [f"{name} is named twice" for name in before if names.count(name) > 1]
    mistakes += [f"{out / name} is there" for name in before if (out / name).exists()]
    for name in before:
        passed, at = set[str](), name
        while at in before and at not in passed:
            passed.add(at)
            at = before[at] or ""
        if at == name:
            mistakes.append(f"{name} would begin with its own end, by init_from")
    ConfigError.raise_if_any(mistakes, str(file))
    for setting in settings:
        hole = setting.model.get("background_hole", "grey")
        posed = setting.model.get("posed_foreground", False)
        if setting.init_from and setting.init_from not in before:
            theirs = read_info(find_model(setting.init_from)).settings
            hole, posed = theirs.background_hole, theirs.posed_foreground
        if posed:
            raise ConfigError(
                f"{setting.name} has a posed foreground, and the clips here have none"
            )
        if hole != "grey":
            raise ConfigError(
                f"{setting.name} is of {hole} holes, and the clips here have grey ones"
            )
        if setting.vae:
            read_latents(Path(setting.vae))
    return settings


class Run:
    """A setting's model and optimizer; `advance` takes a step."""

    def __init__(self, setting: Setting, clips: Clips, before: Run | None) -> None:
        device = clips.device
        self.setting, self.clips, self.done, self.seconds = setting, clips, 0, 0.0
        self.cpu_seconds = 0.0
        torch.manual_seed(setting.seed)
        self.trained, self.config = _start(setting, before)
        self.trained.to(device)
        self.parts = nn.ModuleDict(
            {"denoiser": self.trained.denoiser, "image_encoder": self.trained.image_encoder}
        )
        self.parameters = list(self.parts.parameters())
        self._rate = torch.tensor(setting.learning_rate, device=device)
        self._share = torch.zeros((), device=device)  # of all steps, or of the minutes
        self.loss = torch.zeros((), device=device)
        gpu = device.type == "cuda"
        self._optimizer = torch.optim.AdamW(
            self.parameters, self._rate, (0.9, 0.98), weight_decay=1e-3, fused=True, capturable=gpu
        )
        self._average = [p.detach().clone() for p in self.parameters] if setting.ema else None
        self._schedule = noise_schedule()
        weight = setting.consistency
        self._losses = LossConfig(
            denoise_error="change", motion_weight=weight, cross_attention_weight=weight
        )
        self._graph: torch.cuda.CUDAGraph | None = None
        self._stream = torch.cuda.Stream() if gpu else None
        if self._stream is not None:
            self._capture(self._stream)

    def advance(self) -> None:
        """Take a step; on a GPU without waiting for it."""
        began = time.process_time()
        if self._graph is None or self._stream is None:
            self._optimizer.zero_grad()
            self._take_step()
        else:
            with torch.cuda.stream(self._stream):
                self._graph.replay()
        self.done += 1
        self.cpu_seconds += time.process_time() - began
        if self.setting.cpu_minutes:
            self._share.fill_(min(self.cpu_seconds / 60 / self.setting.cpu_minutes, 1.0))

    @property
    def ends(self) -> bool:
        """Whether it has had its steps, or its time."""
        if self.setting.cpu_minutes:
            return bool(self._share >= 1)
        return self.done >= self.setting.steps

    def finish(self) -> None:
        """Put the average of the weights in their place, if there is one."""
        if self._average is not None:
            with torch.no_grad():
                torch._foreach_copy_(self.parameters, self._average)
        self._graph = None
        self.parts.eval()

    def _capture(self, stream: torch.cuda.Stream) -> None:
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self._optimizer.zero_grad()
                self._take_step()
                self.done += 1
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        self._optimizer.zero_grad()
        with torch.cuda.graph(graph, stream=stream):
            self._take_step()
        self._graph = graph

    def _take_step(self) -> None:
        setting, device = self.setting, self.clips.device
        batch = self.clips.draw(setting.batch, setting.frames, setting.mirror)
        latents, conditions = latents_of(batch, self.trained)
        dropped = torch.rand(setting.batch, device=device) < setting.dropout
        timesteps = torch.randint(0, 1000, (setting.batch,), device=device)
        noise = torch.randn_like(latents)
        with torch.autocast(device.type, torch.bfloat16, enabled=setting.half):
            output = predict(
                self.trained.denoiser,
                self._schedule.add_noise(latents, noise, timesteps),
                timesteps,
                conditions.without_foreground(dropped),
                return_features=self._losses.compares,
            )
        losses = training_losses(
            output.noise_pred_BMFCHW, noise, output.features, self._losses, timesteps
        )
        losses.total.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        done, warm = self._share, setting.warm_up
        rate = torch.minimum((done + 1 / setting.steps) / warm, (1 - done) / (1 - warm))
        self._rate.copy_(rate.clamp_min(0) * setting.learning_rate)
        self._optimizer.step()
        if not setting.cpu_minutes:
            self._share += 1 / setting.steps
        self.loss.lerp_(losses.total.detach(), 0.01)
        if self._average is not None:
            now = [p.detach() for p in self.parameters]
            torch._foreach_lerp_(self._average, now, 1 - setting.ema)


def _start(setting: Setting, before: Run | None) -> tuple[Trained, DualModalUNetConfig]:
    """What a run begins with, and the settings of its model of clips."""
    config = dataclasses.replace(with_patches(preset("tiny"), setting.patch), **setting.model)
    if setting.vae:
        config = with_latents(config, read_latents(Path(setting.vae)))
    encoder, codec = frozen_parts("tiny", vae=setting.vae, image_encoder=None, settings=config)
    if before:
        config, denoiser = before.config, copy.deepcopy(before.trained.denoiser).train()
        encoder = copy.deepcopy(before.trained.image_encoder).train()
    elif setting.init_from:
        given, _ = load_trained(setting.init_from)
        denoiser, encoder = given.denoiser.train(), given.image_encoder.train()
        if denoiser.settings.latent_channels < config.latent_channels:
            denoiser = widened(denoiser, config).train()
        if config.matte and not denoiser.settings.matte:
            changed = dataclasses.replace(denoiser.settings, matte=True)
            denoiser = with_settings(denoiser, changed).train()
    else:
        denoiser = DualModalDenoiser.from_config(config.for_single_frames())
        start_from_nothing(denoiser)
    if setting.video and not denoiser.settings.temporal_layers:
        denoiser = denoiser.with_temporal_layers(config)
    return Trained(denoiser, encoder, codec), config


def train(runs: Sequence[Run]) -> None:
    """Take the steps of all, in turns."""
    began, live = time.perf_counter(), list(runs)
    while live:
        for run in live:
            run.advance()
        if live[0].done % 100 == 0:
            _wait()
            losses = ", ".join(f"{r.setting.name} {r.done} {float(r.loss):.4f}" for r in live)
            print(f"{time.perf_counter() - began:.0f} s: {losses}", flush=True)
        for run in [r for r in live if r.ends]:
            _wait()
            run.seconds = time.perf_counter() - began
            run.finish()
            live.remove(run)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def save(run: Run, folder: Path) -> None:
    """Write the model as `idol-train` does, in half precision."""
    config: DualModalUNetConfig = run.config
    info = ModelInfo(
        stage="video" if run.setting.video else "image",
        preset="tiny",
        settings=config,
        size=run.clips.size,
        frames=run.setting.frames,
        step=run.done,
        depth=DepthMeaning(),
        vae_factor=run.trained.codec.factor,
    )
    weights = {n: t.half().cpu().contiguous() for n, t in run.parts.state_dict().items()}
    folder.mkdir(parents=True)
    write_model(folder, run.trained, weights, info)
    write_frozen(folder, info, run.setting.vae, None)
    write_index(folder, info)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--shards", nargs="+", required=True, metavar="FOLDER[:WEIGHT]")
    parser.add_argument("--val", nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--val-clips", type=int, help="of each folder; all unless given")
    parser.add_argument("--size", type=int, default=64, help="of pictures, in pixels")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args(argv)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    settings = settings_in(arguments.runs, arguments.out)
    clips = Clips([_weighted(text) for text in arguments.shards], device, size=arguments.size)
    unseen = [(path, 1.0) for path in arguments.val]
    held_out = Clips(unseen, device, arguments.val_clips, size=arguments.size)
    arguments.out.mkdir(parents=True, exist_ok=True)
    done: dict[str, Run] = {}
    report = {}
    while waiting := [s for s in settings if s.name not in done]:
        names = {s.name for s in waiting}
        ready = [s for s in waiting if s.init_from not in names]
        runs = [Run(s, clips, done.get(s.init_from or "")) for s in ready]
        train(runs)
        for run in runs:
            figures, parts = measured(run.trained, held_out, run.setting.frames)
            sheet(parts, arguments.out / f"{run.setting.name}.png")
            save(run, arguments.out / run.setting.name)
            report[run.setting.name] = {
                **dataclasses.asdict(run.setting),
                "parameters": sum(p.numel() for p in run.parameters),
                "seconds": round(run.seconds, 1),
                "cpu_seconds": round(run.cpu_seconds, 1),
                "passes_made": run.done * run.setting.batch * run.setting.frames,
                "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
                **held_out_losses(run.trained, held_out, run.setting.frames),
                **figures,
            }
            print(json.dumps(report[run.setting.name], indent=2), flush=True)
            (arguments.out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
            done[run.setting.name] = run
    return 0


def _weighted(text: str) -> tuple[str, float]:
    path, _, weight = text.rpartition(":")
    return (path, float(weight)) if path else (weight, 1.0)


if __name__ == "__main__":
    sys.exit(command.run("tiny_runs.py", main, errors=(IdolError, ShardsError, OSError)))
