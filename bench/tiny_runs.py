"""Settings of preset tiny trained side by side on clips held in memory: docs/laptop-model.md.

    python bench/tiny_runs.py RUNS.json --shards people:1 demo:0.05 --val people-val --out OUT

RUNS.json is a list of objects with the fields of `Setting`; one that names another in `init_from`
goes on from its weights. Each leaves its model as `idol-train` does (OUT/NAME), a sheet of held-out
clips (OUT/NAME.png), and its figures in OUT/report.json. Model, losses and sampler are those of
`idol-train`; noise and order are not, for they are drawn on the device. On a GPU a step is one CUDA
graph on a stream of its own, so that several settings share it.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from idol.config import LossConfig, preset
from idol.config.autoencoder import read_latents
from idol.config.presets import with_latents
from idol.diffusion.conditions import Conditions
from idol.diffusion.sampling import predict, sample
from idol.diffusion.schedule import ddim_scheduler, noise_schedule
from idol.generate.folder import write_index
from idol.losses import training_losses
from idol.model import DualModalDenoiser, DualModalUNetConfig
from idol.model.initial_weights import start_from_nothing
from idol.model_info import DepthMeaning, ModelInfo
from idol.saved import Trained, frozen_parts, write_frozen, write_model
from shards import Clip, open_dataset
from shards.sample.colormap import depth_to_hot, hot_to_depth
from shards.sample.keypoints import JOINT_SETS, Keypoints
from shards.sample.skeleton import draw_poses
from shards.stream.foreground import hole

SIZE, PERSON = 64, 0.9  # a pixel of a depth picture whose least channel is below is the person's


@dataclasses.dataclass(kw_only=True)
class Setting:
    """A run. `model` are settings of `DualModalUNetConfig` that differ from preset tiny's.

    `passes` are frames of clips (both modalities count as one), `batch` clips of a step; where
    `cpu_minutes` are given these count in their place, on a CPU: so much time of this process, in
    which the learning rate falls. `vae` is the model of a run of stage autoencoder.
    """

    name: str
    init_from: str | None = None
    video: bool = False
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    vae: str | None = None
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


# What is held in memory


class Clips:
    """Clips of datasets as tensors on a device; batches are drawn there."""

    def __init__(
        self,
        datasets: Sequence[tuple[str, float]],
        device: torch.device,
        most: int | None = None,
    ) -> None:
        """`datasets` are paths of splits, and how often each is drawn from against the others.

        `most`: the first so many clips of each alone.
        """
        arrays: list[dict[str, np.ndarray]] = []
        weights: list[float] = []
        for path, weight in datasets:
            whole = filter(_is_whole, open_dataset(path).clips())
            there = [_arrays(clip) for clip in islice(whole, most)]
            arrays += there
            weights += [weight / len(there)] * len(there)
        longest = max(len(a["rgb"]) for a in arrays)
        self.lengths = torch.tensor([len(a["rgb"]) for a in arrays], device=device)
        self.held = {
            name: torch.from_numpy(np.stack([_padded(a, name, longest) for a in arrays])).to(device)
            for name in arrays[0]
        }
        self._drawn = (torch.tensor(weights).cumsum(0) / sum(weights)).to(device)
        self.device = device

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


def _arrays(clip: Clip) -> dict[str, np.ndarray]:
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
        "background": hole(clip.background, clip.background_mask)[None],
    }
    return {name: np.stack([_fit(image) for image in a]) for name, a in arrays.items()}


def _fit(image: np.ndarray) -> np.ndarray:
    if len(image) == SIZE:
        return image
    return cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def _padded(arrays: Mapping[str, np.ndarray], name: str, length: int) -> np.ndarray:
    array = arrays[name]
    if name.startswith(("foreground", "background")):
        return array[0]
    return np.concatenate([array, np.repeat(array[-1:], length - len(array), axis=0)])


def _latents(batch: Mapping[str, Tensor], trained: Trained) -> tuple[Tensor, Conditions]:
    def encode(images: Tensor) -> Tensor:
        pixels = images.movedim(-1, -3).float() / 127.5 - 1
        return trained.codec.encode(pixels.flatten(0, -4)).unflatten(0, pixels.shape[:-3])

    latents = torch.stack([encode(batch["rgb"]), encode(batch["depth"])], dim=1)
    tokens = trained.image_encoder(batch["foreground"], batch["foreground_mask"])
    return latents, Conditions(tokens, encode(batch["background"]), encode(batch["pose"]))


# A run


class Run:
    """A setting's model and optimizer; `advance` takes a step."""

    def __init__(self, setting: Setting, clips: Clips, before: Run | None) -> None:
        device = clips.device
        self.setting, self.clips, self.done, self.seconds = setting, clips, 0, 0.0
        self.cpu_seconds = 0.0
        torch.manual_seed(setting.seed)
        fresh = dataclasses.replace(preset("tiny"), **setting.model)
        if setting.vae:
            fresh = with_latents(fresh, read_latents(Path(setting.vae)))
        self.config = before.config if before else fresh
        self.trained = _start(setting, self.config, before)
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
        self.signal = noise_schedule().alphas_cumprod.to(device)
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
        latents, conditions = _latents(batch, self.trained)
        dropped = torch.rand(setting.batch, device=device) < setting.dropout
        timesteps = torch.randint(0, 1000, (setting.batch,), device=device)
        noise = torch.randn_like(latents)
        with torch.autocast(device.type, torch.bfloat16, enabled=setting.half):
            output = predict(
                self.trained.denoiser,
                _noisy(latents, noise, self.signal[timesteps]),
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


def _start(setting: Setting, config: DualModalUNetConfig, before: Run | None) -> Trained:
    encoder, codec = frozen_parts("tiny", vae=setting.vae, image_encoder=None, settings=config)
    if before is None:
        denoiser = DualModalDenoiser.from_config(config.for_single_frames())
        start_from_nothing(denoiser)
    else:
        encoder = copy.deepcopy(before.trained.image_encoder).train()
        denoiser = copy.deepcopy(before.trained.denoiser).train()
    if setting.video and not denoiser.settings.temporal_layers:
        denoiser = denoiser.with_temporal_layers(config)
    return Trained(denoiser, encoder, codec)


def _noisy(latents: Tensor, noise: Tensor, signal_B: Tensor) -> Tensor:
    signal = signal_B[:, None, None, None, None, None]
    return signal.sqrt() * latents + (1 - signal).sqrt() * noise


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


# What it can do


@torch.no_grad()
def generate(
    run: Run, clips: Clips, index: Tensor, at: Tensor, *, swapped: bool = False, count: int = 16
) -> Iterator[dict[str, Tensor]]:
    """Real and generated images in [0, 1], (B, F, H, W, 3) on the CPU, of `count` clips at a time.

    `swapped`: each clip has the foreground of the one before it.
    """
    for start in range(0, len(index), count):
        part = slice(start, start + count)
        upright = torch.zeros(len(index[part]), dtype=torch.bool, device=clips.device)
        batch = clips.take(index[part], at[part], upright)
        if swapped:
            of_others = clips.take(index.roll(1)[part], at[part], upright)
            batch |= {n: of_others[n] for n in ("foreground", "foreground_mask")}
        latents, conditions = _latents(batch, run.trained)
        generator = torch.Generator().manual_seed(start)
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        made = sample(
            run.trained.denoiser,
            conditions,
            noise,
            scheduler=ddim_scheduler(run.trained.codec.bound),
            steps=20,
            guidance=1.5,
        )
        decoded = run.trained.codec.decode(made.flatten(0, 2))
        pixels = decoded.unflatten(0, made.shape[:3]).movedim(-3, -1)
        images = (pixels.cpu() + 1).div(2).clamp(0, 1)
        yield {n: b.cpu() / 255 for n, b in batch.items()} | {
            "video": images[:, 0],
            "made_depth": images[:, 1],
        }


def measured(run: Run, clips: Clips) -> tuple[dict[str, float], list[dict[str, Tensor]]]:
    """Figures of held-out clips, and the images that they are of."""
    count, frames = len(clips.lengths), run.setting.frames
    index = torch.arange(count, device=clips.device)
    if run.setting.video:
        apart = ((clips.lengths - 1) // (frames - 1)).clamp(1, 2)
        at = torch.arange(frames, device=clips.device) * apart[:, None]
    else:
        at = (clips.lengths // 2)[:, None]
    parts = list(generate(run, clips, index, at))
    images = {name: torch.cat([p[name] for p in parts]) for name in parts[0]}
    person = images["depth"].amin(-1) < PERSON
    made = images["made_depth"].amin(-1) < PERSON
    squared = (images["video"] - images["rgb"]).square().mean(-1)
    depth, truth = (_depth(images[name]) for name in ("made_depth", "depth"))
    off = (depth - truth)[person & made]
    figures = {
        "person_psnr": _psnr(squared[person]),
        "place_psnr": _psnr(squared[~person]),
        "depth_rmse": float(off.square().mean().sqrt()),
        "depth_rmse_of_the_mean": float(truth[person].std()),
        "silhouette_iou": _iou(made, person),
        "grain": _grain(images["video"]) / _grain(images["rgb"]),
    }
    if frames > 1:
        figures["motion"] = _motion(images["video"]) / _motion(images["rgb"])
    swapped = list(generate(run, clips, index, at, swapped=True))
    images_swapped = {name: torch.cat([p[name] for p in swapped]) for name in swapped[0]}
    given, own = (_colours(i["foreground"], i["foreground_mask"]) for i in (images_swapped, images))
    drawn = _colours(images_swapped["video"][:, 0], person[:, 0])
    figures |= {
        "swapped_follows_given": _correlation(drawn, given),
        "swapped_follows_own": _correlation(drawn, own),
        "swapped_silhouette_iou": _iou(images_swapped["made_depth"].amin(-1) < PERSON, person),
    }
    return {name: round(value, 4) for name, value in figures.items()}, parts


@torch.no_grad()
def held_out_losses(run: Run, clips: Clips) -> dict[str, float]:
    """Errors of the noise on held-out clips, as `idol-train` validates, with noise of its own."""
    count, generator = len(clips.lengths), torch.Generator().manual_seed(7)
    index = torch.arange(count, device=clips.device)
    at = torch.arange(run.setting.frames, device=clips.device).expand(count, -1)
    totals = torch.zeros(2)
    for part in index.split(16):
        upright = torch.zeros(len(part), dtype=torch.bool, device=clips.device)
        latents, conditions = _latents(clips.take(part, at[part], upright), run.trained)
        for timestep in range(50, 1000, 100):
            noise = torch.randn(latents.shape, generator=generator).to(latents)
            timesteps = torch.full((len(part),), timestep, device=clips.device)
            noisy = _noisy(latents, noise, run.signal[timesteps])
            said = predict(run.trained.denoiser, noisy, timesteps, conditions).noise_pred_BMFCHW
            totals += (said - noise).square().mean((2, 3, 4, 5)).sum(0).cpu()
    video, depth = (totals / count / 10).tolist()
    return {"denoise_video": round(video, 5), "denoise_depth": round(depth, 5)}


def _depth(pictures: Tensor) -> Tensor:
    return torch.from_numpy(hot_to_depth((pictures * 255).round().byte().numpy())[0])


def _psnr(squared: Tensor) -> float:
    return float(-10 * squared.mean().log10())


def _iou(a: Tensor, b: Tensor) -> float:
    both, either = (a & b).sum((-2, -1)), (a | b).sum((-2, -1))
    return float((both / either.clamp_min(1)).mean())


def _grain(images: Tensor) -> float:
    """Energy that a 3x3 mean removes."""
    planes = images.flatten(0, -4).movedim(-1, 1)
    means = F.avg_pool2d(F.pad(planes, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return float((planes - means).square().mean())


def _motion(images: Tensor) -> float:
    return float((images[:, 1:] - images[:, :-1]).abs().mean())


def _colours(images_BHWC: Tensor, weights_BHW: Tensor) -> Tensor:
    """The mean colour of where the weights are, (B, 3), against that of all."""
    weights = weights_BHW.float()[..., None]
    colours = (images_BHWC * weights).sum((1, 2)) / weights.sum((1, 2)).clamp_min(1e-6)
    return colours - colours.mean(0)


def _correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


def sheet(parts: Sequence[Mapping[str, Tensor]], path: Path, rows: int = 12) -> None:
    """Draw clips: foreground and background; of some frames pose, truth, generated, both depths."""
    lines = []
    for part in parts:
        for n in range(len(part["rgb"])):
            mask = part["foreground_mask"][n][..., None]
            tiles = [part["foreground"][n] * mask + 1 - mask, part["background"][n]]
            for frame in range(0, part["rgb"].shape[1], 3):
                kinds = ("pose", "rgb", "video", "depth", "made_depth")
                tiles += [part[kind][n, frame] for kind in kinds]
            lines.append(torch.cat([F.pad(t, (0, 0, 1, 1, 1, 1), value=1) for t in tiles], dim=1))
    image = (torch.cat(lines[:rows]) * 255).round().byte().numpy()
    larger = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(path), larger[..., ::-1])


# What is left


def save(run: Run, folder: Path) -> None:
    """Write the model as `idol-train` does, in half precision."""
    config: DualModalUNetConfig = run.config
    info = ModelInfo(
        stage="video" if run.setting.video else "image",
        preset="tiny",
        settings=config,
        size=SIZE,
        frames=run.setting.frames,
        step=run.done,
        depth=DepthMeaning(),
        vae_factor=run.trained.codec.factor,
    )
    weights = {n: t.half().cpu().contiguous() for n, t in run.parts.state_dict().items()}
    folder.mkdir(parents=True)
    write_model(folder, run.trained, weights, info)
    write_frozen(folder, "tiny", run.setting.vae, None)
    write_index(folder, info)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--shards", nargs="+", required=True, metavar="FOLDER[:WEIGHT]")
    parser.add_argument("--val", nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--val-clips", type=int, help="of each folder; all unless given")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    settings = [Setting(**values) for values in json.loads(arguments.runs.read_text())]
    clips = Clips([_weighted(text) for text in arguments.shards], device)
    held_out = Clips([(path, 1.0) for path in arguments.val], device, arguments.val_clips)
    arguments.out.mkdir(parents=True, exist_ok=True)
    done: dict[str, Run] = {}
    report = {}
    while waiting := [s for s in settings if s.name not in done]:
        ready = [s for s in waiting if s.init_from is None or s.init_from in done]
        runs = [Run(s, clips, done[s.init_from] if s.init_from else None) for s in ready]
        train(runs)
        for run in runs:
            figures, parts = measured(run, held_out)
            sheet(parts, arguments.out / f"{run.setting.name}.png")
            save(run, arguments.out / run.setting.name)
            report[run.setting.name] = {
                **dataclasses.asdict(run.setting),
                "parameters": sum(p.numel() for p in run.parameters),
                "seconds": round(run.seconds, 1),
                "cpu_seconds": round(run.cpu_seconds, 1),
                "passes_made": run.done * run.setting.batch * run.setting.frames,
                "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
                **held_out_losses(run, held_out),
                **figures,
            }
            print(json.dumps(report[run.setting.name], indent=2), flush=True)
            (arguments.out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
            done[run.setting.name] = run


def _weighted(text: str) -> tuple[str, float]:
    path, _, weight = text.rpartition(":")
    return (path, float(weight)) if path else (weight, 1.0)


if __name__ == "__main__":
    main()
