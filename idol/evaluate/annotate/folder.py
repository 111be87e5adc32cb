"""Where external files lie, and what is kept between runs."""

from pathlib import Path

from preprocess import weights
from preprocess.user_cache import cache_folder
from shards.files.home import expanded

__all__ = ["evaluation_cache", "weights_folder"]


def weights_folder(override: Path | None) -> Path:
    """`override`, else $IDOL_WEIGHTS, else the user's cache."""
    return weights.folder(override)


def evaluation_cache(override: Path | None) -> Path:
    """`override`, else a folder of the user's cache: features, and what annotators found."""
    return cache_folder("evaluation") if override is None else expanded(override)
