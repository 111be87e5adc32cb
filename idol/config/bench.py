"""What `idol-bench` measures, and on what."""

from __future__ import annotations

import dataclasses
from typing import Literal

from idol.config.model import PresetName

__all__ = ["ModelBenchConfig"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelBenchConfig:
    """Parameters, FLOPs, time and memory of the model, for each training stage.

    Attributes:
        presets: presets to count, on the meta device; this needs no memory.
        time: presets to run forward and backward; add sd14 on a machine with 40 GB or more of
            memory (float32 weights and gradients alone are 11 GB).
        size: latent height and width; the default is the preset's own (256 pixels for sd14).
        frames: frames of a clip in the video stage.
        device: where to run; "auto" takes a GPU if there is one.
        threads: of a CPU; torch's own choice when absent.
        dtype: of weights and activations in timed runs.
        checkpoint: recompute layers in backward.
        channels_last: keep images channels-last.
        compile: run repeated blocks through torch.compile.
    """

    presets: tuple[PresetName, ...] = ("sd14", "tiny")
    time: tuple[PresetName, ...] = ("tiny",)
    size: int | None = None
    frames: int = 8
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    checkpoint: bool = False
    channels_last: bool = False
    compile: bool = False
