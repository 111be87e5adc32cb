"""HDNet (Jafarian and Park, CVPR 2021) in PyTorch: depth of a person from one picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from preprocess.annotators.choices import Record
from preprocess.annotators.hdnet.convert import hourglass_state_dict
from preprocess.annotators.hdnet.network import HourglassNetwork
from preprocess.annotators.hdnet.tensor_bundle import load_tensor_bundle
from preprocess.annotators.torch.batching import BatchSize

if TYPE_CHECKING:
    from preprocess.annotators.hdnet.annotator import HDNetDepth

__all__ = ["HourglassNetwork", "hourglass_state_dict", "load", "load_tensor_bundle"]


def load(
    record: Record, locate: Callable[[str], Path], *, device: str, half: bool, batch: BatchSize
) -> HDNetDepth:
    """The annotator with the weights that `idol-prep weights convert-hdnet` wrote.

    Raises InputError as `load_networks` for a file that is not that.
    """
    from preprocess.annotators.hdnet.annotator import HDNetDepth
    from preprocess.annotators.hdnet.inference import HDNet
    from preprocess.annotators.hdnet.weights_file import FILE_NAME, load_networks

    networks = load_networks(locate(FILE_NAME))
    return HDNetDepth(record, HDNet(networks, device, half=half), batch=batch, device=device)
