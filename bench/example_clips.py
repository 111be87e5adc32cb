"""Some clips of a shard as a tar of their own, such as examples/people-128.tar.

    idol-prep build --recipe people --source examples/people-examples.yaml --clip-length 24 \\
        --size 128 --val-fraction 0 --out built
    python bench/example_clips.py built/train/shard-00000.tar people-00002 people-00006 \\
        people-00007 people-00009 --out examples/people-128.tar

Members that no page and no model needs are left out; the same clips make the same bytes.
"""

from __future__ import annotations

import argparse
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from shards import command
from shards.errors import ShardsError
from shards.sample.modalities import split_name

LEFT_OUT = {"joints", "depth_frame"}


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("shard", type=Path)
    parser.add_argument("clips", nargs="+", help="keys, or what they begin with")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args(argv)
    wanted = tuple(arguments.clips)
    with tarfile.open(arguments.shard) as shard, tarfile.open(arguments.out, "w") as picked:
        for member in shard:
            key, suffix = split_name(member.name)
            if key.startswith(wanted) and suffix.partition(".")[0] not in LEFT_OUT:
                picked.addfile(member, shard.extractfile(member))
    return 0


if __name__ == "__main__":
    sys.exit(command.run("example_clips.py", main, errors=(ShardsError, OSError, tarfile.TarError)))
