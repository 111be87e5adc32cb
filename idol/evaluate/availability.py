"""Which metrics can be computed of two sets under a protocol, and why the others cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from idol.config.checks import ConfigError
from idol.evaluate.clips import ClipSet, Pair
from idol.evaluate.metrics import METRICS, Metric
from idol.evaluate.protocols import Protocol

__all__ = ["LONG", "Plan", "check_names", "plan", "plan_of"]

LONG = 17
"""Clips of fewer frames have no seam: two windows of eight, and one more."""

_NO_POSE = "--pose none was given"


@dataclass
class Plan:
    """The metrics to compute, and for each other one why not."""

    chosen: list[Metric]
    absent: dict[str, str] = field(default_factory=dict)

    def wants(self, *needs: str) -> bool:
        """Whether a chosen metric needs one of these."""
        return any(need in metric.needs for metric in self.chosen for need in needs)

    def drop(self, need: str, why: str) -> None:
        """Leave out what needs this, for a reason that was found later."""
        for metric in [m for m in self.chosen if need in m.needs]:
            self.absent[metric.name] = why
            self.chosen.remove(metric)


def check_names(names: Iterable[str], option: str) -> None:
    """Raises ConfigError for a name that no metric has."""
    if unknown := [name for name in names if name not in METRICS]:
        raise ConfigError(
            f"--{option} {' '.join(unknown)}: no such metric; there are: {', '.join(METRICS)}"
        )


def plan(
    protocol: Protocol,
    generated: ClipSet,
    reference: ClipSet,
    pairs: Mapping[str, list[Pair]],
    names: tuple[str, ...],
    *,
    estimated: bool,
    annotator: bool,
) -> Plan:
    """What can be computed, as far as the clips say it; networks are looked for later.

    Args:
        names: those asked for; all where there are none.
        estimated: whether depth of the generated frames is estimated afterwards.
        annotator: whether one looks for poses.
    """
    every = [pair for clips in pairs.values() for pair in clips]
    reasons: dict[str, Callable[[], str]] = {
        "images": lambda: _images(generated, reference),
        "depth": lambda: "" if estimated else _lacking(every, "generated", "depth"),
        "truth's depth": lambda: _lacking(every, "reference", "depth"),
        "person": lambda: _person(every),
        "pose": lambda: _lacking(every, "reference", "keypoints"),
        "annotator": lambda: "" if annotator else _NO_POSE,
        "long": lambda: _long(every),
    }
    found = {need: reason() for need, reason in reasons.items()}
    asked = {*names, *(METRICS[name].weighed for name in names)}
    planned = Plan([])
    for name, metric in METRICS.items():
        why = _by_protocol(name, protocol) or next(
            (found[need] for need in metric.needs if found.get(need)), ""
        )
        if names and name not in asked:
            why = "not asked for (--metrics)"
        if why:
            planned.absent[name] = why
        else:
            planned.chosen.append(metric)
    return planned


def plan_of(protocol: Protocol, names: Iterable[str], *, annotator: bool) -> Plan:
    """What can be computed of these metrics, as far as it is known without any clip."""
    planned = Plan([])
    for name in names:
        needs = METRICS[name].needs
        why = _by_protocol(name, protocol)
        if "annotator" in needs and not annotator:
            why = _NO_POSE
        if why:
            planned.absent[name] = why
        else:
            planned.chosen.append(METRICS[name])
    return planned


def _by_protocol(name: str, protocol: Protocol) -> str:
    if name.endswith("_stride1") and len(protocol.snippets.steps) < 2:
        return f"protocol {protocol.name} has one way to cut snippets"
    if name == "dtssd_frames" and protocol.dtssd != "first two frames":
        return f"protocol {protocol.name} has it of depth alone"
    return ""


def _images(generated: ClipSet, reference: ClipSet) -> str:
    if "videos" in (generated.kind, reference.kind):
        return "it compares image files, and video files were given"
    return ""


def _lacking(pairs: list[Pair], side: str, what: str) -> str:
    clips = [getattr(pair, side) for pair in pairs]
    lacking = [clip.name for clip in clips if what not in clip.has]
    if not lacking:
        return ""
    some = f"{len(lacking)} of {len(clips)} {side} clips have no {what}"
    return f"{some}, such as {lacking[0]}"


def _person(pairs: list[Pair]) -> str:
    """Masks say where the person is; so does depth of the person, which is read later."""
    if all("mask" in pair.reference.has or "depth" in pair.reference.has for pair in pairs):
        return ""
    return _lacking(pairs, "reference", "mask")


def _long(pairs: list[Pair]) -> str:
    longest = max(len(pair.reference.numbers) for pair in pairs)
    if not longest:
        return "it takes image files, and video files were given"
    if longest >= LONG:
        return ""
    return f"clips have {longest} frames at most, and seams need {LONG}"
