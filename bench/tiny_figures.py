"""What a model of `tiny_runs.py` can do: figures of held-out clips, and sheets of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import torch
import torch.nn.functional as F
from tiny_clips import Clips, latents_of
from torch import Tensor

from idol.diffusion.sampling import predict, sample
from idol.diffusion.schedule import ddim_scheduler, noise_schedule
from idol.saved import Trained
from shards.sample.colormap import hot_to_depth

PERSON = 0.9  # a pixel of a depth picture whose least channel is below is the person's


@torch.no_grad()
def generate(
    trained: Trained,
    clips: Clips,
    index: Tensor,
    at: Tensor,
    *,
    swapped: bool = False,
    count: int = 16,
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
        latents, conditions = latents_of(batch, trained)
        generator = torch.Generator().manual_seed(start)
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        made = sample(
            trained.denoiser,
            conditions,
            noise,
            scheduler=ddim_scheduler(trained.codec.bound),
            steps=20,
            guidance=1.5,
        )
        decoded = trained.codec.decode(made.flatten(0, 2))
        pixels = decoded.unflatten(0, made.shape[:3]).movedim(-3, -1)
        images = (pixels.cpu() + 1).div(2).clamp(0, 1)
        yield {n: b.cpu() / 255 for n, b in batch.items()} | {
            "video": images[:, 0],
            "made_depth": images[:, 1],
        }


def measured(
    trained: Trained, clips: Clips, frames: int
) -> tuple[dict[str, float], list[dict[str, Tensor]]]:
    """Figures of so many frames of held-out clips, and the images that they are of."""
    count = len(clips.lengths)
    index = torch.arange(count, device=clips.device)
    if frames > 1:
        apart = ((clips.lengths - 1) // (frames - 1)).clamp(1, 2)
        at = torch.arange(frames, device=clips.device) * apart[:, None]
    else:
        at = (clips.lengths // 2)[:, None]
    parts = list(generate(trained, clips, index, at))
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
    swapped = list(generate(trained, clips, index, at, swapped=True))
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
def held_out_losses(trained: Trained, clips: Clips, frames: int) -> dict[str, float]:
    """Errors of the noise on held-out clips, as `idol-train` validates, with noise of its own."""
    count, generator = len(clips.lengths), torch.Generator().manual_seed(7)
    index = torch.arange(count, device=clips.device)
    at = torch.arange(frames, device=clips.device).expand(count, -1)
    schedule, totals = noise_schedule(), torch.zeros(2)
    for part in index.split(16):
        upright = torch.zeros(len(part), dtype=torch.bool, device=clips.device)
        latents, conditions = latents_of(clips.take(part, at[part], upright), trained)
        for timestep in range(50, 1000, 100):
            noise = torch.randn(latents.shape, generator=generator).to(latents)
            timesteps = torch.full((len(part),), timestep, device=clips.device)
            noisy = schedule.add_noise(latents, noise, timesteps)
            said = predict(trained.denoiser, noisy, timesteps, conditions).noise_pred_BMFCHW
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
