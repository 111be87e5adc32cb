"""AdamW, its learning rate as a function of the step, and its state as plain tensors."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from idol.config.train import OptimizerConfig
from idol.train.distributed import divided_like, whole, whole_state
from idol.train.stopping import TrainError

__all__ = [
    "MovingAverage",
    "eight_bit_adam",
    "learning_rate",
    "load_optimizer_state",
    "make_optimizer",
    "optimizer_state",
]


# Appendix B: warm-up over a tenth of the steps, then linearly to zero.
def learning_rate(step: int, config: OptimizerConfig) -> float:
    """The learning rate of `step`, counted from 0."""
    warm = round(config.warm_up * config.steps)
    if step < warm:
        return config.learning_rate * (step + 1) / warm
    return config.learning_rate * (config.steps - step) / (config.steps - warm)


def make_optimizer(
    parameters: Iterable[nn.Parameter], config: OptimizerConfig
) -> torch.optim.Optimizer:
    """AdamW, with its states in 8 bits if asked for.

    Raises:
        TrainError: bitsandbytes is asked for and not there.
    """
    options: dict[str, Any] = {
        "lr": config.learning_rate,
        "betas": config.betas,
        "weight_decay": config.weight_decay,
    }
    if not config.adam_8bit:
        return torch.optim.AdamW(parameters, fused=True, **options)
    return eight_bit_adam()(parameters, **options)


def eight_bit_adam() -> Any:
    """The class of bitsandbytes. Raises TrainError if it is not installed."""
    try:
        from bitsandbytes.optim import AdamW8bit  # type: ignore[import-not-found]
    except ImportError as error:
        raise TrainError(
            "--adam-8bit needs bitsandbytes: `pip install bitsandbytes`, or leave the option out"
        ) from error
    return AdamW8bit


def optimizer_state(
    optimizer: torch.optim.Optimizer, names: Mapping[nn.Parameter, str]
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """The state as whole tensors, called `{parameter}/{state}`, and as numbers."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, float] = {}
    for parameter, name in names.items():
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"{name}/{key}"] = whole(value).cpu().contiguous()
            else:
                numbers[f"{name}/{key}"] = value
    return tensors, numbers


def load_optimizer_state(
    optimizer: torch.optim.Optimizer,
    names: Mapping[nn.Parameter, str],
    tensors: Mapping[str, Tensor],
    numbers: Mapping[str, float],
) -> None:
    """Give an optimizer a state that `optimizer_state` returned."""
    by_name: dict[str, dict[str, Any]] = {}
    for full_name, value in {**tensors, **numbers}.items():
        name, _, key = full_name.rpartition("/")
        by_name.setdefault(name, {})[key] = value
    for parameter, name in names.items():
        for key, value in by_name.get(name, {}).items():
            is_step = key == "step" and isinstance(value, Tensor)
            optimizer.state[parameter][key] = (
                value.to(parameter.device, copy=True)
                if is_step
                else divided_like(value, parameter)
                if isinstance(value, Tensor)
                else value
            )


class MovingAverage:
    """Follows parameters: average = decay * average + (1 - decay) * parameter, after each step."""

    def __init__(self, names: Mapping[nn.Parameter, str], decay: float) -> None:
        self._names = dict(names)
        self._decay = decay
        self._average = [parameter.detach().clone() for parameter in self._names]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters as they are now."""
        torch._foreach_lerp_(self._average, [*self._names], 1 - self._decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average in place of the parameters in here."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state(self) -> dict[str, Tensor]:
        """The average as whole tensors on the CPU, by the parameters' names."""
        return whole_state(dict(zip(self._names.values(), self._average, strict=True)))

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Resume from what `state` returned."""
        for average, (parameter, name) in zip(self._average, self._names.items(), strict=True):
            average.copy_(divided_like(state[name], parameter))

    @torch.no_grad()
    def _swap(self) -> None:
        for average, parameter in zip(self._average, self._names, strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(kept)
