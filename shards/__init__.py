"""What a sample is, and datasets of samples: on disk, in object stores, streamed to training.

    from shards import Clip, ClipLoader, ClipStream, open_dataset

Where to look:

| question | module |
|---|---|
| what is a clip, and how does it become members of a tar | `sample` |
| what is known of a modality: files, checks, drawing, measures, streaming | `sample.modalities` |
| how is a file written so that it is whole or absent | `files` |
| what does a manifest say, how is a shard committed | `manifest`, `writer` |
| how is a dataset started, resumed, finished | `dataset`, `index` |
| how is a dataset opened, and a clip read | `reader` |
| what is a mixture of datasets, and its `mix.json` | `mix` |
| how are clips streamed to training | `stream` |
| how do they go into a pipeline of `webdataset` | `webdataset` |
| what are cached latents | `latents` |
| what does `idol-shards` do | `inspect` |
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shards.mix import Mixture, open_mixture
    from shards.reader import Dataset, open_dataset
    from shards.sample.clip import Clip
    from shards.stream import ClipBatch, ClipLoader, ClipSample, ClipStream

__all__ = [
    "Clip",
    "ClipBatch",
    "ClipLoader",
    "ClipSample",
    "ClipStream",
    "Dataset",
    "Mixture",
    "open_dataset",
    "open_mixture",
]

# Every command imports this package to parse its line, and answers --help at once: numpy and
# OpenCV are loaded when one of these names is first asked for.
_ROOMS = ("mix", "reader", "sample.clip", "stream")


def __getattr__(name: str) -> Any:
    if name in __all__:
        for room in _ROOMS:
            module = importlib.import_module(f"{__name__}.{room}")
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
