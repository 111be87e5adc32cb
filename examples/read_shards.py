"""Read a dataset's clips as arrays: python examples/read_shards.py [demo/shards]"""

import sys

from shards import open_dataset

dataset = open_dataset(sys.argv[1] if len(sys.argv) > 1 else "demo/shards")
for split in dataset.splits:
    print(
        f"{split}: {sum(e.shard.manifest.split == split for e in dataset.entries.values())} clips"
    )
clip = next(dataset.clips())
print(f"{clip.key}: frames {clip.info['frame_indices'][0]} to {clip.info['frame_indices'][-1]}")
for modality in clip.modalities:
    array = clip[modality]
    print(f"  {modality:15} {array.dtype!s:8} {array.shape}")
