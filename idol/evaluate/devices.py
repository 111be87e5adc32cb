"""Where the networks of evaluation run."""

from idol.config.checks import ConfigError
from idol.errors import first_line

__all__ = ["device_of"]


def device_of(name: str) -> str:
    """The device that an option names: of auto a GPU, if there is one.

    Raises ConfigError for a device that cannot be used.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"--device {name} cannot be used: {first_line(error)}") from error
    return name
