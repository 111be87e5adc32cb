"""The unified dual-modal U-Net (Fig. 2): one set of weights denoises video and depth.

Shape suffixes: see `idol.model.layout`.
"""

import dataclasses

import torch
import torch.nn.functional as F
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401 (pipelines look for it here)
from torch import Tensor, nn

from idol.config.model import DEPTH, VIDEO, DualModalUNetConfig
from idol.diffusion.schedule import noise_of_v
from idol.model.attention import LayerFeatures, zero_
from idol.model.blocks import Embeddings, UpBlock
from idol.model.change import change_of, far_latent, noise_of_change
from idol.model.controlnet import ControlResiduals
from idol.model.encoder import DualModalEncoder
from idol.model.layout import ClipLayout, of_frames
from idol.model.resblock import NORM_EPS, group_norm

__all__ = ["ConsistencyFeatures", "DenoiserOutput", "DualModalUNet"]


@dataclasses.dataclass(frozen=True)
class ConsistencyFeatures:
    """One layer's intermediate results, ordered for the losses of sec. 3.2.

    Attributes:
        motion_BMFHWC: features whose motion Eq. 3-5 compares.
        queries_BMFhLD, keys_BMFhTD: queries and keys, per head h, whose maps Eq. 6 compares.
    """

    motion_BMFHWC: Tensor
    queries_BMFhLD: Tensor
    keys_BMFhTD: Tensor


@dataclasses.dataclass(frozen=True)
class DenoiserOutput:
    """The predicted noise, shaped like the latents, and the features of each compared layer."""

    noise_pred_BMFCHW: Tensor
    features: tuple[ConsistencyFeatures, ...]


class DualModalUNet(DualModalEncoder):
    """Predicts the noise in video and depth latents in one batched pass (sec. 3.1).

    Args:
        config: sizes and switches; `idol.model.preset("sd14")` is the paper's.
    """

    def __init__(self, config: DualModalUNetConfig) -> None:
        super().__init__(config, cross_modal=True)
        channels = config.block_out_channels
        if config.background == "latent":
            self.background_conv = nn.Conv2d(
                config.latent_channels, channels[0], kernel_size=3, padding=1
            )
            self.reset_background_conv()
        if config.posed_depth:
            self.posed_depth_conv = nn.Conv2d(
                config.latent_channels, channels[0], kernel_size=3, padding=1
            )
            zero_(self.posed_depth_conv)
        self.up_blocks = nn.ModuleList(
            UpBlock(
                channels[min(level + 1, len(channels) - 1)],
                channels[level],
                _skip_channels(level, config),
                config,
                attention=config.attention_levels[level],
                upsample=level > 0,
            )
            for level in reversed(range(len(channels)))
        )
        self.conv_norm_out = nn.GroupNorm(config.norm_groups, channels[0], eps=NORM_EPS)
        self.conv_out = nn.Conv2d(channels[0], config.latent_channels, kernel_size=3, padding=1)
        if config.matte:
            matte_channels = config.latent_channels // 3
            self.matte_conv = nn.Conv2d(channels[0], matte_channels, kernel_size=3, padding=1)
            zero_(self.matte_conv)

    # Sec. 3.1: "adding the background latent to the input noise", as a convolution (we).
    def reset_background_conv(self) -> None:
        """Set the background convolution from `conv_in`, or to zero, as the configuration says.

        A model whose background goes another way has none.
        """
        if self.settings.background != "latent":
            return
        zero_(self.background_conv)
        if self.settings.background_init == "copy":
            with torch.no_grad():
                self.background_conv.weight.copy_(self.conv_in.weight)

    # epsilon_theta(z_t, t, f, b, p; y) of Eq. 2.
    def forward(
        self,
        latents_BMFCHW: Tensor,
        timesteps_B: Tensor,
        foreground_BTD: Tensor,
        background_BCHW: Tensor,
        control: ControlResiduals | None = None,
        *,
        modalities: tuple[int, ...] = (VIDEO, DEPTH),
        return_features: bool = False,
    ) -> DenoiserOutput:
        """Predict the noise of every frame of every modality.

        Args:
            latents_BMFCHW: noisy latents z_t; H and W of any size the down blocks can halve.
            timesteps_B: one timestep per clip, 0 to 999.
            foreground_BTD: foreground tokens, already projected to `cross_attention_dim`.
            background_BCHW: one background latent per clip, or (B, F, C, H, W), one per frame,
                of models with a posed foreground; it feeds both streams. Of those with its depth
                (B, 2, F, C, H, W), the second for the depth stream alone, which without it
                changes from the farthest depth, as in pre-training.
            control: what `PoseControlNet` returned for the same latents; absent in pre-training.
            modalities: the label of each of the M streams; `(VIDEO,)` in pre-training.
            return_features: also return what the consistency losses compare.

        Returns:
            The noise prediction, and features if asked for, finest resolution last.

        Raises:
            ValueError: shapes disagree, or motion features are asked of a model that has
                no temporal attention to take them after.
        """
        if return_features:
            self.check_features()
        embeddings = self.embeddings(latents_BMFCHW, timesteps_B, foreground_BTD, modalities)
        given = latents_BMFCHW, timesteps_B, background_BCHW, modalities
        hidden = self.enter(*given, embeddings)
        hidden, skips = self.encode(hidden, embeddings, control.within if control else ())
        if control is not None and control.mid is not None:
            skips = list(torch._foreach_add(skips, list(control.skips)))
            hidden = hidden + control.mid

        features: list[ConsistencyFeatures] = []
        for block in self.up_blocks:
            assert isinstance(block, UpBlock)
            own_skips, size = block.taken(skips)
            hidden, layers = block(hidden, own_skips, embeddings, size)
            if return_features:
                features += self.compared(layers, embeddings.layout)
        return DenoiserOutput(self.leave(hidden, *given, embeddings), tuple(features))

    def enter(
        self,
        latents_BMFCHW: Tensor,
        timesteps_B: Tensor,
        background_BCHW: Tensor,
        modalities: tuple[int, ...],
        embeddings: Embeddings,
    ) -> Tensor:
        """The first convolutions: noisy latents, with the background, as features (N, C, H, W)."""
        seen_BMFCHW = self.seen(latents_BMFCHW, timesteps_B, background_BCHW, modalities)
        # In half precision latents may come in float32.
        dtype = self.conv_in.weight.dtype
        hidden = self.conv_in(seen_BMFCHW.flatten(0, 2).to(dtype))
        if self.settings.background == "latent":
            layout = embeddings.layout
            place_BFCHW = of_frames(background_BCHW.to(dtype))
            added = self.background_conv(place_BFCHW.flatten(0, 1))
            added = added.unflatten(0, place_BFCHW.shape[:2])[:, None]
            if self.settings.posed_depth and background_BCHW.ndim == 6:
                added = added + self._of_posed_depth(background_BCHW, modalities)
            hidden = (layout.split(hidden) + added).flatten(0, 2)
        return hidden

    def _of_posed_depth(self, background_BMFCHW: Tensor, modalities: tuple[int, ...]) -> Tensor:
        """Features (B, M, F, C, H, W) of where the posed person is in depth; none for video."""
        depth_BFCHW = background_BMFCHW[:, 1]
        far = far_latent(self.settings, depth_BFCHW.device)
        before = (depth_BFCHW.float() - far).to(self.posed_depth_conv.weight.dtype)
        features = self.posed_depth_conv(before.flatten(0, 1)).unflatten(0, before.shape[:2])
        none = torch.zeros_like(features)
        return torch.stack([features if m == DEPTH else none for m in modalities], dim=1)

    def leave(
        self,
        hidden: Tensor,
        latents_BMFCHW: Tensor,
        timesteps_B: Tensor,
        background_BCHW: Tensor,
        modalities: tuple[int, ...],
        embeddings: Embeddings,
    ) -> Tensor:
        """The last convolution: features as the noise that they predict, (B, M, F, C, H, W)."""
        layout = embeddings.layout
        hidden = group_norm(
            self.conv_norm_out, hidden, layout, self.settings.group_norm_across_frames
        )
        hidden = F.silu(hidden)
        predicted_BMFCHW = layout.split(self.conv_out(hidden))
        if self.settings.prediction == "v":
            predicted_BMFCHW = noise_of_v(predicted_BMFCHW, latents_BMFCHW, timesteps_B)
        elif self.settings.prediction == "change":
            predicted_BMFCHW = noise_of_change(
                predicted_BMFCHW,
                latents_BMFCHW,
                timesteps_B,
                background_BCHW,
                modalities,
                self.settings,
                layout.split(self.matte_conv(hidden)) if self.settings.matte else None,
            )
        return predicted_BMFCHW

    def seen(
        self,
        latents_BMFCHW: Tensor,
        timesteps_B: Tensor,
        background_BCHW: Tensor,
        modalities: tuple[int, ...],
    ) -> Tensor:
        """The noisy latents as the first convolutions of U-Net and ControlNet take them."""
        if self.settings.prediction != "change":
            return latents_BMFCHW
        return change_of(latents_BMFCHW, timesteps_B, background_BCHW, modalities, self.settings)

    def compared(
        self, layers: list[LayerFeatures], layout: ClipLayout
    ) -> list[ConsistencyFeatures]:
        """Of a block's layers those that the consistency losses compare."""
        chosen = layers if self.settings.consistency_layers == "all" else layers[-1:]
        return [_for_losses(layer, layout) for layer in chosen]

    def check_features(self) -> None:
        """Raise ValueError where motion features are asked of what has none."""
        config = self.settings
        if config.motion_feature == "temporal_attention" and not config.temporal_layers:
            raise ValueError(
                "motion_feature='temporal_attention' cannot be taken from a model built with "
                "temporal_layers=False; the one-frame stages have no motion: for the "
                "cross-attention loss alone set motion_feature='spatial_attention'"
            )


def _skip_channels(level: int, config: DualModalUNetConfig) -> list[int]:
    """Channels of the skips an up block takes: its level's units, then what entered the level."""
    channels = config.block_out_channels
    return [channels[level]] * config.layers_per_block + [channels[max(level - 1, 0)]]


def _for_losses(layer: LayerFeatures, layout: ClipLayout) -> ConsistencyFeatures:
    queries_NhLD, keys_BhTD = layer.cross_attention
    keys_BMFhTD = keys_BhTD[:, None, None].expand(-1, layout.modalities, layout.frames, -1, -1, -1)
    return ConsistencyFeatures(
        layout.split(layer.motion_NHWC), layout.split(queries_NhLD), keys_BMFhTD
    )
