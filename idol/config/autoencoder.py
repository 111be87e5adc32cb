"""Sizes of the autoencoder of `--stage autoencoder`, and what a trained one says of itself."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from idol.config.checks import NOT_NEGATIVE, ConfigError, at_least, mistakes_in
from idol.config.model import PresetName
from idol.config.patches import PATCH, PATCHES, channels_of, patch_of

__all__ = [
    "LATENTS",
    "AutoencoderConfig",
    "Latents",
    "factor_of",
    "latent_factor",
    "read_latents",
]

LATENTS = "latents.json"

_VAE_FACTOR = 8  # of Stable Diffusion's

_FORMAT = 2
_Count = Annotated[int, at_least(1)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """A KL autoencoder: its sizes, unless it starts from the VAE of --base, and its objective.

    Raises:
        ConfigError: naming every mistake.
    """

    latent_channels: _Count = 60
    """Channels of a latent."""
    patch: _Count = 8
    """Pixels of an image's side for one of its latent's."""
    width: _Count = 64
    """Channels of the networks beside the linear code."""
    blocks: _Count = 2
    """ResBlocks of the encoder; the decoder has twice as many."""
    depth: bool = False
    """Depth as a fourth channel, beside the colours of its frame: for variant ldm3d."""
    crop: Annotated[int, at_least(8)] = 96
    """Side of the random square of a picture that a step trains on, in pixels; smaller pictures are
    taken whole."""
    kl_weight: Annotated[float, NOT_NEGATIVE] = 1e-6
    """Weight of the divergence of the posterior from the normal distribution against the squared
    error, both summed over a picture."""

    def __post_init__(self) -> None:
        mistakes = [f"autoencoder: {name} {fault}" for name, fault in mistakes_in(self)]
        values = self.picture_channels * self.patch**2
        if self.latent_channels > values:
            mistakes.append(
                f"autoencoder: latent_channels={self.latent_channels} is more than the {values} "
                f"values of a patch of {self.patch}x{self.patch} pixels"
            )
        ConfigError.raise_if_any(mistakes, "there is no such autoencoder")

    @property
    def picture_channels(self) -> int:
        """Of an image: colours, and depth if it is there."""
        return 4 if self.depth else 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Latents:
    """What was measured of an autoencoder's scaled latents on the clips that it was trained on.

    Attributes:
        spread: of each channel the root mean square of frames minus background and depth minus the
            farthest depth: `DualModalUNetConfig.change_spread`.
        far: each channel of the farthest depth's latent: `DualModalUNetConfig.far_latent`.
        depth: whether depth is a fourth channel of its images.
        psnr: of its held-out pictures, in dB, by their kind; empty where none were held out.
        size: height and width of the pictures measured; `pictures`: how many.
        step: of its training.
    """

    spread: tuple[float, ...]
    far: tuple[float, ...]
    depth: bool
    psnr: dict[str, float]
    size: int
    pictures: int
    step: int

    def as_json(self) -> dict[str, Any]:
        """The file's content."""
        return {"format": _FORMAT, **dataclasses.asdict(self)}


def factor_of(config: Mapping[str, Any]) -> int:
    """Pixels of an image's side for one of its latent's, by an autoencoder's configuration.

    Raises KeyError, TypeError or ValueError where it does not say.
    """
    if "patch" in config:
        if (patch := int(config["patch"])) < 1:
            raise ValueError(f"patch is {patch}")
        return patch
    return int(2 ** (len(config["block_out_channels"]) - 1))


def latent_factor(preset: PresetName, vae: Path | None, channels: int) -> int:
    """Pixels of an image's side for one of its latent's, in a run of this preset.

    Args:
        vae: what is taken for latents, a folder or a hub name; of preset tiny patches unless given.
            Where it does not say, it is taken to be as Stable Diffusion's.
        channels: of a latent, which tell patches apart.
    """
    if vae is None and preset == "tiny":
        # Others are of a codec that is still to be found.
        return patch_of(channels) if channels in map(channels_of, PATCHES) else PATCH
    if vae is None:
        return _VAE_FACTOR
    try:
        return factor_of(json.loads((vae / "config.json").read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return _VAE_FACTOR


def read_latents(folder: Path) -> Latents:
    """What is said beside the autoencoder in a folder of `--stage autoencoder`.

    Raises:
        ConfigError: nothing is said, or by another version.
    """
    path = folder / LATENTS
    try:
        values = json.loads(path.read_bytes())
        if values.pop("format") != _FORMAT:
            raise ConfigError(f"{path} was written by another version: train that codec again")
        numbers = {name: tuple(map(float, values[name])) for name in ("spread", "far")}
        return Latents(**{**values, **numbers})
    except OSError as error:
        raise ConfigError(
            f"{folder} has no {LATENTS}: give the model/ that idol-train --stage autoencoder left"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} is damaged: {error}") from error
