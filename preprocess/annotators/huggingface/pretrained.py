"""Networks of `transformers` from a folder: safetensors alone, float32, nothing left random."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from preprocess.errors import InputError

__all__ = ["load_network", "load_processor", "loading"]


def load_network(network: Any, folder: Path, what: str) -> Any:
    """`network.from_pretrained(folder)` on the CPU, for inference; `network` is a class of theirs.

    `what` is how an error calls it. Raises InputError when it does not load, or its files lack
    tensors.
    """
    with loading(what), _no_progress_bar():
        module, report = network.from_pretrained(
            folder,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    if absent := sorted(report["missing_keys"]):
        raise InputError(
            f"the weights of {what} lack {len(absent)} tensors, {absent[0]} first: they are "
            "another model's, or not all of this one's"
        )
    return module.requires_grad_(False).eval()


def load_processor(processor: Any, folder: Path, what: str) -> Any:
    """`processor.from_pretrained(folder)`. Raises InputError when it does not load."""
    with loading(what):
        return processor.from_pretrained(folder, trust_remote_code=False)


@contextmanager
def loading(what: str) -> Iterator[None]:
    """Turns what transformers raises for a folder that it cannot read into an InputError."""
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{what} does not load: {reason}") from error


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Builds have their own, across which the library's would be written."""
    from transformers.utils import logging

    was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            logging.enable_progress_bar()
