"""KL autoencoders to train: a small one, and one of Stable Diffusion with depth beside colours."""

import torch
from diffusers import AutoencoderKL
from torch import nn

from idol.config.autoencoder import AutoencoderConfig
from idol.encoders.joint import JOINT_CHANNELS

__all__ = ["new_autoencoder", "with_depth_channel"]


def new_autoencoder(config: AutoencoderConfig) -> AutoencoderKL:
    """A fresh autoencoder, from torch's random state; convolutions alone, so of any size of image.

    ResBlocks start as their shortcuts, so that from the first step on a picture reaches the
    latents, and they the picture.
    """
    levels = len(config.block_out_channels)
    channels = JOINT_CHANNELS if config.depth else 3
    network = AutoencoderKL(
        in_channels=channels,
        out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=config.block_out_channels,
        layers_per_block=config.layers_per_block,
        latent_channels=config.latent_channels,
        norm_num_groups=config.norm_groups,
        sample_size=config.crop,
        scaling_factor=1.0,
        mid_block_add_attention=False,
    )
    for name, module in network.named_modules():
        if name.endswith(".conv2") and isinstance(module, nn.Conv2d):
            for parameter in module.parameters():
                nn.init.zeros_(parameter)
    return network


@torch.no_grad()
def with_depth_channel(network: AutoencoderKL) -> AutoencoderKL:
    """The autoencoder of colours widened by a channel of depth, at its input and its output.

    It starts as the one given: depth goes in with weights of zero, so that latents are those of the
    colours, and comes out as the lightness of the picture.
    """
    widened = AutoencoderKL.from_config(
        {**network.config, "in_channels": JOINT_CHANNELS, "out_channels": JOINT_CHANNELS}
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
