"""Manifests: what a shard holds and where. A shard without a valid manifest does not exist."""

import math
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any

from shards.errors import BadManifest, OldSchema
from shards.files.digest import canonical_json, parse_json
from shards.files.storage import Store
from shards.sample.modalities import parse_suffix, split_name
from shards.sample.reference import described

__all__ = [
    "KINDS",
    "SCHEMA",
    "Manifest",
    "Quarantined",
    "Sample",
    "Totals",
    "count_reasons",
    "count_totals",
    "describe_sample",
    "find_manifest",
    "list_shards",
    "load_all_manifests",
    "load_each",
    "load_manifest",
    "load_manifests",
    "manifest_bytes",
    "old_schema",
    "parse_manifest",
    "shard_name",
]

# Of manifests and of `dataset.json`: raised when names or meanings on disk change. Version 1 had
# the members `hdnet` and `midas` where there are `depth_person` and `depth_frame` now; in version 2
# `reference` was what `background` is now, and the foreground with it.
SCHEMA = 3
_NUMBER = (int, float)
_STRINGS = ("video", "subject")  # of a sample's optional fields
_REQUESTS = 32  # to an object store at a time
_REASONS = 100  # counted by name
# Bytes of a sample, which is read at once.
MOST_SAMPLE = 1 << 32
_TAR_END = 1024  # even a tar without members ends in two blocks of zeros


# Of reasons why a clip is quarantined.
KINDS = ("clip", "error", "memory", "timeout", "killed")


@dataclass(frozen=True)
class Quarantined:
    """A clip that failed, and why.

    `reason`     one line.
    `kind`       of the reason, for counting and retrying: `clip` (what is in the source, such as
                 nobody in view or a damaged frame), `error` (an annotator raised one), `memory`,
                 `timeout`, `killed` (it ended its process).
    `traceback`  where it happened, in our own and the libraries' files; empty where nothing is
                 known beyond the reason.
    """

    key: str
    video: str
    reason: str
    kind: str = "clip"
    traceback: str = ""


@dataclass(frozen=True)
class Sample:
    """Where a clip lies in its shard's tar, and its json in short; None for what that lacks.

    `offset`, `length`  bytes of the tar; the range starts and ends between members.
    `sizes`             bytes by modality, `json` among them.
    `frames`            frames in the clip; `first_frame` counts in the video.
    `width`, `height`   of the frames, in pixels.
    `person_coverage`   fraction of frames with a person, in [0, 1].
    `keypoint_score`    mean score of the key points, in [0, 1].
    `reference_coverage`
                        fraction of the foreground's square that its mask covers, in [0, 1].
    `subject`           which of the people the clip is of: "1 of 2, largest".
    """

    key: str
    offset: int
    length: int
    sizes: dict[str, int]
    frames: int
    video: str | None = None
    first_frame: int | None = None
    fps: float | None = None
    width: int | None = None
    height: int | None = None
    person_coverage: float | None = None
    keypoint_score: float | None = None
    reference_coverage: float | None = None
    subject: str | None = None


@dataclass(frozen=True)
class Manifest:
    """A shard: `{split}/shard-{index:05d}.tar` with its size, checksum, samples, failures.

    `fingerprint` is that of the recipe it was made by; None when unknown.
    """

    split: str
    index: int
    bytes: int
    sha256: str
    samples: tuple[Sample, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    fingerprint: str | None = None

    @property
    def tar(self) -> str:
        """The tar's name in its split's folder."""
        return f"{shard_name(self.index)}.tar"

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of all clips the shard was planned to hold: the samples', then the quarantined."""
        return tuple(s.key for s in self.samples) + tuple(q.key for q in self.quarantined)


def manifest_bytes(manifest: Manifest) -> bytes:
    """The manifest file; equal manifests have equal bytes."""
    return canonical_json({"schema": SCHEMA, **asdict(manifest)}, indent=1)


def parse_manifest(data: bytes) -> Manifest:
    """The manifest in a file's bytes.

    Raises BadManifest, saying what is wrong with it; OldSchema, naming the schema, for one of an
    older version.
    """
    try:
        value = parse_json(data)
    except ValueError as error:
        raise BadManifest(f"is not JSON ({error})") from error
    schema = value.get("schema") if isinstance(value, dict) else None
    if not isinstance(schema, int) or schema < 1:
        raise BadManifest("is not a shard's manifest")
    if schema > SCHEMA:
        raise BadManifest(f"has schema {schema}; this version reads up to {SCHEMA}: upgrade")
    if schema < SCHEMA:
        raise OldSchema(old_schema(schema))
    manifest = Manifest(
        split=_get(value, "split", str),
        index=_get(value, "index", int),
        bytes=_get(value, "bytes", int),
        sha256=_get(value, "sha256", str),
        samples=tuple(_sample(s) for s in _get(value, "samples", list)),
        quarantined=tuple(_quarantined(q) for q in _get(value, "quarantined", list)),
        fingerprint=_get(value, "fingerprint", str, optional=True),
    )
    end = 0
    for sample in manifest.samples:
        if sample.offset < end or sample.length <= 0:
            raise BadManifest(f"sample {sample.key} overlaps the one before")
        if sample.length > MOST_SAMPLE:
            raise BadManifest(
                f"sample {sample.key} takes {sample.length} bytes, more than {MOST_SAMPLE}"
            )
        end = sample.offset + sample.length
    if end + _TAR_END > manifest.bytes:
        raise BadManifest(
            f"samples reach byte {end} of a tar of {manifest.bytes}, which leaves none for its end"
        )
    if len(set(manifest.keys)) != len(manifest.keys):
        raise BadManifest("has a duplicate key")
    return manifest


def old_schema(schema: int) -> str:
    """The error message about a file of an older schema, after its name."""
    return (
        f"has schema {schema}, this version reads {SCHEMA}: "
        "build the dataset again, into an empty folder"
    )


def shard_name(index: int) -> str:
    """`shard-00000`: what a shard's tar and manifest are called, without extension."""
    return f"shard-{index:05d}"


def list_shards(store: Store, split: str) -> dict[int, set[str]]:
    """Shards in a split's folder, valid or not: index to which of `json`, `tar` are there."""
    return _shards_in(store.list(split))


def _shards_in(names: Iterable[str]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for name in names:
        if match := re.fullmatch(r"shard-([0-9]{5,})\.(tar|json)", name):
            found.setdefault(int(match[1]), set()).add(match[2])
    return dict(sorted(found.items()))


def load_manifest(store: Store, split: str, index: int) -> Manifest:
    """The manifest of a committed shard. Raises BadManifest, naming the file, if there is none.

    Committed means: the manifest parses, the tar is there and has the size it says.
    Raises OldSchema for a shard of an older version, which must not be taken for an absent one.
    `split` is the folder's name in the store, "" for the store itself.
    """
    return _load(store, split, index, store.size(_path(split, index, "tar")))


def _path(split: str, index: int, extension: str) -> str:
    return f"{split}/{shard_name(index)}.{extension}".removeprefix("/")


def _load(
    store: Store, split: str, index: int, size: int | None, data: bytes | None = None
) -> Manifest:
    """`size`: bytes of the tar, None where there is none. `data`: of the manifest, if known."""
    name = _path(split, index, "json")
    if data is None:
        data = store.read_if_there(name)
    if data is None:
        raise BadManifest(
            f"{store.url(name)} is missing, so the shard does not exist; the "
            "build's command makes it again"
        )
    try:
        manifest = parse_manifest(data)
    except (BadManifest, OldSchema) as error:
        raise type(error)(f"{store.url(name)}: {error}") from error
    if manifest.index != index or (split and manifest.split != split):
        raise BadManifest(
            f"{store.url(name)}: is that of {manifest.split}/{shard_name(manifest.index)}"
        )
    if size != manifest.bytes:
        found = "is missing" if size is None else f"has {size} bytes"
        tar = store.url(_path(split, index, "tar"))
        raise BadManifest(f"{tar}: {found}, its manifest says {manifest.bytes}")
    return manifest


def load_manifests(store: Store, shards: Iterable[tuple[str, int]]) -> list[Manifest | BadManifest]:
    """`load_manifest` of many `(split, index)`, in order; what is wrong in place of a bad one.

    A request for each manifest, and one for each split, whose listing has the tars' sizes.
    """
    return list(load_each(store, shards))


def load_each(store: Store, shards: Iterable[tuple[str, int]]) -> Iterator[Manifest | BadManifest]:
    """`load_manifests`, one after the other: few are held at a time, however many there are."""
    shards = list(shards)
    folders = {split for split, _ in shards}
    return _load_each(store, shards, {folder: store.sizes(folder) for folder in folders})


def load_all_manifests(
    store: Store,
    sizes: Mapping[str, Mapping[str, int]],
    collected: Callable[[int], Mapping[tuple[str, int], tuple[int, bytes]]] | None = None,
) -> dict[tuple[str, int], Manifest | BadManifest]:
    """`load_manifests` of every shard in these folders, by `(split, index)`, in their order.

    `sizes` are those of the files in each folder (`Store.sizes`). What is `collected`
    (`shards.collected`), given the bytes of all manifests, is not asked for where the manifest's
    file has the size that it says.
    """
    shards = [(folder, index) for folder, names in sizes.items() for index in _shards_in(names)]
    of_manifests = {
        (folder, index): sizes[folder].get(f"{shard_name(index)}.json", 0)
        for folder, index in shards
    }
    known = {
        shard: data
        for shard, (size, data) in (
            collected(sum(of_manifests.values())) if collected else {}
        ).items()
        if of_manifests.get(shard) == size
    }
    return dict(zip(shards, _load_each(store, shards, sizes, known), strict=True))


def _load_each(
    store: Store,
    shards: list[tuple[str, int]],
    sizes: Mapping[str, Mapping[str, int]],
    known: Mapping[tuple[str, int], bytes] = MappingProxyType({}),
) -> Iterator[Manifest | BadManifest]:
    def load(shard: tuple[str, int]) -> Manifest | BadManifest:
        split, index = shard
        try:
            size = sizes[split].get(f"{shard_name(index)}.tar")
            return _load(store, split, index, size, known.get(shard))
        except BadManifest as error:
            return error

    if store.is_local:
        yield from map(load, shards)
        return
    # A dataset has thousands of shards, and an object store answers in tens of milliseconds.
    with ThreadPoolExecutor(_REQUESTS) as pool:
        ahead: deque[Future[Manifest | BadManifest]] = deque()
        for shard in shards:
            ahead.append(pool.submit(load, shard))
            if len(ahead) > 2 * _REQUESTS:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def find_manifest(store: Store, split: str, index: int) -> Manifest | None:
    """The manifest of a committed shard; None if the shard does not exist."""
    try:
        return load_manifest(store, split, index)
    except BadManifest:
        return None


def _quarantined(value: Any) -> Quarantined:
    return Quarantined(
        key=_get(value, "key", str),
        video=_get(value, "video", str),
        reason=_get(value, "reason", str),
        kind=_get(value, "kind", str, optional=True) or "clip",
        traceback=_get(value, "traceback", str, optional=True) or "",
    )


def _sample(value: Any) -> Sample:
    sizes = _get(value, "sizes", dict)
    if not all(isinstance(n, int) for n in sizes.values()):
        raise BadManifest("field sizes holds something else than bytes")
    optional = {
        f.name: _get(value, f.name, str if f.name in _STRINGS else _NUMBER, optional=True)
        for f in fields(Sample)
        if f.default is None
    }
    return Sample(
        key=_get(value, "key", str),
        offset=_get(value, "offset", int),
        length=_get(value, "length", int),
        sizes=sizes,
        frames=_get(value, "frames", int),
        **optional,
    )


def _get(value: Any, name: str, kind: type | tuple[type, ...], *, optional: bool = False) -> Any:
    found = value.get(name) if isinstance(value, dict) else None
    if isinstance(found, float) and not math.isfinite(found):
        raise BadManifest(f"field {name} is no finite number")
    if (found is None and optional) or (isinstance(found, kind) and not isinstance(found, bool)):
        return found
    raise BadManifest(f"field {name} is missing or of another type")


def describe_sample(
    key: str, info: Mapping[str, Any], sizes: Mapping[str, int], offset: int, length: int
) -> Sample:
    """The manifest's entry of a sample.

    `info`: its json, of which nothing is required (another's tar may have none); `sizes`: bytes by
    member's name; `offset`, `length`: its range in the tar. Fields of other types than ours, and
    numbers that are not finite, count as not said.
    """
    by_modality: dict[str, int] = {}
    for name, size in sizes.items():
        suffix = split_name(name)[1]
        parsed = parse_suffix(suffix)
        modality = suffix if parsed is None else parsed[0]
        by_modality[modality] = by_modality.get(modality, 0) + size
    width, height = _pair(info.get("size"))
    keypoints = info.get("keypoints")
    scores = keypoints.get("mean_score") if isinstance(keypoints, dict) else None
    indices = info.get("frame_indices")
    return Sample(
        key=key,
        offset=offset,
        length=length,
        sizes=dict(sorted(by_modality.items())),
        frames=len(indices) if isinstance(indices, list) else 0,
        video=_typed(info.get("video"), str),
        first_frame=_typed(info.get("first_frame"), int),
        fps=_typed(info.get("fps"), int, float),
        width=width,
        height=height,
        person_coverage=_mean(info.get("person_frames")),
        keypoint_score=_mean(scores),
        reference_coverage=_typed(described(info).get("coverage"), int, float),
        subject=_subject(info.get("subject")),
    )


def count_totals(manifests: Iterable[Manifest]) -> dict[str, Any]:
    """Shards, clips, frames, videos, quarantined clips, tar bytes; and by split in `splits`.

    `planned` are clips and quarantined together. `kinds` and `reasons` count the quarantined; of
    many reasons the most frequent, and the others under one name.
    """
    totals = Totals()
    for manifest in manifests:
        totals.add(manifest)
    return totals.as_json()


class Totals:
    """What manifests add up to, each of which may be forgotten once it is counted."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}
        self._videos: dict[str, set[str]] = {}
        self._quarantined: list[Quarantined] = []

    def add(self, manifest: Manifest) -> None:
        """Count a shard."""
        self._counts.setdefault(manifest.split, Counter()).update(
            shards=1,
            planned=len(manifest.samples) + len(manifest.quarantined),
            clips=len(manifest.samples),
            frames=sum(sample.frames for sample in manifest.samples),
            quarantined=len(manifest.quarantined),
            bytes=manifest.bytes,
        )
        videos = self._videos.setdefault(manifest.split, set())
        videos.update(sample.video for sample in manifest.samples if sample.video is not None)
        self._quarantined += manifest.quarantined

    def as_json(self) -> dict[str, Any]:
        """As `count_totals`."""
        by_split = {
            split: _in_order(self._counts[split], len(self._videos[split]))
            for split in sorted(self._counts)
        }
        together: Counter[str] = Counter()
        for counts in self._counts.values():
            together.update(counts)
        return {
            **_in_order(together, len(set().union(*self._videos.values()))),
            "kinds": dict(Counter(q.kind for q in self._quarantined)),
            "reasons": count_reasons(self._quarantined),
            "splits": by_split,
        }


def _in_order(counts: Counter[str], videos: int) -> dict[str, int]:
    names = ("shards", "planned", "clips", "frames", "videos", "quarantined", "bytes")
    return {name: videos if name == "videos" else counts[name] for name in names}


def count_reasons(quarantined: Iterable[Quarantined]) -> dict[str, int]:
    """How many clips each reason cost, the most frequent first; beyond a hundred, the others
    together."""
    counts = Counter(q.reason for q in quarantined)
    in_order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    named, rest = in_order[:_REASONS], in_order[_REASONS:]
    other = {f"{len(rest)} other reasons": sum(count for _, count in rest)} if rest else {}
    return {**dict(named), **other}


def _typed(value: Any, *kinds: type) -> Any:
    finite = not isinstance(value, float) or math.isfinite(value)
    return value if type(value) in kinds and finite else None


def _subject(said: Any) -> str | None:
    if not isinstance(said, dict):
        return None
    number, people, rule = (said.get(name) for name in ("number", "people", "rule"))
    which = f"{number} of {people}" if number is not None and people is not None else ""
    return ", ".join(str(part) for part in (which, rule) if part) or None


def _pair(size: Any) -> tuple[int | None, int | None]:
    if isinstance(size, list) and len(size) == 2:
        return _typed(size[0], int), _typed(size[1], int)
    return _typed(size, int), _typed(size, int)


def _mean(values: Any) -> float | None:
    numbers = [v for v in values if isinstance(v, int | float)] if isinstance(values, list) else []
    return _typed(round(sum(numbers) / len(numbers), 6), float) if numbers else None
