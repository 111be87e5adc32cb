"""The page: what is filled in, what its buttons do, and what they show."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from idol.app import views
from idol.app.clips import motion_strip, offered_clips, person_picture
from idol.app.form import Form, FormError, Setting, Settings, settings
from idol.app.shelf import Shelf
from idol.app.work import Asked, Job, Made, Stopped, Told, Workshop
from idol.config.app import AppConfig
from idol.errors import IdolError
from idol.generate.inputs.clip import read_clip
from idol.model_info import ModelInfo
from shards.command import as_typed
from shards.errors import ShardsError
from shards.files.system_errors import explain

__all__ = ["Page"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_PHOTO, _VIDEO, _CLIP = "A photo", "A video", "A clip of a dataset"
_FILES = ("photo", "person_mask", "background", "background_mask", "driving")
# Seconds between two looks at uploads, and for how long they are there to be used.
_SWEPT, _KEPT = 600, 24 * 3600
_EVERY = 0.25  # seconds between two looks at how far the work is
_VIDEOS = ["upload"]
# As they were uploaded: made RGB, 16 bits would be cut off, and what is transparent be shown.
_IMAGE: dict[str, Any] = {
    "type": "filepath", "image_mode": None, "sources": ["upload", "clipboard"],
}  # fmt: skip
_MISTAKES = (IdolError, ShardsError, OSError, ValueError)  # as for the command
_EVENT: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


class Page:
    """Builds the page with `blocks`; one for all visitors, whose work is told apart by session."""

    def __init__(self, config: AppConfig, info: ModelInfo, name: str, shelf: Shelf) -> None:
        self._config = config
        self._model = views.model_line(name, info)
        self._shelf = shelf
        self._settings: Settings = settings()
        self._clips = offered_clips(config.clips)
        self._workshop = Workshop(config.out)
        self._jobs: dict[str | None, Job[Any]] = {}

    def warm_up(self, model: Path) -> None:
        """Load the model while the visitor still looks."""
        self._workshop.warm_up(model)

    def sweep(self) -> None:
        """Remove what a server that was killed left unfinished."""
        self._workshop.sweep()

    def close(self, seconds: float) -> None:
        """Stop all work, and wait so long for what it leaves to be removed."""
        self._workshop.close(seconds)

    def blocks(self) -> gr.Blocks:
        """The page, for Gradio to show."""
        with gr.Blocks(
            title="IDOL: a moving person with depth",
            analytics_enabled=False,
            delete_cache=(_SWEPT, _KEPT),
        ) as page:
            gr.HTML(f"<h1>A moving person, with depth</h1>{self._model}")
            with gr.Row():
                with gr.Column(scale=5, min_width=320):
                    inputs = self._inputs()
                with gr.Column(scale=6, min_width=320):
                    self._work(inputs)
        return page

    def _inputs(self) -> list[Any]:
        """In the order in which `_asked` takes them."""
        offered = self._clips
        moves, person = (offered[0], offered[min(1, len(offered) - 1)]) if offered else (None, None)
        start = _CLIP if offered else _PHOTO
        with gr.Group():
            person_kind = gr.Radio([_PHOTO, _CLIP], value=start, label="Who is to move")
            with gr.Column(visible=not offered) as of_photo:
                photo = gr.Image(
                    label="Photo that shows them whole", height=240, alt_text="The photo", **_IMAGE
                )  # fmt: skip
                with gr.Accordion("Mask and another background", open=False):
                    mask = gr.Image(
                        label="Mask of the photo's size, white where the person is; found unless "
                        "given",
                        height=160, alt_text="The mask", **_IMAGE,
                    )  # fmt: skip
                    background = gr.Image(
                        label="Background; the photo's own unless given", height=160,
                        alt_text="The background", **_IMAGE,
                    )  # fmt: skip
                    hole = gr.Image(
                        label="Of the background, white where it is not to be shown",
                        height=160, alt_text="The background's mask", **_IMAGE,
                    )  # fmt: skip
            with gr.Column(visible=bool(offered)) as of_clip:
                person_clip = self._dropdown("Clip, as DATASET::KEY", person)
                shown = gr.HTML(self._picture_of_person(person))
        with gr.Group():
            motion_kind = gr.Radio(
                [_VIDEO, _CLIP], value=_CLIP if offered else _VIDEO, label="How they are to move"
            )
            with gr.Column(visible=not offered) as of_video:
                video = gr.Video(label="Video of somebody who moves", sources=_VIDEOS, height=240)
            with gr.Column(visible=bool(offered)) as of_motion:
                motion_clip = self._dropdown("Clip, as DATASET::KEY", moves)
                strip = gr.HTML(self._picture_of_motion(moves))
        person_kind.change(_shown(_PHOTO), person_kind, [of_photo, of_clip], **_EVENT)
        motion_kind.change(_shown(_VIDEO), motion_kind, [of_video, of_motion], **_EVENT)
        person_clip.change(self._picture_of_person, person_clip, shown, **_EVENT)
        motion_clip.change(self._picture_of_motion, motion_clip, strip, **_EVENT)
        chosen = [_component(setting) for setting in self._settings.first]
        with gr.Accordion("More settings", open=False):
            chosen += [_component(setting) for setting in self._settings.more]
        with gr.Accordion("How photos and videos are annotated", open=False):
            chosen += [_component(setting) for setting in self._settings.annotators]
        files = [photo, mask, background, hole, video]
        return [person_kind, person_clip, motion_kind, motion_clip, *files, *chosen]

    def _dropdown(self, label: str, value: str | None) -> gr.Dropdown:
        return gr.Dropdown(
            self._clips, value=value, label=label, allow_custom_value=self._config.loopback
        )

    def _work(self, inputs: list[Any]) -> None:
        with gr.Row():
            look = gr.Button("Preview", elem_id="preview")
            make = gr.Button("Generate", variant="primary", elem_id="generate")
            stop = gr.Button("Cancel", interactive=False, elem_id="cancel")
        stage = gr.HTML(elem_id="stage")
        bar = gr.HTML(elem_id="bar")
        sheet = gr.HTML(elem_id="sheet")
        made = gr.HTML(elem_id="made")
        command = gr.Textbox(
            label="The same from a command line, to the byte", lines=3, interactive=False,
            buttons=["copy"], visible=False, elem_id="command",
        )  # fmt: skip
        buttons = [look, make, stop]
        look.click(
            self._preview, inputs, [*buttons, stage, bar, sheet], concurrency_limit=None, **_EVENT
        )
        make.click(
            self._make, inputs, [*buttons, stage, bar, made, command],
            concurrency_limit=None, **_EVENT,
        )  # fmt: skip
        stop.click(self._cancel, [], [], queue=False, **_EVENT)

    def _asked(self, given: Sequence[Any]) -> Asked:
        """Raises FormError for what is missing or cannot be read."""
        person_kind, person_clip, motion_kind, motion_clip, *rest = given
        names = (setting.name for setting in self._settings.all)
        from_clip, moved_by_clip = person_kind == _CLIP, motion_kind == _CLIP
        uploads = {
            name: upload
            for name, upload in zip(_FILES, rest[:5], strict=True)
            if upload and not (moved_by_clip if name == "driving" else from_clip)
        }
        copies = {upload: str(self._workshop.place(upload)) for upload in uploads.values()}
        form = Form(
            **{name: copies[upload] for name, upload in uploads.items()},
            person_clip=self._allowed(person_clip) if from_clip else None,
            driving_clip=self._allowed(motion_clip) if moved_by_clip else None,
            settings=dict(zip(names, rest[5:], strict=True)),
        )
        config = self._config

        def arguments(out: Path) -> list[str]:
            return form.arguments(
                self._settings, out=out, model=config.model, weights=config.weights
            )

        arguments(config.out)  # complain before any work
        return Asked(arguments, copies)

    def _allowed(self, clip: str | None) -> str | None:
        """Raises FormError for what others may not read: any file of this machine."""
        if clip and clip not in self._clips and not self._config.loopback:
            raise FormError(f"{clip} is none of the clips that this page offers")
        return clip

    def _preview(self, request: gr.Request, *given: Any) -> Iterator[Any]:
        def work(job: Job[bytes]) -> bytes:
            return self._workshop.preview(self._asked(given), job)

        for *shown, png in self._watched(request, Job(work)):
            yield *shown, "" if png is None else views.preview(png)

    def _make(self, request: gr.Request, *given: Any) -> Iterator[Any]:
        def work(job: Job[Made]) -> Made:
            return self._workshop.make(self._asked(given), job)

        for *shown, made in self._watched(request, Job(work)):
            if made is None:
                yield *shown, "", gr.update(value="", visible=False)
            else:
                address = self._shelf.put(made.folder, made.relief)
                command = gr.update(value=made.command, visible=True)
                yield *shown, views.result(made, address), command

    def _watched(self, request: gr.Request, job: Job[_T]) -> Iterator[tuple[Any, ...]]:
        """What the three buttons, the line of the stage and the bar show, and what was made, if it
        is. A visitor who leaves stops their work, and so does one who asks for other work before
        the buttons know of the first; what is shown is the last one's."""
        before = self._jobs.get(request.session_hash)
        self._jobs[request.session_hash] = job
        if before is not None:
            before.stop()
        try:
            with closing(_followed(job)) as followed:
                for *shown, made in followed:
                    is_last = self._jobs.get(request.session_hash) is job
                    yield *(shown if is_last else [gr.update()] * len(shown)), made
        finally:
            if self._jobs.get(request.session_hash) is job:  # what it made takes memory
                del self._jobs[request.session_hash]

    def _cancel(self, request: gr.Request) -> None:
        if (job := self._jobs.get(request.session_hash)) is not None:
            job.stop()

    def _picture_of_person(self, clip: str | None) -> str:
        return self._picture(clip, person_picture, "The clip's person")

    def _picture_of_motion(self, clip: str | None) -> str:
        return self._picture(clip, motion_strip, "The clip's motion")

    def _picture(self, clip: str | None, draw: Callable[..., bytes | None], alt: str) -> str:
        if not clip:
            return ""
        try:
            return views.picture(draw(read_clip(self._allowed(clip) or "")), alt)
        except _MISTAKES as error:
            return views.error(as_typed(explain(error)))


def _followed(job: Job[_T]) -> Generator[tuple[Any, ...], None, None]:
    """As `Page._watched`, of one job, which is stopped when nobody follows it any more."""
    told, began, first = job.told, time.monotonic(), 0
    try:
        while not job.wait(_EVERY):
            if job.told.stage != told.stage:
                began, first = time.monotonic(), job.told.done
            told = job.told
            bar = views.progress(told, first, time.monotonic() - began)
            yield *_buttons(working=True), views.said(told), bar, None
        made = job.result()
        yield *_buttons(working=False), views.said(Told("done")), "", made
    except Stopped:
        where = f" after step {told.done} of {told.of}" if told.stage == "denoising" else ""
        line = views.done(f"Cancelled{where}. Nothing was written.")
        yield *_buttons(working=False), line, "", None
    except _MISTAKES as error:
        yield *_buttons(working=False), views.error(as_typed(explain(error))), "", None
    except Exception as error:
        _log.exception("the page met an error that it does not know")
        line = views.error(
            f"{type(error).__name__}: {error}. This is a mistake of the program: the terminal "
            "says more"
        )
        yield *_buttons(working=False), line, "", None
    finally:
        job.stop()


def _buttons(*, working: bool) -> tuple[Any, Any, Any]:
    """Preview and Generate, or Cancel."""
    rest = gr.update(interactive=not working)
    return rest, rest, gr.update(interactive=working)


def _shown(first: str) -> Callable[[str], tuple[Any, Any]]:
    """Shows one of two columns, as chosen."""
    return lambda kind: (gr.update(visible=kind == first), gr.update(visible=kind != first))


def _component(setting: Setting) -> Any:
    about: dict[str, Any] = {"label": setting.label, "info": setting.help, "value": setting.usual}
    if setting.kind == "switch":
        return gr.Checkbox(**about)
    if setting.kind == "choice":
        none = [("as usual", "")] if setting.usual is None else []
        choices = none + [(choice, choice) for choice in setting.choices]
        return gr.Dropdown(choices, **{**about, "value": setting.usual or ""})
    if setting.kind == "text" or setting.usual is None:  # a number field cannot be empty
        return gr.Textbox(**about, max_lines=1)
    step = 1 if setting.kind == "whole number" else 0.1
    return gr.Number(**about, step=step)
