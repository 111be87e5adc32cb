"""MiDaS, DPT-hybrid (Ranftl et al., ICCV 2021): relative depth of the whole frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from preprocess.annotators.choices import Record

if TYPE_CHECKING:
    from preprocess.annotators.torch.batching import BatchSize
    from preprocess.annotators.whole_frame import WholeFrameDepth

__all__ = ["WEIGHTS", "load"]

WEIGHTS = "midas/dpt_hybrid-midas-501f0c75.pt"


def load(
    record: Record,
    locate: Callable[[str], Path],
    *,
    device: str,
    half: bool,
    batch: BatchSize,
) -> WholeFrameDepth:
    """Load the network from the file that `locate` gives for `WEIGHTS`.

    Raises InputError for a package or file that is absent, or a file that is something else.
    """
    from preprocess.annotators.midas.network import Midas
    from preprocess.annotators.whole_frame import WholeFrameDepth

    network = Midas.load(locate(WEIGHTS), device, half=half, batch=batch)
    return WholeFrameDepth(
        record,
        label="MiDaS DPT-hybrid, estimated from single pictures",
        unit="relative inverse depth with its sign turned, smaller is nearer",
        estimate=network,
    )
