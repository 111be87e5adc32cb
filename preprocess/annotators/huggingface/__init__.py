"""Any depth model of the `transformers` library: Depth Anything, DPT, ZoeDepth, DepthPro, ..."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.annotators.choices import Record

if TYPE_CHECKING:
    from preprocess.annotators.torch.batching import BatchSize
    from preprocess.annotators.whole_frame import WholeFrameDepth

__all__ = ["load"]


def load(
    record: Record, model: str, *, device: str, half: bool, batch: BatchSize
) -> WholeFrameDepth:
    """Load `model`: a folder that `save_pretrained` wrote, or a name on the model hub.

    `record.name` is what people are told. Raises InputError when the model cannot be had, is no
    depth model, or is of a kind of which it is not known whether its numbers grow or fall with
    distance.
    """
    from preprocess.annotators.huggingface.network import DepthModel
    from preprocess.annotators.whole_frame import WholeFrameDepth

    network = DepthModel.load(model, device, half=half, batch=batch)
    return WholeFrameDepth(
        record,
        label=f"{record.name} ({network.kind}), estimated from single pictures",
        unit=network.unit,
        estimate=network,
    )
