"""Saving and loading in diffusers' format, with a typed configuration and no silent gaps."""

from collections.abc import Mapping
from os import PathLike
from typing import Any, Self

from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin

from idol.config.model import DualModalUNetConfig
from idol.config_json import Placeless
from idol.errors import IdolError
from idol.tensors import naming_damage

__all__ = ["CheckpointError", "ConfiguredModel", "raise_if_different"]


class CheckpointError(IdolError):
    """Weights that do not fit the model; the message names the folder and the differing keys."""


class ConfiguredModel(Placeless, ModelMixin, ConfigMixin):
    """A diffusers model built from one `DualModalUNetConfig`.

    `save_pretrained(folder)` writes `config.json` and `diffusion_pytorch_model.safetensors`.

    Attributes:
        settings: the typed configuration; `config` is diffusers' plain copy of it.
    """

    def __init__(self, config: DualModalUNetConfig) -> None:
        super().__init__()
        self.settings = config
        self.register_to_config(**config.to_dict())

    @classmethod
    def from_config(
        cls,
        config: DualModalUNetConfig | Mapping[str, Any],
        return_unused_kwargs: bool = False,
        **overrides: Any,
    ) -> Any:
        """Build a freshly initialised model from a configuration or a read `config.json`.

        Raises:
            ConfigError: a setting is unknown or contradicts another.
        """
        values = config.to_dict() if isinstance(config, DualModalUNetConfig) else dict(config)
        model = cls(DualModalUNetConfig.from_dict({**values, **overrides}))
        return (model, {}) if return_unused_kwargs else model

    @classmethod
    def from_pretrained(cls, folder: str | PathLike[str], **options: Any) -> Self:
        """Load what `save_pretrained` wrote; `options` are diffusers' (`dtype`, ...).

        Raises:
            CheckpointError: parameters are missing from the folder, or it has others.
            ConfigError: its `config.json` has an unknown or contradictory setting.
            OSError: the folder or a file in it does not exist, or its weights are damaged.
        """
        with naming_damage(folder):
            model, info = super().from_pretrained(folder, output_loading_info=True, **options)
        raise_if_different(
            cls.__name__, str(folder), missing=info["missing_keys"], extra=info["unexpected_keys"]
        )
        return model


def raise_if_different(name: str, source: str, *, missing: list[str], extra: list[str]) -> None:
    """Raise a `CheckpointError` that lists parameters absent from `source` and left over in it."""
    complaints = [
        f"{len(keys)} parameters {what}: {', '.join(sorted(keys)[:4])}{' ...' * (len(keys) > 4)}"
        for keys, what in ((missing, "missing from it"), (extra, "it has and the model has not"))
        if keys
    ]
    if complaints:
        raise CheckpointError(
            f"the weights in {source} do not fit {name}: {'; '.join(complaints)}. "
            "Load it with the configuration it was saved with."
        )
