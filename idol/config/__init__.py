"""Every plain configuration; importing it loads no torch."""

from idol.config.checks import ConfigError
from idol.config.losses import LossConfig
from idol.config.model import DualModalUNetConfig
from idol.config.presets import defaults, preset
from idol.config.train import DataConfig, OptimizerConfig, ReportConfig, RunConfig, TrainConfig

__all__ = [
    "ConfigError",
    "DataConfig",
    "DualModalUNetConfig",
    "LossConfig",
    "OptimizerConfig",
    "ReportConfig",
    "RunConfig",
    "TrainConfig",
    "defaults",
    "preset",
]
