"""The settings of a model that a run goes on from, read without loading any network."""

from pathlib import Path

from idol.config.base import read_base
from idol.config.model import DualModalUNetConfig
from idol.model_info import find_model, read_info
from idol.variants import variant_called

__all__ = ["settings_before"]


def settings_before(
    init_from: Path | None, base: Path | None, variant: str
) -> DualModalUNetConfig | None:
    """The sizes and switches of the stage before, or of --base; None where there is neither.

    Args:
        variant: of the run.

    Raises:
        NotAModelError, ConfigError, OSError: there is none at --init-from, or a damaged one.
    """
    if base and not init_from and (base / "unet" / "config.json").is_file():
        return DualModalUNetConfig.from_dict(read_base(base))
    if not init_from:
        return None
    before = read_info(find_model(init_from))
    if before.variant == variant:
        return before.settings
    return variant_called(before.variant).taken_out_of(before.settings)
