"""Which parameters each training stage trains (method, "Stages"; paper, appendix B)."""

from torch import nn

from idol.config.model import CLIP_STAGES, DualModalUNetConfig, StageName
from idol.config.train import PretrainedLayers
from idol.model.denoiser import DualModalDenoiser

__all__ = ["is_trained", "set_trainable", "stage_config"]

# Human attribute outpainting pre-training freezes the ResBlocks and has neither pose nor depth.
_PRETRAINED = ("unet.background_conv.", "unet.matte_conv.", "foreground_projection.")


def stage_config(config: DualModalUNetConfig, stage: StageName) -> DualModalUNetConfig:
    """Return the configuration a stage builds: only `video`, and what is
    distilled of it, has temporal layers."""
    return config if stage in CLIP_STAGES else config.for_single_frames()


def is_trained(
    parameter_name: str, stage: StageName, pretrained: PretrainedLayers = "attention_blocks"
) -> bool:
    """Whether the `stage` trains the parameter of `DualModalDenoiser` with this name.

    `pretrain`: the U-Net's spatial attention blocks, or of them the transformer blocks alone,
    without the GroupNorm and the projections around each (DisCo's code); besides these, what the
    2D model has not: background convolution, matte and foreground projection.
    `image`, `video` and `distill`: everything; the VAE and CLIP are outside the model.
    """
    if stage != "pretrain":
        return True
    part = ".attentions." if pretrained == "attention_blocks" else ".transformer_blocks."
    attention = parameter_name.startswith("unet.") and part in parameter_name
    return attention or parameter_name.startswith(_PRETRAINED)


def set_trainable(
    model: DualModalDenoiser, stage: StageName, pretrained: PretrainedLayers = "attention_blocks"
) -> list[nn.Parameter]:
    """Set `requires_grad` of every parameter for `stage` and return those that are trained.

    Raises:
        ValueError: the model's temporal layers do not belong in this stage, or are absent.
    """
    wanted = stage_config(model.settings, stage).temporal_layers
    if model.settings.temporal_layers != wanted or (stage in CLIP_STAGES and not wanted):
        raise ValueError(
            f"stage {stage!r} trains a model {'with' if stage in CLIP_STAGES else 'without'} "
            "temporal layers; build it from stage_config(config, stage)"
        )
    trained = []
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(is_trained(name, stage, pretrained))
        if parameter.requires_grad:
            trained.append(parameter)
    return trained
