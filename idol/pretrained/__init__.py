"""The models that come with the package: preset tiny, trained on rendered people."""

from pathlib import Path

__all__ = ["PEOPLE128", "PRETRAINED"]

# Folders of pipelines, whose README.md say what they learned from and what they can do.
PRETRAINED = Path(__file__).parent / "people64"
"""Of 64x64 pixels: what commands take unless told otherwise."""
PEOPLE128 = Path(__file__).parent / "people128"
"""Of 128x128 pixels, gone on with from that."""
