"""Where a network runs, and in which precision."""

import re
from contextlib import AbstractContextManager, nullcontext

from preprocess.annotators.spec import Hardware
from preprocess.errors import InputError

__all__ = ["gpu_count", "half_precision", "pick_device"]


def gpu_count() -> int:
    """GPUs that torch sees on this machine."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def pick_device(setting: str) -> str:
    """The device that `setting` ("auto", "cpu", "cuda" or "cuda:N") means on this machine.

    "auto" is the GPU where torch sees one. Raises InputError for a GPU that is not there and for
    anything else.
    """
    gpus = gpu_count()
    if setting == "auto":
        return "cuda" if gpus else "cpu"
    if setting == "cpu":
        return "cpu"
    asked = re.fullmatch(r"cuda(?::(\d+))?", setting)
    if asked is None:
        raise InputError(f"device {setting!r} is unknown: use auto, cpu, cuda or cuda:N")
    if int(asked[1] or 0) >= gpus:
        raise InputError(
            f"device {setting} is not there: torch sees {gpus} GPUs here; use --device cpu or auto"
        )
    return setting


def half_precision(hardware: Hardware) -> AbstractContextManager[object]:
    """Float16 where a GPU's matrix products and convolutions allow it; on the CPU nothing."""
    import torch

    if hardware.half and hardware.device.startswith("cuda"):
        return torch.autocast("cuda", torch.float16)
    return nullcontext()
