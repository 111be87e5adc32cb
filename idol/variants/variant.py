"""What a variant is: a system of the paper's tables, as it differs from the paper's own model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from idol.config.model import DualModalUNetConfig, StageName
from idol.config.train import TrainConfig

if TYPE_CHECKING:
    from idol.model import DualModalDenoiser

__all__ = ["Adapter", "Pretraining", "Variant"]

Pretraining = Literal["haop", "hap", "none"]


# Settings of the model that say what is done with cross-attention maps, and add no weights.
_NO_WEIGHTS = ("shared_maps", "consistency_layers")
# Settings of the model that a variant's own classes build.
_BUILT = ("streams", "background", "temporal_modules", "pose_control")

_DEFAULTS: dict[str, Any] = {
    field.name: field.default for field in dataclasses.fields(DualModalUNetConfig)
}


def _unified() -> type[DualModalDenoiser]:
    from idol.model import DualModalDenoiser

    return DualModalDenoiser


class Adapter(NamedTuple):
    """Others' weights that a part starts from: `load(denoiser, folder)` as a stage begins."""

    stage: StageName
    load: Callable[[DualModalDenoiser, Path], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """A named system: what it does otherwise than the paper's model, and where the paper has it.

    Attributes:
        summary: what it is, in a line.
        row: the paper's table and row, or whose idea it is.
        model, loss, optimizer: settings of `TrainConfig`'s parts that make it what it is;
            all others are free, and by default those of the paper's model.
        pretraining: which pre-training its image stage starts from.
        poses: how its data's skeletons are drawn, where it says so.
        denoiser: loads the class of its model; that of the paper's unless it differs.
        adapters: options of `idol-train` that name the folders of what its parts start from, each
            with the stage that takes it and what copies it into the model.
        parameters: the paper's count, as printed; empty where the paper has none of its own.
    """

    summary: str
    row: str
    model: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    loss: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    optimizer: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    pretraining: Pretraining = "haop"
    poses: Literal["openpose", "dwpose"] | None = None
    denoiser: Callable[[], type[DualModalDenoiser]] = _unified
    adapters: Mapping[str, Adapter] = dataclasses.field(default_factory=dict)
    parameters: str = ""

    def settings(self, stage: StageName) -> dict[str, dict[str, Any]]:
        """Its settings in a stage, by the part of `TrainConfig` that they belong to.

        Pre-training comes before what a variant of the model changes: it trains the 2D model.
        """
        parts = {name: dict(getattr(self, name)) for name in ("model", "loss", "optimizer")}
        if stage == "pretrain":
            parts["model"].pop("background", None)  # there is no ControlNet yet
        if stage == "pretrain" and self.pretraining != "none":
            parts["data"] = {"cut": self.pretraining}
        return parts

    def taken_out_of(self, model: DualModalUNetConfig) -> DualModalUNetConfig:
        """The settings of a model of this variant as the paper's own model has them.

        From there another variant goes on.
        """
        return dataclasses.replace(model, **{key: _DEFAULTS[key] for key in self.model})

    def trains_images_as(self, other: Variant) -> bool:
        """Whether both train the same weights in stage image, where one frame has no motion."""

        def of_images(variant: Variant) -> tuple[Any, ...]:
            parts = variant.settings("image")
            loss = {k: v for k, v in parts.pop("loss").items() if not k.startswith("motion_")}
            of_itself = (variant.pretraining, variant.poses, variant.denoiser, variant.adapters)
            return (parts, loss, *of_itself)

        return of_images(self) == of_images(other)

    def has_the_weights_of(self, other: Variant) -> bool:
        """Whether a model of one can go on as the other: losses, and what is made of maps, differ.

        So Tab. 5's rows can start from one model, and Tab. 8's.
        """

        def of_weights(variant: Variant) -> tuple[Any, ...]:
            parts = {k: v for k, v in variant.settings("video").items() if k != "loss"}
            parts["model"] = {k: v for k, v in parts["model"].items() if k not in _NO_WEIGHTS}
            of_itself = (variant.pretraining, variant.poses, variant.denoiser, variant.adapters)
            return (parts, *of_itself)

        return of_weights(self) == of_weights(other)

    def mistakes(self, config: TrainConfig, name: str) -> list[str]:
        """What in a configuration contradicts the variant called `name`, which it says it is."""
        lines = []
        for part, settings in self.settings(config.stage).items():
            for key, wanted in settings.items():
                found = getattr(getattr(config, part), key)
                if found != wanted:
                    prefix = f"{part}." if part in ("model", "loss") else ""
                    lines.append(
                        f"--variant {name} is {key}={wanted!r}, and --{prefix}"
                        f"{key.replace('_', '-')} is {found!r}: leave that out, or give the "
                        "variant that has it (docs/variants.md)"
                    )
        for key in _BUILT:
            found = getattr(config.model, key)
            if key not in self.settings(config.stage)["model"] and found != _DEFAULTS[key]:
                lines.append(
                    f"--variant {name} builds no model of --model.{key.replace('_', '-')} {found}: "
                    f"leave that out, or give the variant that has it (docs/variants.md)"
                )
        for option in ("motion_adapter", "pose_adapter"):
            adapter, flag = self.adapters.get(option), "--" + option.replace("_", "-")
            if getattr(config, option) and (adapter is None or adapter.stage != config.stage):
                lines.append(
                    f"{flag} is not of --variant {name} in stage {config.stage}: leave it out"
                )
        if config.stage == "pretrain" and self.pretraining == "none":
            lines.append(f"--variant {name} has no pre-training: begin with --stage image")
        return lines
