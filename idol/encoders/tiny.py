"""What preset `tiny` has in place of the VAE and CLIP, so that it needs no download.

The cosine transform of patches as latents, and a small image encoder, trained with the model.
"""

import math
from os import PathLike
from typing import Any, Self

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin  # pipelines look for it beside the classes
from torch import Tensor, nn

from idol.config.model import IMAGE_ENCODER_HEADS
from idol.config.patches import PATCH, PATCHES, channels_of
from idol.config_json import Placeless
from idol.model.waves import coded, pictured

__all__ = ["PatchCodec", "TinyEncoder"]

_SIZE = 64


class PatchCodec(Placeless, ModelMixin, ConfigMixin):
    """RGB patches as 48 channels of 4x4 pixels, or 192 of 8x8, losslessly and without weights.

    The orthonormal cosine transform of a patch's lightness and of two differences of its colours,
    a third of the channels each: channels differ much in size, which a model is told
    (`DualModalUNetConfig.change_spread`). Noise and errors are those of pixels; of patches of 8x8
    those of the picture at half its size, since the transform is halved there and its first 48
    channels are, but for the finest detail, those of that picture in patches of 4x4. So what is
    noise and what is picture at a timestep does not depend on the patches, and a model of one goes
    on as a model of the other (`idol.model.initial_weights.widened`).

    Args:
        patch: pixels of a patch's side, 4 or 8.

    Raises:
        ValueError: another patch.
    """

    stochastic = False
    bound: float | None = math.sqrt(channels_of(PATCH))  # of all patches

    @register_to_config
    def __init__(self, patch: int = PATCH) -> None:
        super().__init__()
        if patch not in PATCHES:
            raise ValueError(f"patches are of {' or '.join(map(str, PATCHES))} pixels, not {patch}")
        self.factor = patch
        self.channels = channels_of(patch)
        # Where a module without weights is.
        self.register_buffer("place", torch.zeros(()), persistent=False)

    def save_pretrained(self, folder: str | PathLike[str], **options: Any) -> None:
        """Write `config.json`: there are no weights."""
        self.save_config(folder)

    @classmethod
    def from_pretrained(cls, folder: str | PathLike[str], **options: Any) -> Self:
        """Load what `save_pretrained` wrote; in no dtype, for it keeps that of its input.

        Raises OSError.
        """
        return cls.from_config(cls.load_config(folder))

    def encode(self, pixels_NCHW: Tensor, noise_NCHW: Tensor | None = None) -> Tensor:
        """See `LatentCodec`; noise is not used."""
        if pixels_NCHW.shape[-2] % self.factor or pixels_NCHW.shape[-1] % self.factor:
            raise ValueError(
                f"an image of {tuple(pixels_NCHW.shape[-2:])} pixels has no whole "
                f"{self.factor}x{self.factor} patches"
            )
        return coded(pixels_NCHW, self.factor)

    def decode(self, latents_NCHW: Tensor) -> Tensor:
        """See `LatentCodec`; the inverse of `encode`, but for rounding."""
        return pictured(latents_NCHW, self.factor)


class TinyEncoder(Placeless, ModelMixin, ConfigMixin):
    """A small vision transformer: a class token, and patches of a 64x64 image.

    Args:
        channels: of a token; the model's `foreground_dim`.
        patch: pixels of a patch's side, 1 to 64; halves make four times the tokens.
        depth: its layers.
    """

    @register_to_config
    def __init__(
        self,
        channels: int = 32,
        *,
        patch: int = 16,
        depth: int = 2,
        heads: int = IMAGE_ENCODER_HEADS,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.patches = nn.Conv2d(4, channels, kernel_size=patch, stride=patch)
        self.class_token = nn.Parameter(torch.zeros(channels))
        self.positions = nn.Parameter(torch.randn(self.tokens(patch), channels) * 0.1)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                channels,
                heads,
                dim_feedforward=2 * channels,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(channels)

    @staticmethod
    def tokens(patch: int) -> int:
        """How many there are of an image, in patches of so many pixels a side."""
        return 1 + (_SIZE // patch) ** 2

    def forward(self, pixels_BHWC: Tensor, mask_BHW: Tensor) -> Tensor:
        """See `ImageEncoder`: 1 + (64 / patch)^2 tokens; images of any size, the mask a channel."""
        mask = mask_BHW[:, None].float() / 255
        pixels = (pixels_BHWC.permute(0, 3, 1, 2).float() / 127.5 - 1) * mask
        image = torch.cat([pixels, mask], dim=1)
        image = F.interpolate(image, (_SIZE, _SIZE), mode="bilinear", antialias=True)
        patches = self.patches(image.to(self.patches.weight.dtype)).flatten(2).transpose(1, 2)
        class_token = self.class_token.expand(len(patches), 1, -1)
        tokens = torch.cat([class_token, patches], dim=1) + self.positions
        for layer in self.layers:
            tokens = layer(tokens)
        return self.norm(tokens)
