"""A small autoencoder of patches: a linear code, and networks that know what is around a patch."""

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import ModelMixin  # pipelines look for it beside the classes
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn

__all__ = ["SmallAutoencoder"]

_LOGVAR = -8.0  # of a fresh posterior; pixels are in [-1, 1]


class SmallAutoencoder(ModelMixin, ConfigMixin):
    """A KL autoencoder with the methods of diffusers' `AutoencoderKL`, all at the latents' size.

    Latents are a linear code of a patch plus what a few convolutions add, and pictures are the
    inverse plus what a few more add: so it starts as the best linear code (`start_from`), where
    convolutions at the picture's own size would cost most of the time and start from nothing.

    Args:
        in_channels: of a picture; 3 of colour, 4 with depth.
        latent_channels: of a latent.
        patch: pixels of a patch's side, which is what the sides are divided by.
        width: channels of the networks.
        blocks: of the encoder; the decoder has twice as many.
        scaling_factor: what latents are multiplied by for a deviation of 1.
    """

    config_name = "config.json"
    # What group offloading fetches, since nobody calls the whole.
    _group_offload_block_modules = ["encoder_code", "encoder", "decoder_code", "decoder"]  # noqa: RUF012

    @register_to_config
    def __init__(
        self,
        in_channels: int,
        latent_channels: int,
        *,
        patch: int,
        width: int,
        blocks: int,
        scaling_factor: float = 1.0,
    ) -> None:
        super().__init__()
        values = in_channels * patch**2
        self.patch = patch
        self.encoder_code = nn.Conv2d(values, latent_channels, kernel_size=1)
        self.encoder = _network(values, width, blocks, 2 * latent_channels)
        self.decoder_code = nn.Conv2d(latent_channels, values, kernel_size=3, padding=1)
        self.decoder = _network(latent_channels, width, 2 * blocks, values)
        last = self.encoder[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        nn.init.constant_(last.bias[latent_channels:], _LOGVAR)

    @apply_forward_hook
    def encode(self, pixels_NCHW: Tensor) -> AutoencoderKLOutput:
        """The posterior (`latent_dist`) of pictures in [-1, 1]: (N, latent_channels, H', W')."""
        patches = F.pixel_unshuffle(pixels_NCHW, self.patch)
        mean, logvar = self.encoder(patches).chunk(2, dim=1)
        moments = torch.cat([self.encoder_code(patches) + mean, logvar], dim=1)
        return AutoencoderKLOutput(latent_dist=DiagonalGaussianDistribution(moments))

    @apply_forward_hook
    def decode(self, latents_NCHW: Tensor) -> DecoderOutput:
        """Pictures (`sample`) of latents as `encode` gives them, not scaled."""
        patches = self.decoder_code(latents_NCHW) + self.decoder(latents_NCHW)
        return DecoderOutput(sample=F.pixel_shuffle(patches, self.patch))

    @torch.no_grad()
    def start_from(self, pictures_NCHW: Tensor) -> None:
        """Become the best linear code of the patches of these pictures, in [-1, 1].

        Latents are projections on the directions of most energy, orthonormal, so that noise and
        errors of latents are those of pixels.
        """
        patches = F.pixel_unshuffle(pictures_NCHW.double(), self.patch).movedim(1, -1)
        rows = patches.flatten(0, -2)
        energy, directions = torch.linalg.eigh(rows.mT @ rows / len(rows))
        count = self.config["latent_channels"]
        code = directions.flip(1)[:, :count].mT.float()
        spread = energy.flip(0)[:count].clamp(min=1e-4).sqrt().float()
        for layer, weight in ((self.encoder_code, code), (self.decoder_code, code.mT)):
            _zero(layer)
            middle = layer.kernel_size[0] // 2
            layer.weight[:, :, middle, middle] = weight
        # The network behind sees channels of like size.
        self.decoder[0].weight /= spread[:, None, None]


class _Block(nn.Module):
    """Adds to its input what two convolutions make of it; nothing at first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, kernel_size=3, padding=1)
        self.second = nn.Conv2d(width, width, kernel_size=3, padding=1)
        _zero(self.second)

    def forward(self, features_NCHW: Tensor) -> Tensor:
        return features_NCHW + self.second(F.silu(self.first(F.silu(features_NCHW))))


def _zero(layer: nn.Conv2d) -> None:
    assert layer.bias is not None
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


def _network(channels: int, width: int, blocks: int, made: int) -> nn.Sequential:
    """Convolutions at one resolution, which make zeros at first."""
    last = nn.Conv2d(width, made, kernel_size=3, padding=1)
    _zero(last)
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel_size=3, padding=1),
        *(_Block(width) for _ in range(blocks)),
        nn.SiLU(),
        last,
    )
