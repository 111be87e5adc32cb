"""Tells diffusers where this pipeline is defined; it needs the package `idol-video`."""

from idol.generate.pipeline import IdolPipeline

__all__ = ["IdolPipeline"]
