"""Samples: what the model makes of a clip's conditions, beside the clip, a sheet each."""

from typing import Literal

import cv2
import numpy as np
import torch
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from torch import Tensor, nn

from idol.config.model import DEPTH, VIDEO
from idol.data.preparation import LatentBatch
from idol.diffusion.noise import named_noise
from idol.diffusion.sampling import predict, sample
from idol.diffusion.schedule import noise_schedule
from idol.encoders import LatentCodec
from idol.losses.literal import motion_field
from idol.train.validation import evaluating
from idol.variants.ldm3d import decode_both, holds_depth
from shards.inspect.page import DIM, Page, fitted
from shards.stream import ClipBatch

__all__ = ["clip_features", "colour_motion", "displacements", "sample_sheets"]

# Early, when features are still those of the clip.
_FEATURES_AT = 100

_TILE, _GAP, _MARGIN, _LABELS, _HEAD, _GIVEN = 128, 4, 16, 168, 56, 96

# Rows of (title, tiles), the tiles (H, W, 3) uint8 RGB.
_Rows = list[tuple[str, list[np.ndarray]]]


@torch.no_grad()
def sample_sheets(
    denoiser: nn.Module,
    batch: LatentBatch,
    clips: ClipBatch,
    codec: LatentCodec,
    *,
    depth: Literal["person", "frame"],
    scheduler: SchedulerMixin,
    steps: int,
    guidance: float,
    seed: int,
) -> dict[str, np.ndarray]:
    """Generate each clip of a batch from its conditions, and draw both.

    Rows are frames, generated frames, depth and generated depth, pose, and the motion fields of
    both streams' features when the clip itself, with one noise on all frames, is denoised (Fig. 3).
    Where there is no depth, no pose or one frame only, those rows are missing. The noise is a
    function of `seed` and a clip's key. The denoiser's modes are afterwards as they were.

    Args:
        batch: on the denoiser's device.
        clips: what `batch` was made from.
        codec: that made its latents.
        depth: which depth the clips have; a codec that holds it beside colours does not say.
        scheduler, steps, guidance: as for `idol.diffusion.sampling.sample`.

    Returns:
        By clip key, a sheet (H, W, 3) uint8 RGB.
    """
    latents = batch.latents_BMFCHW
    noise = torch.stack([named_noise(f"{seed}/{key}", latents.shape[1:]) for key in batch.key])
    noise = noise.to(latents)
    with evaluating(denoiser):
        generated = sample(
            denoiser,
            batch.conditions,
            noise,
            modalities=batch.modalities,
            scheduler=scheduler,
            steps=steps,
            guidance=guidance,
            generator=torch.Generator().manual_seed(seed),
        )
        motion = _motion(denoiser, batch, noise) if latents.shape[2] > 1 else None
    sheets = {}
    for index, key in enumerate(batch.key):
        rows = _frame_rows(clips, batch, codec, generated, index, depth)
        caption = f"{steps} steps, guidance {guidance:g}"
        if motion is not None:
            length = float(torch.linalg.vector_norm(motion[index], dim=-1).quantile(0.98))
            caption += f" · motion: hue is direction, full colour {length:.2g} positions or more"
            rows += _motion_rows(motion[index], batch.modalities, length)
        sheets[key] = _sheet(key, caption, _given(clips, index), rows)
    return sheets


def _motion(denoiser: nn.Module, batch: LatentBatch, noise_BMFCHW: Tensor) -> Tensor:
    """Displacements in the finest compared layer, (B, M, F - 1, H, W, 2)."""
    moved = displacements(clip_features(denoiser, batch, noise_BMFCHW).flatten(0, 1))
    return moved.unflatten(0, (-1, len(batch.modalities)))


def clip_features(denoiser: nn.Module, batch: LatentBatch, noise_BMFCHW: Tensor) -> Tensor:
    """What the motion loss compares in the finest layer of the clips themselves, little noised.

    Returns:
        (B, M, F, H, W, C).
    """
    latents = batch.latents_BMFCHW
    # One noise for all frames: it stands still, where one of each frame's own would hide all else.
    noise_BMFCHW = noise_BMFCHW[:, :, :1].expand_as(latents)
    timesteps_B = torch.full((len(latents),), _FEATURES_AT, device=latents.device)
    output = predict(
        denoiser,
        noise_schedule().add_noise(latents, noise_BMFCHW, timesteps_B),
        timesteps_B,
        batch.conditions,
        modalities=batch.modalities,
        return_features=True,
    )
    return output.features[-1].motion_BMFHWC


def _frame_rows(
    clips: ClipBatch,
    batch: LatentBatch,
    codec: LatentCodec,
    generated: Tensor,
    index: int,
    depth: Literal["person", "frame"],
) -> _Rows:
    real = {VIDEO: ("frames", clips.rgb), DEPTH: ("depth", clips.depth)}
    made = {VIDEO: "generated frames", DEPTH: "generated depth"}
    rows: _Rows = []
    for stream, label in enumerate(batch.modalities):
        decoded = {label: codec.decode(generated[index, stream])}
        if holds_depth(codec):
            decoded = dict(enumerate(decode_both(codec, generated[index, stream], depth)))
        for kind, pixels in decoded.items():
            title, images = real[kind]
            if images is not None:
                rows.append((title, list(_numpy(images[index]))))
            levels = ((pixels.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
            rows.append((made[kind], list(_numpy(levels.permute(0, 2, 3, 1)))))
    if clips.pose is not None:
        rows.append(("pose", list(_numpy(clips.pose[index]))))
    return rows


def _motion_rows(motion_MFHW2: Tensor, modalities: tuple[int, ...], longest: float) -> _Rows:
    names = {VIDEO: "feature motion, video", DEPTH: "feature motion, depth"}
    return [
        (names[label], [colour_motion(frame, longest) for frame in _numpy(moved)])
        for label, moved in zip(modalities, motion_MFHW2, strict=True)
    ]


def _given(clips: ClipBatch, index: int) -> list[tuple[str, np.ndarray]]:
    """The images that the model was given: the person on white, and the background."""
    person = _numpy(clips.foreground_mask[index])[..., None] / np.float32(255)
    foreground = _numpy(clips.foreground[index]) * person + 255 * (1 - person)
    return [
        ("foreground", foreground.round().astype(np.uint8)),
        ("background", _numpy(clips.background[index])),
    ]


def _sheet(key: str, caption: str, given: list[tuple[str, np.ndarray]], rows: _Rows) -> np.ndarray:
    """Rows of tiles with their titles; what was given stands to the right."""
    columns = max(len(tiles) for _, tiles in rows)
    left, top = _MARGIN + _LABELS, _MARGIN + _HEAD
    pitch = _TILE + _GAP
    right = left + columns * pitch + 3 * _GAP
    lines = max(len(rows), len(given))
    page = Page(max(right + _TILE + _GIVEN, 640) + _MARGIN, top + lines * pitch - _GAP + _MARGIN)
    page.text(_MARGIN, _MARGIN + 16, key, size=13, bold=True)
    page.text(_MARGIN, _MARGIN + 38, caption, size=9.5, colour=DIM)
    for line, (title, tiles) in enumerate(rows):
        y = top + line * pitch
        page.text(_MARGIN, y + 18, title, size=10)
        for column, tile in enumerate(tiles):
            page.paste(left + column * pitch, y, fitted(tile, _TILE, _TILE))
    for line, (title, tile) in enumerate(given):
        page.paste(right, top + line * pitch, fitted(tile, _TILE, _TILE))
        # Beside it, for a badge would cover the head of whoever fills the image.
        page.text(right + _TILE + 8, top + line * pitch + 18, title, size=10)
    return page.image()


def _numpy(array: np.ndarray | Tensor) -> np.ndarray:
    return array.cpu().numpy() if isinstance(array, Tensor) else array


def displacements(features_BFHWC: Tensor) -> Tensor:
    """How far features move from each frame to the next, (B, F - 1, H, W, 2) as (x, y).

    The expected target under the motion field of Eq. 4, the loss's own, with its temperature. At
    that temperature a field is wide, and an expectation over it leans to the middle of the
    image, forward in time as well as backward. So this is half the difference of the two: what
    stands still has none. The unit is a position of the feature map. Float32, also in autocast.
    """
    features_BFHWC = features_BFHWC.float()
    height, width, channels = features_BFHWC.shape[2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    positions_L2 = torch.stack([x, y], dim=-1).flatten(0, 1).to(features_BFHWC)
    moved = []
    with torch.autocast(features_BFHWC.device.type, enabled=False):
        for clip_FHWC in features_BFHWC:  # one at a time: a field has (HW)^2 entries a frame pair
            forward, backward = (
                motion_field(frames_FHWC[None], channels**-0.5)[0] @ positions_L2
                for frames_FHWC in (clip_FHWC, clip_FHWC.flip(0))
            )
            moved.append(((forward - backward.flip(0)) / 2).unflatten(1, (height, width)))
    return torch.stack(moved)


def colour_motion(displacement_HW2: np.ndarray, longest: float) -> np.ndarray:
    """Colour displacements, (H, W, 3) uint8 RGB: hue is direction, white is none.

    Args:
        longest: the length that has full colour; longer ones do too.
    """
    x, y = displacement_HW2[..., 0], displacement_HW2[..., 1]
    length = np.minimum(np.hypot(x, y) / max(longest, 1e-12), 1)
    hue = (np.degrees(np.arctan2(y, x)) % 360).astype(np.float32)
    hsv = np.stack([hue, length.astype(np.float32), np.ones_like(hue)], axis=-1)
    rgb = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return (rgb * 255).round().astype(np.uint8)
