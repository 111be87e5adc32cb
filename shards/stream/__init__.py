"""Streaming shards to training: exact, elastic, resumable, fast.

| question | module |
|---|---|
| what does a user call | `clipstream`, `loader` (tensors, worker processes) |
| what comes out | `batch` |
| which clips are there, with which cached latents | `catalogue`, `sidecars` |
| which comes next | `order`, `draws` |
| what is mixed | `mix` |
| how are bytes had | `files`, `cache`, `ahead` (of need), `tarfast` |
| how do they become a sample | `maker`, `request`, `fill`, `pictures`, `window` |
| how is a sample augmented | `geometry`, `cut` |
| what does a VAE take | `scale` |
| where do their arrays live | `recycle`, with workers `ring` |
| how do workers work | `pool` |

`shards` takes plain values from `preprocess`: `clip`, `colormap`, and here, to draw the skeleton
of a mirrored or cropped sample anew, `keypoints` and `skeleton`.
"""

from shards.stream.batch import ClipBatch, ClipSample, collate
from shards.stream.clipstream import ClipStream

__all__ = ["ClipBatch", "ClipSample", "ClipStream", "collate"]
