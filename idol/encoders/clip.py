"""CLIP as the image encoder, frozen (paper, sec. 3.1; DisCo's way)."""

from functools import lru_cache
from os import PathLike
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import CLIPVisionModelWithProjection

from idol.tensors import naming_damage

__all__ = ["CLIPEncoder"]

_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)


class CLIPEncoder:
    """transformers' CLIP vision model: all tokens of the last layer, after `post_layernorm`.

    Args:
        clip: the network; it is frozen and put into evaluation mode.
    """

    def __init__(self, clip: Any) -> None:
        self.clip = clip.requires_grad_(False).eval()
        self.size: int = clip.config.image_size
        self.channels: int = clip.config.hidden_size

    @classmethod
    def from_pretrained(cls, folder: str | PathLike[str]) -> Self:
        """Load from a folder in transformers' format, or by a hub name. Raises OSError."""
        with naming_damage(folder):
            return cls(CLIPVisionModelWithProjection.from_pretrained(folder))

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> Self:
        """Move the network, in place."""
        self.clip.to(device, dtype)
        return self

    def pixel_values(self, pixels_BHWC: Tensor, mask_BHW: Tensor) -> Tensor:
        """(B, 3, size, size): bicubic, CLIP's normalisation, and then the mask.

        The mask comes last, so that the surroundings are CLIP's mean colour.
        """
        size = (self.size, self.size)
        pixels = pixels_BHWC.permute(0, 3, 1, 2).float() / 255
        pixels = F.interpolate(pixels, size, mode="bicubic", antialias=True).clamp(0, 1)
        mask = F.interpolate(mask_BHW[:, None].float() / 255, size, mode="bilinear", antialias=True)
        mean, std = _mean_and_std(pixels.device)
        return (pixels - mean) / std * mask

    @torch.no_grad()
    def __call__(self, pixels_BHWC: Tensor, mask_BHW: Tensor) -> Tensor:
        """See `ImageEncoder`; 257 tokens of 1024 channels for ViT-L/14, float32."""
        values = self.pixel_values(pixels_BHWC, mask_BHW).to(self.clip.dtype)
        tokens: list[Tensor] = []

        def keep(vision_model: Any, _: Any, output: Any) -> None:
            # transformers applies this norm to the class token alone, for its own pooled output.
            tokens.append(vision_model.post_layernorm(output.last_hidden_state).float())

        # The whole network runs, and all that is wanted of it within: what is offloaded is fetched
        # when it is called, and may be gone when it returns.
        hook = self.clip.vision_model.register_forward_hook(keep)
        try:
            self.clip(pixel_values=values)
        finally:
            hook.remove()
        return tokens[0]


# Made once: copying it from the CPU would wait for the device.
@lru_cache
def _mean_and_std(device: torch.device) -> Tensor:
    """Of CLIP's pixels, (2, 3, 1, 1)."""
    return torch.tensor((_MEAN, _STD), device=device)[..., None, None]
