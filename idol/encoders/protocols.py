"""What turns images into latents, and the foreground into tokens, whatever it is."""

from typing import Protocol, runtime_checkable

from torch import Tensor

__all__ = ["ImageEncoder", "LatentCodec", "PosteriorCodec"]


class LatentCodec(Protocol):
    """Frozen; one image at a time, for video, depth, background and pose alike.

    Attributes:
        channels: of a latent.
        factor: pixels of an image's side for one of its latent's.
        stochastic: whether `encode` samples; if not, noise changes nothing.
        bound: what no value of an image's latent exceeds; None if there is no such bound.
    """

    channels: int
    factor: int
    stochastic: bool
    bound: float | None

    def encode(self, pixels_NCHW: Tensor, noise_NCHW: Tensor | None = None) -> Tensor:
        """Encode images (N, 3, H, W) in [-1, 1] to scaled latents (N, channels, H', W').

        Args:
            noise_NCHW: standard normal, shaped like the latents, to sample the posterior with;
                None takes its mode.

        Raises:
            ValueError: H or W is no multiple of `factor`.
        """
        ...

    def decode(self, latents_NCHW: Tensor) -> Tensor:
        """Decode scaled latents to images (N, 3, H, W), in [-1, 1] where the latents are good."""
        ...


@runtime_checkable
class PosteriorCodec(LatentCodec, Protocol):
    """A codec whose latents are drawn from what was cached of their posteriors."""

    def sample(self, moments_NCHW: Tensor, noise_NCHW: Tensor | None = None) -> Tensor:
        """Scaled latents (N, channels, H', W') from moments (N, 2 channels, H', W').

        Args:
            moments_NCHW: means, then logarithms of variances, unscaled.
            noise_NCHW: as for `encode`.
        """
        ...


class ImageEncoder(Protocol):
    """The CLIP(f) of sec. 3.1, before its projection."""

    def __call__(self, pixels_BHWC: Tensor, mask_BHW: Tensor) -> Tensor:
        """Encode foreground images.

        Args:
            pixels_BHWC: uint8 RGB, the person with its surroundings.
            mask_BHW: uint8, 0 surroundings to 255 person.

        Returns:
            tokens (B, T, D), of norm as the encoder's last layer norm leaves them.
        """
        ...
