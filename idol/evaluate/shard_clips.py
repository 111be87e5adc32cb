"""Clips of a dataset, as a reference or as what was generated."""

from __future__ import annotations

from dataclasses import dataclass

from idol.evaluate.clips import ClipArrays, ClipSet, DepthKind
from idol.evaluate.errors import EvaluationError
from shards.reader import Dataset, Entry, open_dataset, read_sample
from shards.sample.clip import Clip
from shards.sample.codec import decode_clip, decode_info

__all__ = ["ShardClip", "choose_depth", "open_shards"]

_MASK = 127


@dataclass(frozen=True)
class ShardClip:
    """A sample of a dataset, with the depth that is wanted."""

    entry: Entry
    depth: DepthKind | None
    numbers: tuple[int, ...]
    video: str

    @property
    def name(self) -> str:
        return self.entry.key

    @property
    def where(self) -> str:
        return f"{self.entry.shard.url}: {self.entry.key}"

    @property
    def size(self) -> tuple[int, int] | None:
        sample = self.entry.sample
        return (sample.height, sample.width) if sample.height and sample.width else None

    @property
    def has(self) -> frozenset[str]:
        there = {m for m in ("mask", "keypoints") if m in self.entry.sample.sizes}
        return frozenset(
            there | ({"depth"} if self._modality in self.entry.sample.sizes else set())
        )

    def clip(self) -> Clip:
        """The whole sample. Raises ShardsError, naming the member that cannot be read."""
        return decode_clip(read_sample(self.entry))

    def read(self) -> ClipArrays:
        wanted = [m for m in ("mask", "keypoints", self._modality) if m in self.entry.sample.sizes]
        clip = decode_clip(read_sample(self.entry), modalities=wanted)
        return ClipArrays(
            frames=clip.rgb,
            depth=None if self._modality not in wanted else clip[self._modality],
            depth_kind=self.depth,
            mask=None if clip.mask is None else clip.mask > _MASK,
            keypoints=clip.keypoints,
        )

    @property
    def _modality(self) -> str:
        return f"depth_{self.depth}"


def open_shards(
    path: str, split: str | None, depth: DepthKind | None, limit: int | None = None
) -> ClipSet:
    """The clips of a dataset's split: `val` where there is one, else the only one.

    Args:
        path: a dataset, a split's folder or a tar; local or a URL.
        depth: which is compared; the person's where a dataset has both, unless given.
        limit: only so many clips, the first ones.

    Raises:
        ShardsError: it cannot be opened, or has no such split.
        EvaluationError: no clip has that depth.
    """
    dataset = open_dataset(path)
    entries = entries_of(dataset, split)[:limit]
    kind = choose_depth(dataset.url, entries, depth)
    # Frames are numbered as a dataset takes them: every second one of a video is the next.
    indices = decode_info(read_sample(entries[0]))["frame_indices"]
    step = max(1, indices[1] - indices[0]) if len(indices) > 1 else 1
    firsts = _numbered(entries, step)
    clips = {}
    for entry in entries:
        first = firsts[entry.key]
        numbers = tuple(range(first, first + entry.sample.frames))
        clips[entry.key] = ShardClip(entry, kind, numbers, _video_of(entry))
    return ClipSet(dataset.url, "shards", clips)


def _numbered(entries: list[Entry], step: int) -> dict[str, int]:
    """The number of each clip's first frame, by its key.

    A shot may begin at a frame between two that are taken: its clips do not go on with the numbers
    of those before, and share none with them.
    """
    firsts: dict[str, int] = {}
    before: dict[str, tuple[int, int]] = {}  # of each video's last clip: first frame, its number
    for entry in sorted(entries, key=lambda entry: entry.sample.first_frame or 0):
        video, frame = _video_of(entry), entry.sample.first_frame or 0
        last, number = before.get(video, (frame % step, 0))
        taken, between = divmod(frame - last, step)
        firsts[entry.key] = number + taken + (2 if between else 0)
        before[video] = frame, firsts[entry.key]
    return firsts


def _video_of(entry: Entry) -> str:
    return entry.sample.video or entry.key


def entries_of(dataset: Dataset, split: str | None) -> list[Entry]:
    """The samples of a split; `val` where there is one and none is given."""
    if split is None and dataset.has_split("val"):
        split = "val"
    shards = dataset.shards_of(split)
    return [Entry(shard, sample) for shard in shards for sample in shard.manifest.samples]


def choose_depth(where: str, entries: list[Entry], wanted: DepthKind | None) -> DepthKind | None:
    """Which depth there is; None where there is none. Raises EvaluationError as `open_shards`."""
    there = {m for entry in entries for m in entry.sample.sizes if m.startswith("depth_")}
    if wanted is not None:
        if f"depth_{wanted}" not in there:
            raise EvaluationError(f"{where}: has no depth_{wanted}; leave --depth out")
        return wanted
    if "depth_person" in there:
        return "person"
    return "frame" if "depth_frame" in there else None
