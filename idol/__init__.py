"""IDOL: the model of joint video and depth generation, and all that is done with it."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("idol-video")
