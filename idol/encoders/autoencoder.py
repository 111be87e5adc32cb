"""KL autoencoders to train: a small one, and one of Stable Diffusion with depth beside colours."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from idol.config.autoencoder import AutoencoderConfig
from idol.encoders.joint import JOINT_CHANNELS
from idol.encoders.small import SmallAutoencoder
from idol.encoders.vae import VAEModel
from idol.encoders.vae_identity import find_vae

__all__ = ["Reconstruction", "autoencoder_to_train", "new_autoencoder", "with_depth_channel"]


class Reconstruction(nn.Module):
    """The autoencoder on pictures and noise, as one forward."""

    def __init__(self, network: VAEModel) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels_NCHW: Tensor, noise_NCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is made of the pictures, and the posterior's mean and logarithmic variance."""
        posterior = self.network.encode(pixels_NCHW).latent_dist
        latents = posterior.mean + torch.exp(0.5 * posterior.logvar) * noise_NCHW
        return self.network.decode(latents).sample, posterior.mean, posterior.logvar


def autoencoder_to_train(config: AutoencoderConfig, base: Path | None) -> VAEModel:
    """The network of stage autoencoder with random weights, for counts: a small one, or --base's.

    Raises ShardsError, OSError: there is no VAE at `base`.
    """
    if base is None:
        return _small(config)
    sizes = {**AutoencoderKL.load_config(find_vae(base))}
    if config.depth:
        sizes |= {"in_channels": JOINT_CHANNELS, "out_channels": JOINT_CHANNELS}
    network = AutoencoderKL.from_config(sizes)
    assert isinstance(network, AutoencoderKL)
    return network


def new_autoencoder(config: AutoencoderConfig, pictures_NCHW: Tensor) -> SmallAutoencoder:
    """A fresh autoencoder, from torch's random state: the best linear code of these pictures."""
    network = _small(config)
    network.start_from(pictures_NCHW)
    return network


def _small(config: AutoencoderConfig) -> SmallAutoencoder:
    return SmallAutoencoder(
        config.picture_channels,
        config.latent_channels,
        patch=config.patch,
        width=config.width,
        blocks=config.blocks,
    )


@torch.no_grad()
def with_depth_channel(network: AutoencoderKL) -> AutoencoderKL:
    """The autoencoder of colours widened by a channel of depth, at its input and its output.

    It starts as the one given: depth goes in with weights of zero, so that latents are those of the
    colours, and comes out as the lightness of the picture.
    """
    config = {name: value for name, value in network.config.items() if name[0] != "_"}
    widened = AutoencoderKL.from_config(
        {**config, "in_channels": JOINT_CHANNELS, "out_channels": JOINT_CHANNELS}
    )
    state = network.state_dict()
    entry, exit_, bias = (
        "encoder.conv_in.weight",
        "decoder.conv_out.weight",
        "decoder.conv_out.bias",
    )
    state[entry] = torch.cat([state[entry], torch.zeros_like(state[entry][:, :1])], dim=1)
    state[exit_] = torch.cat([state[exit_], state[exit_].mean(dim=0, keepdim=True)])
    state[bias] = torch.cat([state[bias], state[bias].mean(dim=0, keepdim=True)])
    widened.load_state_dict(state)
    return widened
