"""DisCo's distribution of TikTok, and of pictures for pre-training, as TSV files."""

from preprocess.sources.disco.listing import listing

__all__ = ["listing"]
