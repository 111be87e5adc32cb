"""Any depth model of the `transformers` library: Depth Anything, DPT, ZoeDepth, DepthPro, ..."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.choices import Record
from preprocess.depths.huggingface.files import model_files

if TYPE_CHECKING:
    from preprocess.depths.whole_frame import WholeFrameDepth
    from preprocess.torch.batching import BatchSize

__all__ = ["load", "model_files"]


def load(
    record: Record, model: str, *, device: str, half: bool, batch: BatchSize
) -> WholeFrameDepth:
    """Load `model`: a folder that `save_pretrained` wrote, or a name on the model hub.

    Raises InputError when it cannot be had, is no depth model, or is one of a kind of which it is
    not known whether its numbers grow or fall with distance.
    """
    from preprocess.depths.huggingface.network import DepthModel
    from preprocess.depths.whole_frame import WholeFrameDepth

    network = DepthModel.load(model, device, half=half, batch=batch)
    return WholeFrameDepth(
        record,
        label=f"{model} ({network.kind}), estimated from single pictures",
        unit=network.unit,
        estimate=network,
    )
