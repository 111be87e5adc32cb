"""What a worker does with a task: frames in, encoded samples or quarantined clips out.

A worker knows the recipe and its task, never the plan, which may be of millions of clips.
"""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType

from pipelines.plan import Task
from pipelines.recipe import Recipe
from pipelines.tracebacks import of_error
from pipelines.window import Window
from preprocess.annotate import ClipRequest, Limits, Survey, annotate, survey
from preprocess.annotators.spec import Hardware
from preprocess.errors import ClipError, InputError
from preprocess.frames import Frame
from preprocess.load import load
from preprocess.provenance import Provenance
from preprocess.shots import Shot
from preprocess.sources.reasons import without_source
from preprocess.sources.values import Video
from shards.manifest import Quarantined
from shards.sample.clip import Clip
from shards.sample.codec import Members, encode_clip
from shards.sample.keys import make_key
from shards.threads import Answer, Threads

__all__ = ["Made", "Outcome", "Setup", "Worker", "survey_name"]

# Clips after a task's to whose frames its reader can go on.
_FOLLOWING = 256

Made = tuple[str, Members] | Quarantined
"""What became of a clip: its key and members, ready for a tar, or why there are none."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task's clips, by their places in the shard; no byte of them is in it.

    `made` are those that were given away as samples.
    """

    made: tuple[int, ...]
    quarantined: Mapping[int, Quarantined] = field(default_factory=dict)
    survey_seconds: float = 0.0
    clips_seconds: float = 0.0


@dataclass(frozen=True)
class Setup:
    """What a worker needs besides its tasks: the recipe, where the source lies, external files,
    hardware, and who makes what."""

    recipe: Recipe
    source: Path
    weights: Path | None
    hardware: Hardware
    made_by: Provenance


class Worker:
    """Annotators loaded once, for as many tasks as there are.

    Raises InputError when weights are missing.
    """

    def __init__(self, setup: Setup) -> None:
        self._recipe = setup.recipe
        self._source = setup.source
        self._annotators = load(
            setup.recipe,
            setup.weights,
            hardware=setup.hardware,
            records=setup.made_by.records,
        )
        # One clip is compressed, and frames of the next are read, while one is annotated. One
        # thread each for all tasks: where one ends, Python functions run in which Ctrl-C would be
        # printed and forgotten.
        self._encoder, self._reader = Threads(1, "encoder"), Threads(1, "reader")
        self._window: tuple[tuple[str, Shot], Window] | None = None
        self._surveys: dict[tuple[str, Shot], Survey] = {}
        # PyAV's frames and their side data hold each other: megabytes that only the collection of
        # cycles frees, which counts objects and comes too late. `run` has it done after each task,
        # and what is here already, such as a plan of millions of clips, is not gone through.
        gc.collect()
        gc.freeze()

    def run(
        self,
        task: Task,
        *,
        given_up: Mapping[str, str] = MappingProxyType({}),
        careful: bool = False,
        starting: Callable[[str], None] = lambda key: None,
        made: Callable[[int, Made], None] = lambda place, made: None,
    ) -> Outcome:
        """Make the task's clips. A clip's own failure quarantines it and nothing else.

        `given_up` maps keys that must not be tried to the reason; their frames are not even read.
        `careful`: no frame is read before its clip is begun, so that whatever ends this process is
        that clip's doing. `starting` is called with the key of each clip before it is tried, and
        with that of the shot's survey before that; `made` with each clip and its place as soon as
        it is encoded, also with those that were when Ctrl-C came.
        """
        video = task.video
        keys = [make_key(self._recipe.dataset, video.id, first) for first in task.first_frames]
        places = dict(zip(keys, task.places, strict=True))
        wanted = {
            key: self._recipe.frame_indices(first)
            for key, first in zip(keys, task.first_frames, strict=True)
            if key not in given_up
        }
        quarantined: dict[int, Quarantined] = {}
        encoding: dict[str, tuple[Clip, Answer[Members]]] = {}

        def done(key: str, what: Made) -> None:
            if isinstance(what, Quarantined):
                quarantined[places[key]] = what
            made(places[key], what)

        def quarantine(key: str, reason: str | Exception) -> None:
            if isinstance(reason, str):
                done(key, Quarantined(key, video.id, reason, "killed"))
                return
            text = self._without_paths(_one_line(reason))
            if isinstance(reason, ClipError):
                done(key, Quarantined(key, video.id, text))
                return
            kind = "memory" if isinstance(reason, MemoryError) else "error"
            where = self._without_paths(of_error(reason))
            done(key, Quarantined(key, video.id, f"{type(reason).__name__}: {text}", kind, where))

        def collect(*, wait: bool) -> None:
            while encoding and (wait or next(iter(encoding.values()))[1].ready()):
                key = next(iter(encoding))
                clip, answer = encoding.pop(key)
                try:
                    try:
                        members = answer.take()
                    except MemoryError:
                        members = frames.in_calm(partial(encode_clip, clip))
                except Exception as error:
                    quarantine(key, error)
                else:
                    done(key, (key, members))

        surveying = survey_name(task)
        if surveying in given_up:
            given_up = dict.fromkeys(
                wanted, f"the survey of its shot {given_up[surveying]}"
            ) | dict(given_up)
            wanted = {}
        if self._window is not None and self._window[0] != (video.id, task.shot):
            self._window = None
        began = time.perf_counter()
        shared: Survey | Exception | None = None
        if wanted:
            starting(surveying)
            shared = self._try_survey(video, task.shot)
        surveyed = time.perf_counter()
        frames = self._frames_of(task, sorted(set().union(*wanted.values())), careful or given_up)
        try:
            for key in keys:
                collect(wait=False)
                if key in given_up:
                    quarantine(key, given_up[key])
                    continue
                starting(key)
                try:
                    taken = frames.take(wanted[key])
                    clip = frames.in_calm(partial(self._make, key, task, taken, shared))
                except InputError:
                    raise  # the set-up is wrong, not this clip
                except Exception as error:
                    quarantine(key, error)
                else:
                    encoding[key] = clip, self._encoder.ask(encode_clip, clip)
            collect(wait=True)
        except BaseException as error:
            self._window = None
            if isinstance(error, KeyboardInterrupt):
                collect(wait=True)
            raise
        gc.collect()
        return Outcome(
            tuple(place for place in task.places if place not in quarantined),
            quarantined,
            survey_seconds=surveyed - began,
            clips_seconds=time.perf_counter() - surveyed,
        )

    def _frames_of(self, task: Task, indices: list[int], one_by_one: object) -> Window:
        """The task's frames, of the shot's window where it goes on with them."""
        video, recipe = task.video, self._recipe
        # What is true of rendered frames is asked for beside them, of the same renderer.
        if one_by_one or not indices or video.truth is not None:
            return Window(video.reader, indices, None)
        if self._window is None or not self._window[1].continues(indices):
            # The shot's next clips as well: their task may come here, and goes on reading then.
            following = range(
                task.first_frames[-1] + recipe.clip_stride,
                task.shot.last - recipe.span + 2,
                recipe.clip_stride,
            )[:_FOLLOWING]
            more = set().union(*map(recipe.frame_indices, following))
            window = Window(video.reader, sorted(more.union(indices)), self._reader)
            self._window = (video.id, task.shot), window
        self._window[1].reach(indices[-1])
        return self._window[1]

    def _try_survey(self, video: Video, shot: Shot) -> Survey | Exception:
        """That of the shot; the last two are kept, since a shot's tasks follow each other."""
        known = self._surveys.get((video.id, shot))
        if known is not None:
            return known
        try:
            made = survey(video, shot, self._annotators, self._recipe.size)
        except InputError:
            raise
        except Exception as error:
            return error  # every clip of the shot fails by it
        if len(self._surveys) > 1:
            del self._surveys[next(iter(self._surveys))]
        self._surveys[video.id, shot] = made
        return made

    def _make(
        self, key: str, task: Task, frames: list[Frame], shared: Survey | Exception | None
    ) -> Clip:
        if not isinstance(shared, Survey):
            raise shared or AssertionError("no survey was made")
        recipe = self._recipe
        indices = tuple(frame.index for frame in frames)
        request = ClipRequest(key, recipe.dataset, task.split, indices, task.shot)
        return annotate(
            request,
            task.video,
            frames,
            shared,
            self._annotators,
            size=recipe.size,
            limits=Limits(
                recipe.min_person_frames, recipe.min_reference, recipe.max_background_shift
            ),
        )

    def _without_paths(self, text: str) -> str:
        return without_source(text, self._source)


def survey_name(task: Task) -> str:
    """What the survey of a task's shot is called where clips go by their keys."""
    return f"survey of shot {task.shot.number} of {task.video.id}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
