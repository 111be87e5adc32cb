"""What turns the foreground picture into tokens, whatever it is."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

__all__ = ["ImageEncoder"]


class ImageEncoder(Protocol):
    """The CLIP(f) of sec. 3.1, before its projection."""

    def __call__(self, pixels_BHWC: Tensor, mask_BHW: Tensor) -> Tensor:
        """Encode foreground pictures.

        Args:
            pixels_BHWC: uint8 RGB, the person with its surroundings.
            mask_BHW: uint8, 0 surroundings to 255 person.

        Returns:
            tokens (B, T, D), of norm as the encoder's last layer norm leaves them.
        """
        ...
