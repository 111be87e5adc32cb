"""Read a dataset's clips as arrays: python examples/read_shards.py [demo/shards]"""

import sys

from shards import open_dataset
from shards.errors import ShardsError

path = sys.argv[1] if len(sys.argv) > 1 else "demo/shards"
try:
    dataset = open_dataset(path)
except ShardsError as error:
    sys.exit(f"{error}\n`make demo` builds demo/shards; then run this in the same folder")
for split in dataset.splits:
    clips = sum(entry.shard.manifest.split == split for entry in dataset.entries.values())
    print(f"{split}: {clips} clips")
clip = next(dataset.clips())
print(f"{clip.key}: frames {clip.info['frame_indices'][0]} to {clip.info['frame_indices'][-1]}")
for modality in clip.modalities:
    array = clip[modality]
    print(f"  {modality:15} {array.dtype!s:8} {array.shape}")
