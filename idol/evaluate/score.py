"""`idol-eval score`: two sets of clips, a protocol, and the numbers."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from idol.config.evaluate import ScoreConfig
from idol.evaluate.availability import Plan, check_names, plan, plan_of
from idol.evaluate.clips import ClipSet, Pair, annotation_digest, digest, paired
from idol.evaluate.depth import Alignment
from idol.evaluate.devices import device_of
from idol.evaluate.errors import EvaluationError, MissingNetwork
from idol.evaluate.folders import FolderClip, of_depth, open_folder, with_depth
from idol.evaluate.measure import Tools, Watched, measure_clip, read_pair, video_alignment
from idol.evaluate.metrics import METRICS, Sums, value_of
from idol.evaluate.output import features_folder
from idol.evaluate.protocols import Protocol, protocol
from idol.evaluate.published import open_published
from idol.evaluate.shard_clips import open_shards
from idol.evaluate.swapped import check_swapped, thumbnail
from idol.evaluate.video_features import FrechetFeatures
from shards.files.digest import canonical_json, sha256
from shards.files.storage import Store

__all__ = ["Progress", "check", "open_set", "score"]

_log = logging.getLogger(__name__)

# Frames of one video that are kept in memory while its depth is aligned; longer ones are read
# twice.
_KEPT = 300

Progress = Callable[[int, int], None]
"""Told how many clips of how many are done."""


def open_set(path: str, config: ScoreConfig, protocol_: Protocol) -> ClipSet:
    """The clips at a path: a folder, or shards.

    Raises EvaluationError, or ShardsError, saying what is there instead.
    """
    store = Store.at(path)
    local = Path(store.root)
    if not store.is_local or path.endswith(".tar") or store.size("dataset.json") is not None:
        return open_shards(path, config.split, config.depth, config.limit)
    if not local.exists():
        raise EvaluationError(f"{path}: does not exist")
    if local.is_dir() and any(local.glob("shard-*.tar")):
        return open_shards(path, config.split, config.depth, config.limit)
    videos = protocol_.snippets.container != "none"
    folder = open_folder(Path(path), videos=videos, apart=config.out)
    return folder if config.depth is None else of_depth(folder, config.depth)


def score(config: ScoreConfig, progress: Progress = lambda done, of: None) -> dict[str, Any]:
    """Measure, and say all that `scores.json` does; features of videos are left in `out`.

    Raises:
        ConfigError: an unknown protocol or metric.
        OutInUse: another process scores into `out`.
        EvaluationError: sets that do not fit each other, options that fit neither, files that
            cannot be read, a metric required that cannot be computed, or other scores in `out`.
    """
    _check_names(config)
    with features_folder(config) as folder:
        return _score(config, folder, progress)


def _score(config: ScoreConfig, folder: Path, progress: Progress) -> dict[str, Any]:
    chosen = protocol(config.protocol)
    if config.layout == "folders":
        generated = open_set(config.generated, config, chosen)
    else:
        generated = open_published(Path(config.generated), config.layout)
    reference = open_set(config.reference, config, chosen)
    _check_options(config, generated, reference)
    if config.generated_depth:
        generated = with_depth(generated, config.generated_depth)
    if config.reference_depth:
        reference = with_depth(reference, config.reference_depth)
    pairs = paired(generated, reference, other_size=chosen.images.other_size)
    planned = plan(
        chosen,
        generated,
        reference,
        pairs,
        config.metrics,
        estimated=config.estimate_depth != "none",
        annotator=config.pose != "none",
    )
    tools, annotators = _tools(config, planned)
    features = FrechetFeatures.load(config, chosen, planned, folder)
    _required(config, planned)
    measured = _Measured(config, chosen, planned, tools, features)
    total = sum(map(len, pairs.values()))
    for video, clips in pairs.items():
        measured.video(video, clips)
        progress(len(measured.digests), total)
    if not config.allow_swapped:
        check_swapped(measured.thumbnails)
    return _result(config, chosen, planned, generated, reference, measured, annotators)


def check(config: ScoreConfig) -> None:
    """What can be told before there is anything to measure.

    Raises:
        ConfigError: an unknown protocol or metric.
        EvaluationError: an unknown annotator, or what a metric needs that is required is absent.
    """
    _check_names(config)
    for annotator in ({"pose": config.pose}, {"depth": config.estimate_depth}):
        with contextlib.suppress(MissingNetwork):  # which scoring tells, and leaves out
            _Estimated(config, **annotator)
    chosen = protocol(config.protocol)
    required = plan_of(chosen, config.require, annotator=config.pose != "none")
    _tools(config, required)
    FrechetFeatures.load(config, chosen, required, config.out)
    _required(config, required)


def _check_names(config: ScoreConfig) -> None:
    protocol(config.protocol)
    check_names(config.metrics, "metrics")
    check_names(config.require, "require")


def _check_options(config: ScoreConfig, generated: ClipSet, reference: ClipSet) -> None:
    """Raises EvaluationError for options of shards where there are none, and for two depths."""
    if config.generated_depth and config.estimate_depth != "none":
        raise EvaluationError(
            f"--generated-depth gives depth, and --estimate-depth {config.estimate_depth} would "
            "take another in its place: leave one of them out"
        )
    given = {"--split": config.split, "--limit": config.limit}
    useless = [name for name, value in given.items() if value is not None]
    if useless and "shards" not in (generated.kind, reference.kind):
        raise EvaluationError(
            f"{' and '.join(useless)}: for shards, and neither {generated.path} nor "
            f"{reference.path} is any: leave out what is not to be scored"
        )


class _Measured:
    """What is gathered from videos, one after the other."""

    def __init__(
        self,
        config: ScoreConfig,
        protocol_: Protocol,
        planned: Plan,
        tools: Tools,
        features: FrechetFeatures,
    ) -> None:
        self._config, self._protocol, self._plan = config, protocol_, planned
        self._tools, self.features = tools, features
        self.sums: dict[str, dict[str, Sums]] = {}
        self.digests: dict[str, dict[str, dict[str, str]]] = {}
        self.annotations: dict[str, dict[str, str]] = {}  # of the reference
        self.thumbnails: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.frames = 0
        self.resized = 0

    def video(self, video: str, clips: list[Pair]) -> None:
        kept = [*self._read(clips)] if _is_short(clips) else None
        alignment = Alignment(1.0, 0.0)
        if self._plan.wants("depth"):
            alignment = video_alignment(self._read(clips) if kept is None else kept)
        sums: dict[str, Sums] = defaultdict(lambda: (0.0, 0.0))
        metrics = [m for m in self._plan.chosen if m.sums is not None]
        for one in self._read(clips) if kept is None else kept:
            found = measure_clip(
                one, metrics, self._protocol, self._tools, alignment, self._config.stride
            )
            for name, (total, weight) in found.items():
                before = sums[name]
                sums[name] = (before[0] + total, before[1] + weight)
            self._count(one)
            self.features.add(video, one)
        self.features.end()
        self.sums[video] = dict(sums)

    def _read(self, clips: list[Pair]) -> Iterator[Watched]:
        for pair in clips:
            yield read_pair(pair, self._protocol, self._tools)

    def _count(self, one: Watched) -> None:
        name = one.pair.name
        self.digests[name] = {
            "generated": digest(one.generated),
            "reference": digest(one.reference),
        }
        self.annotations[name] = annotation_digest(one.reference)
        self.thumbnails[name] = (thumbnail(one.generated.frames), thumbnail(one.reference.frames))
        self.frames += len(one.reference.frames)
        if one.generated.frames.shape != one.reference.frames.shape:
            self.resized += len(one.reference.frames)


def _is_short(clips: list[Pair]) -> bool:
    """Whether the clips of a video are kept in memory, both sides of each; those whose lengths only
    reading tells are not."""
    lengths = [len(pair.reference.numbers or pair.generated.numbers) for pair in clips]
    return all(lengths) and sum(lengths) <= _KEPT


def _tools(config: ScoreConfig, planned: Plan) -> tuple[Tools, dict[str, Any]]:
    """What looks at frames, and the records of who does; what is absent leaves its metrics out."""
    tools, records = Tools(), {}
    if planned.wants("annotator"):
        try:
            pose = _Estimated(config, pose=config.pose)
        except MissingNetwork as error:
            planned.drop("annotator", str(error))
        else:
            tools = dataclasses.replace(tools, keypoints=pose.keypoints)
            records["pose"] = pose.records
    if config.estimate_depth != "none" and planned.wants("depth"):
        try:
            depth = _Estimated(config, depth=config.estimate_depth)
        except MissingNetwork as error:
            planned.drop("depth", str(error))
        else:
            kind = depth.depth_kind
            tools = dataclasses.replace(tools, depth=depth.depth, depth_kind=kind)
            records["depth"] = depth.records
    if planned.wants("lpips"):
        from idol.evaluate.lpips import load_lpips

        try:
            distance = load_lpips(
                protocol(config.protocol).images.lpips, config.weights, config.device
            )
        except MissingNetwork as error:
            planned.drop("lpips", str(error))
        else:
            tools = dataclasses.replace(tools, lpips=distance)
            records["lpips"] = distance.checksums
    return tools, records


class _Estimated:
    """An annotator whose findings are kept by the content of the frames, so that a second run, or
    a second pass, asks nobody."""

    def __init__(self, config: ScoreConfig, *, pose: str = "none", depth: str = "none") -> None:
        from idol.evaluate.annotate.estimate import estimator
        from idol.evaluate.annotate.folder import evaluation_cache

        device = device_of(config.device)
        self._estimator = estimator(pose, depth, root=config.weights, device=device)
        self.records = self._estimator.records
        self.depth_kind = self._estimator.depth_kind
        self._folder = evaluation_cache(config.cache) / "annotations"
        self._key = sha256(canonical_json(self.records))

    def keypoints(self, name: str, frames: np.ndarray) -> np.ndarray:
        return self._found(name, frames, "keypoints")

    def depth(self, name: str, frames: np.ndarray) -> np.ndarray:
        return self._found(name, frames, "depth")

    def _found(self, name: str, frames: np.ndarray, what: str) -> np.ndarray:
        from shards.files.atomic import atomic_file

        head = f"{what} {self._key} {frames.shape}"
        if frames.shape[1] != frames.shape[2]:
            head += " without bars"  # which findings that were kept before had beside them
        content = hashlib.sha256(head.encode() + frames.tobytes())
        file = self._folder / f"{content.hexdigest()[:32]}.npy"
        if (kept := _kept(file, len(frames))) is not None:
            return kept
        found = self._estimator(name, frames)
        if found.lost:
            _log.info(f"{name}: nobody was found: {found.lost}")
        array = found.keypoints if what == "keypoints" else found.depth
        assert array is not None
        with atomic_file(file) as temporary, temporary.open("wb") as opened:
            np.save(opened, array)
        return array


def _kept(file: Path, frames: int) -> np.ndarray | None:
    """What was found before; None where nothing was, or the file is damaged."""
    if not file.is_file():
        return None
    try:
        array: np.ndarray = np.load(file, allow_pickle=False)
        if len(array) == frames:
            return array
    except (ValueError, TypeError, EOFError, OSError):
        pass
    _log.warning(f"{file} is damaged: what it holds is looked for again")
    return None


def _required(config: ScoreConfig, planned: Plan) -> None:
    lacking = [
        f"{name}: {planned.absent[name]}" for name in config.require if name in planned.absent
    ]
    EvaluationError.raise_if_any(lacking, "required, and cannot be computed")


def _result(
    config: ScoreConfig,
    chosen: Protocol,
    planned: Plan,
    generated: ClipSet,
    reference: ClipSet,
    measured: _Measured,
    annotators: Mapping[str, Any],
) -> dict[str, Any]:
    from idol.evaluate.bootstrap import mean_interval

    values: dict[str, dict[str, float]] = {video: {} for video in measured.sums}
    metrics: dict[str, Any] = {}
    of_videos = [metric for metric in planned.chosen if metric.sums is not None]
    for metric in of_videos:
        for video, sums in measured.sums.items():
            value = value_of(metric, sums.get(metric.name, (0.0, 0.0)))
            if not math.isnan(value):
                values[video][metric.name] = value
    for metric in of_videos:
        known = [v for v in values.values() if metric.name in v]
        silent = len(values) - len(known)
        if not known:
            planned.absent[metric.name] = f"no video says anything of it: {metric.silent}"
            continue
        found = mean_interval(
            [v[metric.name] for v in known],
            weights=[v[metric.weighed] for v in known] if metric.weighed else None,
            samples=config.samples,
            seed=config.seed,
        )
        metrics[metric.name] = _described(metric.name) | found.as_json()
        if silent:
            metrics[metric.name]["left_out"] = {"videos": silent, "why": metric.silent}
    metrics |= {
        name: _described(name) | found
        for name, found in measured.features.distances(planned).items()
    }
    _required(config, planned)
    estimated = config.estimate_depth if "depth" in annotators else _estimated_before(generated)
    sides = {"generated": generated, "reference": reference}
    said: dict[str, dict[str, Any]] = {
        side: {
            "path": clips.path,
            "kind": clips.kind,
            "ignored_files": dict(clips.ignored),
            "datasets": _datasets(clips),
            "sha256": sha256(
                canonical_json({n: d[side] for n, d in sorted(measured.digests.items())})
            ),
        }
        for side, clips in sides.items()
    }
    said["reference"]["annotations_sha256"] = sha256(canonical_json(measured.annotations))
    return {
        "schema": 1,
        "name": config.name or _last_name(config.generated),
        "protocol": {"name": chosen.name, "hash": chosen.hash, "title": chosen.title},
        "metrics": {name: metrics[name] for name in METRICS if name in metrics},
        "not_computed": {name: planned.absent[name] for name in METRICS if name in planned.absent},
        "counts": {
            "videos": len(measured.sums),
            "clips": len(measured.digests),
            "frames": measured.frames,
            "frames_resized": measured.resized,
            **measured.features.counts(),
        },
        "depth_estimated_by": estimated,
        "networks": measured.features.networks(),
        "annotators": dict(annotators),
        **said,
        "settings": _settings(config),
        "videos": values,
        "clips": measured.digests,
    }


def _estimated_before(generated: ClipSet) -> str | None:
    """Who estimated the depth that lies with the clips, where they say that somebody did."""
    folders = [clip for clip in generated.clips.values() if isinstance(clip, FolderClip)]
    by = {clip.depth_estimated_by for clip in folders if "depth" in clip.has}
    return ", ".join(sorted(filter(None, by))) or None


def _last_name(path: str) -> str:
    """Of a folder or URL; that of the folder here for `.`."""
    return Path(path).name or Path(path).resolve().name


def _datasets(clips: ClipSet) -> list[str]:
    """The names of the datasets that shards are of: keys begin with them."""
    return sorted({name.split("-")[0] for name in clips.clips}) if clips.kind == "shards" else []


def _described(name: str) -> dict[str, Any]:
    metric = METRICS[name]
    return {"title": metric.title, "unit": metric.unit, "better": metric.better}


def _settings(config: ScoreConfig) -> dict[str, Any]:
    said = dataclasses.asdict(config)
    return {k: str(v) if isinstance(v, Path) else v for k, v in said.items()}
