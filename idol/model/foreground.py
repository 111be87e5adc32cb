"""The trainable projection of foreground tokens into the U-Net's cross-attention space."""

from __future__ import annotations

from torch import Tensor, nn

from idol.config.model import DualModalUNetConfig
from idol.model.saving import ConfiguredModel

__all__ = ["ForegroundProjection"]


class ForegroundProjection(ConfiguredModel):
    """Linear(1024 -> 768) without bias on all CLIP tokens, the CLIP(f) of sec. 3.1.

    `from_pretrained_2d` initialises it from CLIP's `visual_projection`, which CLIP itself applies
    to the class token alone. The image encoder before it is frozen and lives outside.
    """

    def __init__(self, config: DualModalUNetConfig) -> None:
        super().__init__(config)
        self.linear = nn.Linear(config.foreground_dim, config.cross_attention_dim, bias=False)

    def forward(self, encoded_BTD: Tensor) -> Tensor:
        """(B, T, foreground_dim) from the encoder, normalised, to (B, T, cross_attention_dim)."""
        return self.linear(encoded_BTD)
