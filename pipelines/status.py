"""How far a build is, who builds and what was quarantined, from the output's files alone."""

import os
import socket
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shards.dataset import DatasetInfo, is_latents_folder, read_info
from shards.errors import NotADataset
from shards.files.digest import parse_json
from shards.files.locks import BUILDING, process_start
from shards.files.storage import Store
from shards.manifest import Manifest, Quarantined, count_reasons, load_all_manifests
from shards.mix import MIX

__all__ = ["Builder", "Status", "lacks_mix", "statuses"]

_SILENT = 3  # writings of its file that a builder on another machine may miss
_SLACK = 10.0  # seconds by which two machines' clocks may differ


@dataclass(frozen=True)
class Builder:
    """Who writes, or last wrote, into the output.

    `began` and `seen` are seconds ago, by this machine's clock; `alive` is certain of a process on
    this machine, and else whether it was heard of lately. `why` it ended, where it said so.
    """

    host: str
    user: str
    pid: int
    alive: bool
    began: float
    seen: float
    workers: int
    why: str | None


@dataclass(frozen=True)
class Status:
    """What a build's files say. Counts are clips, of committed shards but for `made`.

    `state`: `complete`; `building`; `stopped` by a signal; `failed` by an error, or `died` without
    a word: then the build's command resumes. `planned` and `remaining` are None where no file
    tells them. `made` wait for their shard. `seconds_left` and the rate are those of the builder's
    last word, None unless it is at work.
    """

    out: str
    state: str
    planned: int | None
    committed: int
    quarantined: int
    remaining: int | None
    made: int
    shards_planned: int | None
    shards: int
    bytes: int
    kinds: dict[str, int]
    reasons: dict[str, int]
    splits: dict[str, dict[str, int]]
    clips_per_second: float | None
    frames_per_second: float | None
    seconds_left: float | None
    builder: Builder | None
    adds_up: bool
    problems: tuple[str, ...] = field(default=())
    clips_quarantined: tuple[Quarantined, ...] = field(default=(), repr=False)


def statuses(out: str) -> list[Status]:
    """The status of a dataset, or of each one of a mixture.

    Raises NotADataset where no build has begun.
    """
    store = Store.at(out)
    if store.size() is not None:
        raise NotADataset(f"{store.url()}: is a file; give the folder of a dataset")
    if _has_begun(store):
        return [_read_status(store)]
    names = [name for name, is_folder in store.list().items() if is_folder]
    parts = [store.folder(name) for name in names]
    found = [_read_status(part) for part in parts if _has_begun(part)]
    if not found:
        what = f"{MIX} alone" if store.size(MIX) is not None else "no dataset.json"
        raise NotADataset(f"{store.url()}: no build has begun here (there is {what})")
    return found


def lacks_mix(out: str) -> bool:
    """Whether datasets lie in the folder and no mix file, which a mixture's build writes last."""
    store = Store.at(out)
    return not _has_begun(store) and store.size(MIX) is None


def _has_begun(store: Store) -> bool:
    return store.size("dataset.json") is not None or store.size(BUILDING) is not None


def _read_status(store: Store) -> Status:
    """The status of one dataset. Raises NotADataset for one damaged or of another version."""
    # In the order in which a build that ends meanwhile writes them, the last first: nobody is told
    # that it died, nor that clips are missing.
    said = _said(store)
    builder = _builder(said)
    info = read_info(store)
    sizes = {
        name: store.sizes(name)
        for name, is_folder in store.list().items()
        if is_folder and not is_latents_folder(name)
    }
    found = load_all_manifests(store, sizes)
    # A shard without a valid manifest does not exist; the build makes it again.
    manifests = [m for m in found.values() if isinstance(m, Manifest)]
    quarantined = [q for manifest in manifests for q in manifest.quarantined]
    committed = sum(len(manifest.samples) for manifest in manifests)
    counts = said.get("counts", {}) if said else {}
    planned, shards_planned = _planned(info, counts)
    remaining = None if planned is None else planned - committed - len(quarantined)
    state = _state(info, said, builder)
    at_work = counts if state == "building" else {}
    rate = at_work.get("clips_per_second")
    adds_up = remaining is not None and (remaining >= 0 if state == "building" else remaining == 0)
    return Status(
        store.url(),
        state,
        planned,
        committed,
        len(quarantined),
        remaining,
        _made(counts) if state != "complete" else 0,
        shards_planned,
        len(manifests),
        sum(manifest.bytes for manifest in manifests),
        dict(Counter(q.kind for q in quarantined).most_common()),
        count_reasons(quarantined),
        _splits(manifests),
        rate,
        rate and round(rate * at_work.get("frames_per_clip", 0), 3),
        at_work.get("seconds_left"),
        builder,
        adds_up or planned is None,
        tuple(str(m) for m in found.values() if not isinstance(m, Manifest))
        if state == "complete"
        else (),
        tuple(quarantined),
    )


def _said(store: Store) -> dict[str, Any] | None:
    """What the builder wrote; None where it wrote nothing, or nothing readable."""
    data = store.read_if_there(BUILDING)
    try:
        value = None if data is None else parse_json(data)
    except ValueError:
        return None
    needed: dict[str, Any] = {
        "host": str,
        "user": str,
        "pid": int,
        "began": _NUMBER,
        "seen": _NUMBER,
    }
    needed |= {"state": str, "every": _NUMBER, "counts": dict, "why": (str, type(None))}
    if not isinstance(value, dict):
        return None
    fits = all(isinstance(value.get(n), k) for n, k in needed.items())
    fits = fits and 0 < value["pid"] <= _MOST_PID and _are_counts(value["counts"])
    return value if fits else None


_NUMBER = (int, float)
_MOST_PID = (1 << 31) - 1


def _are_counts(counts: Mapping[str, Any]) -> bool:
    """Whether what is read of a builder's counts is numbers, as far as it is there."""
    whole = ("planned", "shards_planned", "workers", "kept", "made")
    rates = ("clips_per_second", "frames_per_clip", "seconds_left")
    return (
        all(isinstance(counts.get(name, 0), int) for name in whole)
        and all(isinstance(counts.get(name) or 0, _NUMBER) for name in rates)
        and all(_by_name(counts.get(name, {})) for name in ("committed", "quarantined"))
    )


def _by_name(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(number, int) for number in value.values())


def _builder(said: Mapping[str, Any] | None) -> Builder | None:
    if said is None:
        return None
    seen = time.time() - said["seen"]
    if said["state"] != "building":
        alive = False
    elif said["host"] == socket.gethostname():
        start = process_start(said["pid"])
        alive = start == said.get("process_start") if start else _answers(said)
    else:
        alive = abs(seen) < _SILENT * said["every"] + _SLACK
    return Builder(
        said["host"],
        said["user"],
        said["pid"],
        alive,
        round(max(0.0, time.time() - said["began"]), 1),
        round(max(0.0, seen), 1),
        int(said["counts"].get("workers", 0)),
        said.get("why"),
    )


def _answers(said: Mapping[str, Any]) -> bool:
    """Where no /proc tells when a process began: whether one with the number is there."""
    if said.get("process_start") is not None:
        return False
    try:
        os.kill(said["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _state(
    info: DatasetInfo | None, said: Mapping[str, Any] | None, builder: Builder | None
) -> str:
    if builder is not None and builder.alive:
        return "building"
    if info is not None and info.status == "complete":
        return "complete"
    if said is not None and said["state"] in ("stopped", "failed"):
        return str(said["state"])
    return "died"


def _planned(info: DatasetInfo | None, counts: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Clips and shards of the plan."""
    planned = info.extras.get("planned") if info is not None else None
    if (
        isinstance(planned, dict)
        and isinstance(planned.get("clips"), int)
        and _by_name(planned.get("shards"))
    ):
        return planned["clips"], sum(planned["shards"].values())
    if counts.get("planned"):
        return counts["planned"], counts.get("shards_planned")
    return None, None


def _made(counts: Mapping[str, Any]) -> int:
    """Clips that were made and are in no committed shard, at the builder's last word."""
    in_shards = sum(sum(counts.get(name, {}).values()) for name in ("committed", "quarantined"))
    return max(0, counts.get("kept", 0) + counts.get("made", 0) - in_shards)


def _splits(manifests: list[Manifest]) -> dict[str, dict[str, int]]:
    splits: dict[str, dict[str, int]] = {}
    for manifest in manifests:
        row = splits.setdefault(manifest.split, {"committed": 0, "quarantined": 0, "shards": 0})
        row["committed"] += len(manifest.samples)
        row["quarantined"] += len(manifest.quarantined)
        row["shards"] += 1
    return dict(sorted(splits.items()))
