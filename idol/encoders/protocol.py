"""What turns pictures into latents, whatever it is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

__all__ = ["LatentCodec", "PosteriorCodec"]


class LatentCodec(Protocol):
    """Frozen; one picture at a time, for video, depth, background and pose alike.

    Attributes:
        channels: of a latent.
        factor: pixels of a picture's side for one of its latent's.
        stochastic: whether `encode` samples; if not, noise changes nothing.
        bound: what no value of a picture's latent exceeds; None if there is no such bound.
    """

    channels: int
    factor: int
    stochastic: bool
    bound: float | None

    def encode(self, pixels_NCHW: Tensor, noise_NCHW: Tensor | None = None) -> Tensor:
        """Encode pictures (N, 3, H, W) in [-1, 1] to scaled latents (N, channels, H', W').

        Args:
            noise_NCHW: standard normal, shaped like the latents, to sample the posterior with;
                None takes its mode.

        Raises:
            ValueError: H or W is no multiple of `factor`.
        """
        ...

    def decode(self, latents_NCHW: Tensor) -> Tensor:
        """Decode scaled latents to pictures (N, 3, H, W), in [-1, 1] where the latents are good."""
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
