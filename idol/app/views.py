"""Parts of the page that are plain HTML: progress, errors, a preview, what was made."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

from idol.app.shelf import RELIEF
from idol.app.work import Made, Told
from idol.model_info import ModelInfo

__all__ = ["done", "error", "model_line", "picture", "preview", "progress", "result", "said"]

_STAGES = {
    "waiting": "Waiting for the video that is being made now",
    "starting": "Loading the model",
    "person": "Looking at the person",
    "motion": "Looking at the motion",
    "denoising": "Denoising",
    "writing": "Writing the videos",
    "2.5D": "Writing the 2.5D page",
    "done": "Done",
}


def picture(png: bytes | None, alt: str) -> str:
    """A small picture; a line where there is none."""
    if png is None:
        return f"<p class='small'>{escape(alt)}: there is none in this clip.</p>"
    return f"<img class='small' alt='{escape(alt)}' src='{_data(png)}'>"


def said(told: Told) -> str:
    """The stage, in a line that screen readers read when it changes."""
    return f"<p role='status'>{escape(_STAGES.get(told.stage, told.stage))}</p>"


def progress(told: Told, first: int, seconds: float) -> str:
    """How far a stage is, `seconds` after it began with `first` of its steps done."""
    if not told.of:
        bar, count = "<progress aria-label='progress'></progress>", ""
    else:
        bar = f"<progress aria-label='progress' max='{told.of}' value='{told.done}'></progress>"
        count = f"{told.done} of {told.of}"
        if first < told.done < told.of:
            left = seconds / (told.done - first) * (told.of - told.done)
            count += f", about {max(1, round(left))} s left"
    return f"<div class='progress'>{bar}<span>{count}</span></div>"


def error(message: str) -> str:
    """What went wrong, in the words of the command."""
    return f"<p role='alert' class='error'>{escape(message)}</p>"


def done(message: str) -> str:
    """What was done."""
    return f"<p role='status'>{escape(message)}</p>"


def preview(png: bytes) -> str:
    """The sheet that `idol-generate --preview` draws; it opens in full size."""
    alt = (
        "The person as given, cut out by the mask, and in the place with their skeleton and the "
        "video's square; frames of the motion as given; and the same poses as they will be drawn"
    )
    return (
        "<figure class='sheet' tabindex='0' aria-label='Preview, scrolls sideways'>"
        f"<img alt='{escape(alt)}' src='{_data(png)}'></figure>"
    )


def result(made: Made, address: str) -> str:
    """The video, its depth and its 2.5D page, from files below `address`."""
    report = made.report
    outputs, chosen = report["outputs"], report["settings"]
    size, frames = outputs["size"], outputs["frames"]
    facts = [
        f"{frames} frames of {size}x{size} pixels at {outputs['fps']:g} a second",
        f"seed {chosen['seed']}",
        f"{chosen['steps']} steps of {chosen['scheduler']}",
        _mark(report),
        f"in {made.folder}",
    ]
    facts += [f"goes on although {reason}" for reason in report["placement"]["misfits"]]
    figures = [
        _video(f"{address}/video.mp4", "Video"),
        _video(f"{address}/depth.mp4", _depth_title(report)),
    ]
    if isinstance(made.relief, Path):
        figures.append(
            "<figure><iframe sandbox='allow-scripts' title='2.5D: turn it by mouse, touch or "
            f"arrow keys' src='{address}/{RELIEF}'></iframe>"
            "<figcaption>2.5D: turn it</figcaption></figure>"
        )
    else:
        facts.append(f"no 2.5D page: {made.relief}")
    names = ["video.mp4", "depth.mp4", "side_by_side.mp4", "sheet.png", "report.json"]
    names += [RELIEF] if isinstance(made.relief, Path) else []
    links = " · ".join(f"<a href='{address}/{n}' download='{n}'>{n}</a>" for n in names)
    return (
        f"<div class='made'>{''.join(figures)}</div><p>{escape('; '.join(facts))}.</p>"
        f"<p>Save: {links}. Depth as 16-bit PNG and EXR is in {escape(str(made.folder))}/depth.</p>"
    )


def model_line(name: str, info: ModelInfo) -> str:
    """What the page generates with."""
    unit = "relative, without a unit" if info.depth.near is None else "in metres"
    what = "the person" if info.depth.kind == "person" else "the whole frame"
    size = f"{info.size}x{info.size}"
    return (
        f"<p>By the model <b>{escape(name)}</b>: {size} pixels, {info.frames} frames at a time, "
        f"depth of {what}, {unit}.</p>"
    )


def _mark(report: dict) -> str:
    mark = report["watermark"]
    if mark is None:
        return "without the invisible mark"
    return f"the invisible mark is {'' if mark['read_back']['marked'] else 'not '}readable"


def _depth_title(report: dict) -> str:
    return "Depth, near is dark" if report["outputs"]["depth_kind"] == "person" else "Depth"


def _video(address: str, title: str) -> str:
    return (
        f"<figure><video src='{address}' aria-label='{title}' controls loop muted autoplay "
        f"playsinline></video><figcaption>{title}</figcaption></figure>"
    )


def _data(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
