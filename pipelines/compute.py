"""What a build runs on: device, precision, batches, and how much of a GPU each worker asks for."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pipelines.recipe import RecipeMistakes
from preprocess.annotators.choices import AnnotatorChoice, Hardware
from preprocess.errors import InputError

__all__ = ["Compute"]

# Shares of a GPU that leave room on one of 24 GB for two workers with the paper's annotators.
_SHARES = {"mask": 0.25, "pose": 0.1, "depth": 0.15}
_WORKER_BYTES = 6 << 30  # memory of a worker that holds the paper's networks, on a CPU


@dataclass(frozen=True)
class Compute:
    """Nothing of this is in a dataset's fingerprint but the precision.

    Raises RecipeMistakes naming every mistake at once.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the paper's annotators run; auto: the GPU where there is one."""
    precision: Literal["auto", "fp32", "fp16"] = "auto"
    """Of the paper's annotators; auto: fp16 on a GPU, fp32 on a CPU. Another precision gives
    another dataset."""
    batch: int | Literal["auto"] = "auto"
    """Pictures in a forward of the paper's annotators; auto: what the GPU's memory holds."""
    mask_gpus: float | None = None
    """Share of a GPU that a worker asks for to make masks. Default: 0.25."""
    pose_gpus: float | None = None
    """Share of a GPU that a worker asks for to find key points. Default: 0.1."""
    depth_gpus: float | None = None
    """Share of a GPU that a worker asks for to make depth. Default: 0.15."""

    def __post_init__(self) -> None:
        if mistakes := list(self._mistakes()):
            raise RecipeMistakes(mistakes)

    def _mistakes(self) -> Iterator[str]:
        if self.batch != "auto" and self.batch < 1:
            yield f"batch must be at least 1, or auto, not {self.batch}"
        for modality in _SHARES:
            value = self.share(modality)
            if not (math.isfinite(value) and 0 <= value <= 8):
                yield f"{modality}_gpus must be between 0 and 8, not {value}"
        if self.device == "cpu" and self.precision == "fp16":
            yield "precision fp16 needs a GPU: use fp32 or auto with device cpu"

    def hardware(self, choice: AnnotatorChoice, *, elsewhere: bool = False) -> Hardware:
        """What the annotators will be loaded with. `elsewhere`: on the machines of a cluster.

        Raises InputError for a GPU that is not there, or fp16 without one.
        """
        device = "cpu"
        if choice.networks and self.device != "cpu":
            if elsewhere and self.device == "cuda":
                device = "cuda"
            else:
                from preprocess.annotators.torch.device import pick_device

                device = pick_device(self.device)
        if choice.networks and device == "cpu" and self.precision == "fp16":
            raise InputError("--precision fp16 needs a GPU, and there is none: use fp32 or auto")
        half = device != "cpu" and self.precision != "fp32"
        return Hardware(device, half, self.batch)

    def gpus_per_worker(self, choice: AnnotatorChoice, hardware: Hardware) -> float:
        """What Ray is asked for; above one GPU a whole number, since Ray gives no other."""
        if hardware.device == "cpu":
            return 0.0
        light = {"lite", "source", "none"}
        made = {"mask": (choice.mask,), "pose": (choice.pose,), "depth": choice.depth}
        total = sum(self.share(m) for m, names in made.items() if not light.issuperset(names))
        return float(math.ceil(total)) if total > 1 else round(total, 4)

    def default_workers(self, choice: AnnotatorChoice, hardware: Hardware) -> int:
        """One a core; fewer where GPUs, or memory for the networks, would not do."""
        cores = os.cpu_count() or 1
        if not choice.networks:
            return cores
        if hardware.device == "cpu":
            memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
            return max(1, min(cores, memory // _WORKER_BYTES))
        from preprocess.annotators.torch.device import gpu_count

        share = self.gpus_per_worker(choice, hardware)
        gpus = gpu_count()
        fitting = gpus * int(1 / share) if 0 < share <= 1 else gpus // max(int(share), 1)
        return max(1, min(cores, fitting or cores))

    def share(self, modality: str) -> float:
        """Of a GPU, for "mask", "pose" or "depth"."""
        given: float | None = getattr(self, f"{modality}_gpus")
        return _SHARES[modality] if given is None else given
