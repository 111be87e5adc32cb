"""Numbers for generated videos and their depth (paper, sec. 4)."""

from idol.evaluate.frechet import frechet_distance

__all__ = ["frechet_distance"]
