"""From a person, a background and a motion to a video with depth (paper, sec. 3)."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from idol.generate.pipeline import IdolPipeline

__all__ = ["IdolPipeline"]


def __getattr__(name: str) -> Any:
    # The pipeline brings torch, and the command's help must not wait for it.
    if name == "IdolPipeline":
        from idol.generate.pipeline import IdolPipeline

        return IdolPipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
