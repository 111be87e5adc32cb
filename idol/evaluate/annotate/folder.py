"""Where external files lie."""

from pathlib import Path

from preprocess import weights

__all__ = ["weights_folder"]


def weights_folder(override: Path | None) -> Path:
    """`override`, else $IDOL_WEIGHTS, else the user's cache."""
    return weights.folder(override)
