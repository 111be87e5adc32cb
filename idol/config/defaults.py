"""What a stage of a preset has by default: the paper's numbers, or a laptop's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tyro

from idol.config.losses import LossConfig
from idol.config.model import DualModalUNetConfig, StageName
from idol.config.presets import PresetName, preset
from idol.config.train import DataConfig, OptimizerConfig, ReportConfig, RunConfig, TrainConfig

__all__ = ["defaults"]

# Appendix B: steps and learning rate; clips of a pass in one process (we).
_SD14 = {"pretrain": (25_000, 1e-3, 16), "image": (15_000, 1e-4, 8), "video": (15_000, 1e-4, 1)}

# Ours: a model this small learns in minutes, from high rates.
_TINY = {"pretrain": (150, 3e-3, 4), "image": (800, 3e-3, 4), "video": (200, 1e-3, 1)}


def defaults(
    stage: StageName,
    preset_name: PresetName = "sd14",
    *,
    shards: Sequence[str] = tyro.MISSING,
    output: Path = tyro.MISSING,
    model: DualModalUNetConfig | None = None,
    **settings: Any,
) -> TrainConfig:
    """The configuration of a stage.

    Args:
        shards, output: of the run; absent only where a command line gives them.
        model: the sizes and switches to go on with; default: the preset's.
        settings: further fields of `TrainConfig`, or of its four parts, by their names.

    Raises:
        TrainError: naming every mistake.
    """
    tiny = preset_name == "tiny"
    model = model or preset(preset_name)
    steps, learning_rate, batch_size = (_TINY if tiny else _SD14)[stage]
    parts: dict[str, tuple[type, dict[str, Any]]] = {
        "data": (DataConfig, {"size": 64, "workers": 1} if tiny else {}),
        "optimizer": (OptimizerConfig, {"steps": steps, "learning_rate": learning_rate}),
        "run": (RunConfig, {"batch_size": batch_size}),
        "report": (ReportConfig, _TINY_REPORT if tiny else {}),
    }
    built = {}
    for name, (kind, values) in parts.items():
        own = {key: settings.pop(key) for key in [*settings] if key in kind.__annotations__}
        built[name] = kind(**{**values, **own})
    return TrainConfig(
        stage=stage,
        preset=preset_name,
        shards=shards if shards is tyro.MISSING else tuple(shards),
        output=output,
        model=model,
        loss=settings.pop("loss", LossConfig(denoise_error=model.prediction)),
        **built,
        **settings,
    )


_TINY_REPORT = {
    "checkpoint_every": 100,
    "validation_clips": 4,
    "sample_every": 300,
    "sample_steps": 20,
    "gradient_norms_every": 50,
}
