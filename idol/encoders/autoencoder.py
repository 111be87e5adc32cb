"""KL autoencoders to train: a small one, and one of Stable Diffusion with depth beside colours."""

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from idol.config.autoencoder import AutoencoderConfig
from idol.encoders.joint import JOINT_CHANNELS
from idol.encoders.small import SmallAutoencoder

__all__ = ["new_autoencoder", "with_depth_channel"]


def new_autoencoder(config: AutoencoderConfig, pictures_NCHW: Tensor) -> SmallAutoencoder:
    """A fresh autoencoder, from torch's random state: the best linear code of these pictures."""
    network = SmallAutoencoder(
        config.picture_channels,
        config.latent_channels,
        patch=config.patch,
        width=config.width,
        blocks=config.blocks,
    )
    network.start_from(pictures_NCHW)
    return network


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
