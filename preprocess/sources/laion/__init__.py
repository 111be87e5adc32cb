"""LAION-style pictures: what img2dataset writes, and lists of files."""

from preprocess.sources.laion.listing import listing

__all__ = ["listing"]
