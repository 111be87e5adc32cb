"""Ways to a video longer than the model's clips: their seams, their drift, and what they cost.

    python bench/long_video.py --shards DATASET [--model FOLDER] [--frames 64] [--json FILE]
    python bench/long_video.py --memory

Clips of the dataset that are long enough are generated anew, from the same noise in every way:

    windows           overlapping, fused at every step, on a grid that moves from step to step
    windows, apart    the same without an overlap
    fixed windows     overlapping and fused, on one grid
    stitched          windows denoised each by itself, one after the other
    chained, N        windows denoised each by itself, the last N frames of one given to the next
    all at once       one window as long as the video

Seam and drift are those of `idol.generate.continuity`. The real footage is measured alike, with
each way's own stride; "seam / real" is what counts. "within one" is the drift within single
windows. PSNR is against the real footage. A figure is the mean over clips.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from idol.config.model import DEPTH, VIDEO
from idol.config.presets import preset
from idol.diffusion.noise import named_noise
from idol.diffusion.schedule import ddim_scheduler, noise_schedule
from idol.encoders import PatchCodec, TinyEncoder
from idol.errors import IdolError
from idol.generate.continuity import drift, seam
from idol.generate.generator import ClipConditions, ClipGenerator, conditions_of
from idol.generate.keep import person_mask
from idol.generate.pipeline import IdolPipeline
from idol.generate.windows import Windows
from idol.model import DualModalDenoiser
from idol.model_info import ModelInfo
from idol.pretrained import PEOPLE64
from shards import Clip, open_dataset
from shards.command import run
from shards.environment import limit_threads
from shards.errors import ShardsError

# Frames, depth pictures: (F, S, S, 3) uint8 each.
Pictures = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Way:
    """A way to a long video; `stride` is where its windows meet."""

    name: str
    stride: int
    generate: Callable[[ClipConditions, Tensor], Tensor]


class Generation:
    """A model with settings; every method returns latents (1, M, F, C, H, W)."""

    def __init__(self, pipeline: IdolPipeline, steps: int, guidance: float) -> None:
        self.pipeline, self.steps, self.guidance = pipeline, steps, guidance

    def in_windows(self, given: ClipConditions, noise: Tensor, windows: Windows) -> Tensor:
        return self._run(given, noise, windows=windows)

    def stitched(self, given: ClipConditions, noise: Tensor, length: int) -> Tensor:
        parts = [
            self._run(given.part(slice(start, start + length)), noise[:, :, start : start + length])
            for start in range(0, given.frames, length)
        ]
        return torch.cat(parts, dim=2)

    def chained(self, given: ClipConditions, noise: Tensor, length: int, shared: int) -> Tensor:
        """The last frames of a window stand, as noisy as the step wants them, in the next one."""
        whole = self._run(given.part(slice(length)), noise[:, :, :length])
        for start in range(length - shared, given.frames - shared, length - shared):
            known = whole[:, :, start:]
            own = noise[:, :, start : start + length]
            part = given.part(slice(start, start + length))
            made = self._run(part, own, callback_on_step_end=self._fixes(known, own))
            whole = torch.cat([whole, made[:, :, shared:]], dim=2)
        return whole

    def _fixes(self, known: Tensor, noise: Tensor) -> Callable[..., dict[str, Tensor]]:
        schedule, shared = noise_schedule(), known.shape[2]

        def fix(
            pipeline: IdolPipeline, step: int, timestep: Tensor, tensors: dict[str, Tensor]
        ) -> dict[str, Tensor]:
            latents = tensors["latents"].clone()
            left = pipeline.scheduler.timesteps[step + 1 :]
            latents[:, :, :shared] = (
                schedule.add_noise(known, noise[:, :, :shared], left[:1]) if len(left) else known
            )
            return {"latents": latents}

        return fix

    def _run(self, given: ClipConditions, noise: Tensor, **options: object) -> Tensor:
        return self.pipeline(
            given.foreground,
            given.background,
            given.skeletons,
            foreground_mask=given.foreground_mask,
            background_mask=given.background_mask,
            height=given.size,
            width=given.size,
            num_inference_steps=self.steps,
            guidance_scale=self.guidance,
            latents=noise,
            output_type="latent",
            **options,
        ).frames

    def pictures(self, latents: Tensor) -> Pictures:
        made = [(v[0], d[0]) for _, v, d in self.pipeline.decode(latents)]
        video, depth = (np.concatenate(parts) for parts in zip(*made, strict=True))
        return (video * 255 + 0.5).astype(np.uint8), (depth * 255 + 0.5).astype(np.uint8)


def ways(generation: Generation, length: int, overlap: int, frames: int) -> list[Way]:
    """All of them, for windows of `length` frames."""

    def windows(name: str, overlap: int, shift: bool = True) -> Way:
        how = Windows(length, overlap, shift)
        return Way(name, how.stride, lambda g, n: generation.in_windows(g, n, how))

    def chained(shared: int) -> Way:
        name = f"chained, {shared}"
        return Way(name, length - shared, lambda g, n: generation.chained(g, n, length, shared))

    whole = Windows(frames, 0)
    return [
        windows("windows", overlap),
        windows("windows, apart", 0),
        windows("fixed windows", overlap, shift=False),
        Way("stitched", length, lambda g, n: generation.stitched(g, n, length)),
        *(chained(shared) for shared in sorted({1, overlap} - {0})),
        Way("all at once", length, lambda g, n: generation.in_windows(g, n, whole)),
    ]


def figures(video: np.ndarray, persons: np.ndarray, real: Clip, way: Way, length: int) -> dict:
    """What is measured of one video."""
    frames = len(video)
    own, theirs = seam(video, way.stride), seam(real.rgb[:frames], way.stride)
    far = drift(video, persons)
    parts = [slice(start, start + length) for start in range(0, frames - length + 1, length)]
    near = [drift(video[part], persons[part]) for part in parts]
    error = np.square(video.astype(np.float64) - real.rgb[:frames]).mean()
    return {
        "seam": own,
        "seam_of_real": theirs,
        "seam_over_real": None if not own or not theirs else own / theirs,
        "drift_background": far.background,
        "drift_background_within": _mean([n.background for n in near]),
        "drift_person": far.person,
        "drift_person_within": _mean([n.person for n in near]),
        "psnr": None if not error else float(10 * np.log10(255**2 / error)),
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def compare(options: argparse.Namespace) -> dict:
    """Generate and measure; rows by the name of the way, each with its clips."""
    clips = [c for c in open_dataset(options.shards).clips() if len(c.rgb) >= options.frames]
    clips = clips[: options.clips]
    if not clips:
        raise IdolError(f"{options.shards}: no clip has {options.frames} frames; build longer ones")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipeline = ClipGenerator.from_folder(options.model, device=device).pipeline
    pipeline.set_progress_bar_config(disable=True)
    generation = Generation(pipeline, options.steps, options.guidance)
    rows: dict[str, list[dict]] = {"real footage": []}
    for clip in clips:
        real = Way("real footage", options.length - options.overlap, lambda g, n: n)
        assert clip.mask is not None
        masks = clip.mask[: options.frames] > 127
        measured = figures(clip.rgb[: options.frames], masks, clip, real, options.length)
        rows[real.name].append({"clip": clip.key, **measured})
        given = conditions_of(clip).part(slice(options.frames))
        noise = _noise(pipeline, clip.key, given)
        for way in ways(generation, options.length, options.overlap, options.frames):
            if options.only and way.name not in options.only:
                continue
            started = time.perf_counter()
            latents = way.generate(given, noise)
            seconds = time.perf_counter() - started
            video, pictures = generation.pictures(latents)
            measured = figures(video, person_mask(pictures), clip, way, options.length)
            measured["seconds_a_frame"] = seconds / options.frames
            rows.setdefault(way.name, []).append({"clip": clip.key, **measured})
            print(f"{clip.key}: {way.name}, {seconds:.0f} s", file=sys.stderr, flush=True)
            write(options, rows)
            if options.save:
                options.save.mkdir(parents=True, exist_ok=True)
                np.savez_compressed(
                    options.save / f"{clip.key}.{way.name.replace(', ', '-')}.npz",
                    video=video,
                    depth=pictures,
                )
    return rows


def _noise(pipeline: IdolPipeline, key: str, given: ClipConditions) -> Tensor:
    """Of the whole video, the same for every way: a function of the clip's key."""
    side = given.size // pipeline.vae_scale_factor
    channels = pipeline.unet.settings.latent_channels
    shape = (1, len((VIDEO, DEPTH)), given.frames, channels, side, side)
    return named_noise(key, shape).to(pipeline.device)


def write(options: argparse.Namespace, result: dict) -> None:
    """Write what is known so far as json, if that was asked for."""
    if options.json:
        settings = {k: v for k, v in vars(options).items() if k not in ("json", "save")}
        text = json.dumps({"settings": settings, "result": result}, indent=2, default=str)
        options.json.write_text(text + "\n")


COLUMNS = {
    "seam": "seam",
    "seam_over_real": "seam / real",
    "drift_background": "drift, background",
    "drift_background_within": "within one",
    "drift_person": "drift, person",
    "drift_person_within": "within one",
    "psnr": "PSNR",
    "seconds_a_frame": "s a frame",
}


def show(rows: dict[str, list[dict]], title: str) -> None:
    table = Table(title=title)
    table.add_column("way")
    for head in COLUMNS.values():
        table.add_column(head, justify="right")
    for name, clips in rows.items():
        means = [_mean([clip.get(column) for clip in clips]) for column in COLUMNS]
        table.add_row(name, *("" if mean is None else f"{mean:.3f}" for mean in means))
    Console(width=120).print(table)


# One process a length, since a process's peak never falls.
PEAK = "import sys; sys.path.insert(0, 'bench'); import long_video as l; l.print_peak({frames})"


def memory(lengths: list[int]) -> dict[str, float]:
    """Peak memory in MB by the number of frames, and how much each frame more takes."""
    peaks = {}
    for frames in lengths:
        command = [sys.executable, "-c", PEAK.format(frames=frames)]
        peaks[frames] = float(subprocess.run(command, check=True, capture_output=True).stdout)
    first, last = lengths[0], lengths[-1]
    a_frame = (peaks[last] - peaks[first]) / (last - first)
    return {**{f"{frames} frames": peak for frames, peak in peaks.items()}, "a frame": a_frame}


def print_peak(frames: int) -> None:
    """Generate so many frames with a fresh tiny model; print this process's peak in MB."""
    settings = preset("tiny")
    pipeline = IdolPipeline.of(
        DualModalDenoiser.from_config(settings),
        TinyEncoder(settings.foreground_dim),
        PatchCodec(),
        ddim_scheduler(PatchCodec.bound),
        ModelInfo(stage="video", preset="tiny", settings=settings, size=64, frames=8, step=0),
    )
    pipeline.set_progress_bar_config(disable=True)
    image = np.zeros((64, 64, 3), np.uint8)
    skeletons = np.zeros((frames, 64, 64, 3), np.uint8)
    given = ClipConditions(image, image[..., 0], image, image[..., 0], skeletons, fps=25)
    ClipGenerator(pipeline, steps=1, guidance=1.0, windows=Windows(8, 0))(given, 0)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=PEOPLE64, help="default: people64")
    parser.add_argument("--shards", help="dataset whose clips are long enough")
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--clips", type=int, default=4, help="so many clips of the dataset at most")
    parser.add_argument("--length", type=int, default=8, help="frames of a window")
    parser.add_argument("--overlap", type=int, default=4)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=1.5)
    parser.add_argument("--only", nargs="+", help="names of ways")
    parser.add_argument("--save", type=Path, help="folder for the videos, as .npz")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--memory", action="store_true", help="measure peak memory instead")
    options = parser.parse_args(argv)
    limit_threads()
    if options.memory:
        result: dict = memory([16, 512])
        print("\n".join(f"{name}: {value:,.2f} MB" for name, value in result.items()))
    elif not options.shards:
        parser.error("give --shards, or --memory")
    else:
        result = compare(options)
        show(result, f"{options.frames} frames, windows of {options.length}")
    write(options, result)
    return 0


if __name__ == "__main__":
    sys.exit(run("long_video.py", main, errors=(IdolError, ShardsError, OSError)))
