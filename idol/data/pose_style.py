"""How the skeletons of a run's clips are drawn, where its variant says how they must be."""

from idol.data.datasets import DataError, Datasets
from idol.data.depth_meaning import clip_infos

__all__ = ["check_poses"]


def check_poses(data: Datasets, wanted: str | None) -> None:
    """Raise DataError for clips whose json says that they are drawn otherwise than `wanted`.

    Clips that say nothing, such as those of others' tools, are taken as they are.
    """
    if wanted is None or data.config.stage == "pretrain":
        return
    for info in clip_infos(data):
        described = info.get("keypoints")
        style = described.get("style") if isinstance(described, dict) else None
        if style not in (None, wanted):
            raise DataError(
                f"--variant {data.config.variant} learns from {wanted} skeletons, and those of the "
                f"shards are drawn as {style}: build them with --pose-style {wanted}"
            )
