"""From a batch of clips to what the denoiser sees: latents and conditions (paper, sec. 3.1)."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from idol.config.model import DEPTH, VIDEO, PoseControl, StageName, Streams, Unconditional
from idol.config.train import TrainConfig
from idol.diffusion.conditions import Conditions
from idol.diffusion.noise import Randomness, sent
from idol.encoders import ImageEncoder, LatentCodec, PosteriorCodec
from idol.variants.ldm3d import encode_both
from shards.stream import ClipBatch
from shards.stream.request import DEPTH_SCORES, POSED, POSED_DEPTH

__all__ = ["MODALITIES", "LatentBatch", "Preparation", "scale_images", "weighs"]

# What each stage asks of the shards: pre-training has neither depth nor pose.
MODALITIES: dict[StageName, frozenset[str]] = {
    "pretrain": frozenset({"rgb", "reference"}),
    "image": frozenset({"rgb", "depth", "pose", "reference"}),
    "video": frozenset({"rgb", "depth", "pose", "reference"}),
    "distill": frozenset({"rgb", "depth", "pose", "reference"}),
    # All that a codec has to encode.
    "autoencoder": frozenset({"rgb", "depth", "pose", "reference"}),
}


_STREAMS = {"rgb": VIDEO, "depth": DEPTH}
_NEVER_CACHED = (POSED, POSED_DEPTH)


@dataclass(frozen=True, eq=False)
class LatentBatch:
    """B clips ready for the denoiser: clean latents, and the conditions that come with them.

    `key`             of each clip.
    `latents_BMFCHW`  as the codec scaled them; M streams, labelled by `modalities`.
    `modalities`      `VIDEO` and `DEPTH` of `idol.config.model`, or `VIDEO` alone.
    `positions`       the clips' places in the stream's order, of which training draws.
    `depth_scores_BF` how far each frame's depth is trusted, float32 in [0, 1]; None: wholly.
    """

    key: tuple[str, ...]
    latents_BMFCHW: Tensor
    conditions: Conditions
    modalities: tuple[int, ...]
    positions: tuple[int, ...] = ()
    depth_scores_BF: Tensor | None = None


@dataclass(frozen=True)
class Preparation:
    """How clips become latents.

    Args:
        size: height and width of the images that are encoded, in pixels.
        unconditional: what the model is given in place of a foreground, for guidance.
        pose_control: whether poses become latents, or a T2I-Adapter sees their images.
        streams: what the model's streams are: of a model of one, latents of colour and depth
            together, or of video alone.
    """

    codec: LatentCodec
    encode_image: ImageEncoder
    size: int
    unconditional: Unconditional = "zero_tokens"
    pose_control: PoseControl = "controlnet"
    streams: Streams = "shared"

    @classmethod
    def of(cls, config: TrainConfig, codec: LatentCodec, encode_image: ImageEncoder) -> Self:
        """As a configuration of training says."""
        model = config.model
        return cls(
            codec,
            encode_image,
            config.data.size,
            unconditional=model.unconditional,
            pose_control=model.pose_control,
            streams=model.streams,
        )

    def __call__(
        self,
        clips: ClipBatch,
        device: torch.device,
        *,
        random: Randomness | None = None,
        dropout: float = 0.0,
        posed_dropout: float = 0.0,
        together: bool = False,
        guided: bool = False,
    ) -> LatentBatch:
        """Encode images of clips, or draw from their cached latents; with depth both modalities.

        Args:
            random: samples the VAE's posteriors and the foregrounds dropped, by the clips'
                positions; without it modes are taken and none is dropped.
            dropout: fraction of foregrounds dropped.
            posed_dropout: fraction of clips whose background shows nobody, where one is posed.
            together: drop all of a batch or none.
            guided: guidance will be taken, which asks for no foreground as well; always so without
                `random`.
        """
        clips = clips.map(lambda array: array.to(device, non_blocking=True))
        kinds = {"rgb": VIDEO} if self.streams in ("joint", "video") else _STREAMS
        streams = {name: label for name, label in kinds.items() if _is_there(clips, name)}

        def encode(name: str, purpose: str) -> Tensor:
            return self._encode(clips, name, f"posterior-{purpose}", random)

        latents = [encode(name, str(label)) for name, label in streams.items()]
        dropped = None
        if random is not None and dropout:
            drawn = random.dropped(clips.positions, dropout, together=together)
            dropped = sent(drawn, device)
        mask = clips.foreground_mask
        if dropped is not None and self.unconditional == "zeroed_image":
            # The mask multiplies the image: without it all is zero.
            mask, dropped = mask.masked_fill(dropped[:, None, None], 0), None
        conditions = Conditions(
            encoded_foreground_BTD=self.encode_image(clips.foreground, mask),
            background_BCHW=encode("background", "background")[:, 0],
            pose_BFCHW=self._pose(clips, random) if _is_there(clips, "pose") else None,
            posed_BFCHW=encode(POSED, "background") if POSED in clips.more else None,
            posed_depth_BFCHW=encode(POSED_DEPTH, str(DEPTH))
            if POSED_DEPTH in clips.more
            else None,
        )
        if (guided or random is None) and self.unconditional == "zeroed_image":
            without = self.encode_image(clips.foreground, torch.zeros_like(mask))
            conditions = replace(conditions, unconditional_BTD=without)
        if random is not None and posed_dropout and conditions.posed_BFCHW is not None:
            drawn = random.dropped(
                clips.positions, posed_dropout, together=together, purpose="posed-dropout"
            )
            far = None
            if conditions.posed_depth_BFCHW is not None:
                far = self.codec.encode(torch.ones(1, 3, self.size, self.size, device=device))[0]
            conditions = conditions.without_posed(sent(drawn, device), far)
        if dropped is not None:
            conditions = conditions.without_foreground(dropped)
        return LatentBatch(
            clips.key,
            torch.stack(latents, dim=1),
            conditions,
            tuple(streams.values()),
            clips.positions,
            clips.more[DEPTH_SCORES].float() / 255 if DEPTH_SCORES in clips.more else None,
        )

    def _pose(self, clips: ClipBatch, random: Randomness | None) -> Tensor:
        if self.pose_control == "controlnet":
            return self._encode(clips, "pose", "posterior-pose", random)
        images: Tensor = clips["pose"]
        return scale_images(images.flatten(0, 1), self.size).unflatten(0, images.shape[:2])

    def _encode(
        self,
        clips: ClipBatch,
        name: str,
        purpose: str,
        random: Randomness | None,
    ) -> Tensor:
        """Latents of images, or drawn from their moments where those were cached."""
        moments = clips[f"{name}_latents"] if name not in _NEVER_CACHED else None
        given: Tensor = clips[name] if moments is None else moments
        if name == "background":
            given = given[:, None]
        frames = given.shape[1]
        noise = None
        if random is not None and self.codec.stochastic:
            side = self.size // self.codec.factor
            shape = (frames, self.codec.channels, side, side)
            drawn = random.normal(purpose, clips.positions, shape).flatten(0, 1)
            noise = sent(drawn, given.device)
        if moments is None:
            pixels = scale_images(given.flatten(0, 1), self.size)
            if name == "rgb" and self.streams == "joint" and clips.depth is not None:
                depth = scale_images(clips.depth.flatten(0, 1), self.size)
                return encode_both(self.codec, pixels, depth, noise).unflatten(0, (-1, frames))
            return self.codec.encode(pixels, noise).unflatten(0, (-1, frames))
        assert isinstance(self.codec, PosteriorCodec)
        return self.codec.sample(given.flatten(0, 1), noise).unflatten(0, (-1, frames))


def weighs(config: TrainConfig) -> bool:
    """Whether a stage has an error of depth that scores can weigh."""
    return config.stage in ("image", "video")


def scale_images(images_NHWC: Tensor | np.ndarray, size: int | tuple[int, int]) -> Tensor:
    """Resize uint8 images and scale them: (N, C, H, W) in [-1, 1].

    size: height and width, one number where they are alike.
    """
    pixels = torch.as_tensor(images_NHWC).permute(0, 3, 1, 2).float() / 127.5 - 1
    wanted = size if isinstance(size, tuple) else (size, size)
    given = pixels.shape[-2:]
    if tuple(given) == wanted:
        return pixels
    # Averages of whole pixels leave flat regions, and colours that mean depths, as they are.
    mode = "area" if given[0] >= wanted[0] and given[1] >= wanted[1] else "bilinear"
    return F.interpolate(pixels, wanted, mode=mode)


def _is_there(clips: ClipBatch, name: str) -> bool:
    return clips[name] is not None or clips[f"{name}_latents"] is not None
