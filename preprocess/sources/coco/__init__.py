"""COCO: pictures of one person, chosen by their annotations, with masks from the same."""

from preprocess.sources.coco.listing import listing

__all__ = ["listing"]
