"""Streaming shards to training: exact, elastic, resumable, fast.

| question | module |
|---|---|
| what does a user call | `clipstream`, `loader` (tensors) |
| what comes out | `batch` |
| which clips are there, with which cached latents | `catalogue` |
| which comes next | `order`, `random` |
| how are bytes read | `shard_reader`, `cache` |
| how do they become a sample | `sample_builder`, `request`, `fill` |
| how is a sample augmented | `geometry`, `foreground` |
| where do their arrays live | `recycle` |

Nothing here loads torch but `ClipLoader`, when it makes its first tensor.
"""

from shards.stream.batch import ClipBatch, ClipSample, collate
from shards.stream.clipstream import ClipStream
from shards.stream.loader import ClipLoader, to_tensors

__all__ = ["ClipBatch", "ClipLoader", "ClipSample", "ClipStream", "collate", "to_tensors"]
