"""The models that come with the package: preset tiny, trained on rendered people."""

from pathlib import Path

__all__ = ["PEOPLE64", "POSED128", "PRETRAINED"]

# Folders of pipelines, whose README.md say what they learned from and what they can do.
PEOPLE64 = Path(__file__).parent / "people64"
"""Of 64x64 pixels."""
POSED128 = Path(__file__).parent / "posed128"
"""Of 128x128 pixels, gone on with from that: it is given the photo's person in each pose."""
PRETRAINED = POSED128
"""What commands take unless told otherwise."""
