"""Videos whose frames do what no clip should, at given frames: raise, hang, crash, take memory."""

import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.plan import Plan, make_plan
from pipelines.recipe import Recipe
from preprocess.frames import Frame
from preprocess.sources.values import Listing, Video
from tests.pipelines.conftest import BARE

FRAMES = 32
CLIP = 4


def _take_memory() -> None:
    hoard = []
    while True:
        hoard.append(np.ones(1 << 24))


def _raise() -> None:
    raise ValueError("the frame\nis odd")


DEEDS: dict[str, Callable[[], None]] = {
    "raise": _raise,
    "hang": lambda: time.sleep(3600),
    "exit": lambda: os._exit(13),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "crash": lambda: ctypes.string_at(0) and None,
    "memory": _take_memory,
}


@dataclass(frozen=True)
class Poisoned:
    """Grey frames; those of `deeds`, by index, do what is named, but where the file `cured` is."""

    deeds: tuple[tuple[int, str], ...]
    cured: str = ""

    def read(self, indices: list[int]) -> Iterator[Frame]:
        bad = {} if self.cured and Path(self.cured).exists() else dict(self.deeds)
        for index in indices:
            if index in bad:
                DEEDS[bad[index]]()
            yield Frame(index, np.full((40, 40, 3), index, np.uint8), index / 30)

    def fingerprint(self) -> str:
        return "poisoned"


def poisoned_plan(source: Path, *videos: Poisoned, clips_per_shard: int = 3) -> Plan:
    """Videos v0, v1… of eight clips each."""
    recipe = Recipe("videos", clip_length=CLIP, clips_per_shard=clips_per_shard, **BARE)
    listing = Listing(
        tuple(
            Video(f"v{n}", FRAMES, 30.0, reader, f"v{n}", "train")
            for n, reader in enumerate(videos)
        )
    )
    return make_plan(recipe, source, listing)
