"""The model that comes with the package: preset tiny, trained on rendered people."""

from pathlib import Path

__all__ = ["PRETRAINED"]

PRETRAINED = Path(__file__).parent / "people64"
"""A pipeline's folder, whose README.md says what it learned from and what it can do."""
