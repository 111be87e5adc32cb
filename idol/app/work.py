"""Work that is watched and stopped from elsewhere, and what is kept between two pieces of it."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from idol.app.form import as_command, parsed
from idol.config.generate import is_clip
from idol.errors import IdolError
from shards.errors import ShardsError
from shards.files.atomic import atomic_file, write_atomically
from shards.files.digest import canonical_json, parse_json, sha256_file
from shards.files.locks import LOCK, Taken, exclusive
from shards.files.system_errors import explain

if TYPE_CHECKING:
    from idol.config.generate import GenerateConfig
    from idol.generate.inputs.options import Annotation
    from idol.generate.inputs.values import Motion, Person
    from idol.generate.pipeline import IdolPipeline
    from idol.generate.progress import Advance, Stages

__all__ = ["Asked", "Job", "Made", "Stopped", "Told", "Workshop"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_INPUTS = "inputs"
_MAKING = ".making-"  # before a folder's name, while it is made: which uploads were copied for it
_NUMBER, _COPY = re.compile(r"[0-9]{4,}"), re.compile(r"[0-9a-f]{16}/[^/]+")
_WAIT = 0.1  # seconds between two looks at whether to stop
# What a person and a motion depend on.
_READ_FROM = (
    *("photo", "person_mask", "background", "background_mask", "driving", "skeletons", "fps"),
    *("start_frame", "frames", "force", "weights"),
)


class Stopped(Exception):
    """The visitor asked for it to stop."""


@dataclasses.dataclass(frozen=True)
class Told:
    """How far the work is: in the stage `stage`, `done` of `of`; of 0 where nobody knows."""

    stage: str = "waiting"
    done: int = 0
    of: int = 0


class Job(Generic[_T]):
    """Work in a thread of its own; `work` is given what it has to tell its stages to."""

    def __init__(self, work: Callable[[Job[_T]], _T]) -> None:
        self.told = Told()
        self._stop = threading.Event()
        self._done = threading.Event()
        self._result: list[_T] = []
        self._error: BaseException | None = None
        threading.Thread(target=self._run, args=(work,), daemon=True).start()

    def _run(self, work: Callable[[Job[_T]], _T]) -> None:
        try:
            self._result.append(work(self))
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()

    def stop(self) -> None:
        """Have it raise `Stopped` when it next tells how far it is."""
        self._stop.set()

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, after so long at most."""
        return self._done.wait(seconds)

    def result(self) -> _T:
        """What it made. Raises what it raised."""
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._result[0]

    def check(self) -> None:
        """Raises Stopped where it is to stop."""
        if self._stop.is_set():
            raise Stopped

    @contextmanager
    def stage(self, name: str, done: int = 0) -> Iterator[Advance]:
        """As `idol.generate.progress.Stages` is told."""

        def advance(finished: int, of: int) -> None:
            self.told = Told(name, finished, of)
            self.check()

        self.told = Told(name, done)
        self.check()
        yield advance


@dataclasses.dataclass(frozen=True)
class Asked:
    """A video that is asked for.

    Attributes:
        arguments: the command line, for a folder that it is made in.
        copies: by an uploaded file's path where these look for it (`Workshop.place`).
    """

    arguments: Callable[[Path], Sequence[str]]
    copies: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Made:
    """A finished video.

    Attributes:
        folder: of its files; `report`: what its report.json says.
        command: makes it again, beside it.
        relief: its 2.5D page; or why there is none.
    """

    folder: Path
    report: dict[str, Any]
    command: str
    relief: Path | str


class Workshop:
    """Where videos are made, one at a time, in folders of their own below `out`.

    What annotators found in a photo and a video, and the model, are kept for the next video.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self._turn = threading.Lock()
        self._read = _Last(_read)
        self._load = _Last(_load)
        self._warming = False
        self._jobs: set[Job[Any]] = set()
        self._closed = False

    def close(self, seconds: float) -> None:
        """Stop all work, and wait so long for what it leaves to be removed."""
        self._closed = True
        until = time.monotonic() + seconds
        for job in (jobs := [*self._jobs]):
            job.stop()
        for job in jobs:
            job.wait(max(0, until - time.monotonic()))

    def sweep(self) -> None:
        """Remove what was left of unfinished work by a server that was killed."""
        for mark in self.out.glob(f"{_MAKING}*.json"):
            # Where another server makes it, or there are no locks to tell, it stays.
            with contextlib.suppress(Taken, OSError), exclusive(_lock_of(mark), wait=False):
                if mark.is_file():
                    self._remove_unfinished(mark)

    def _remove_unfinished(self, mark: Path) -> None:
        folder = self.out / mark.stem.removeprefix(_MAKING)
        try:
            said = [str(copy) for copy in parse_json(mark.read_bytes())["copies"]]
        except (ValueError, KeyError, TypeError):
            said = []
        if _NUMBER.fullmatch(folder.name) and not (folder / "report.json").is_file():
            _remove(folder, [self.out / _INPUTS / copy for copy in said if _COPY.fullmatch(copy)])
        mark.unlink()

    def warm_up(self, model: Path) -> None:
        """Import what is slow to import, and load the model, while the visitor still looks."""

        def load() -> None:
            try:
                with contextlib.suppress(Exception):  # of which the first video complains
                    import torch

                    import idol.generate.run  # noqa: F401

                    self._loaded(model, dtype=torch.float32)
            finally:
                self._warming = False
                self._turn.release()

        self._turn.acquire()
        self._warming = True
        threading.Thread(target=load, daemon=True).start()

    def place(self, upload: str) -> Path:
        """Where a copy of an uploaded file stays, so that the command can be run again."""
        return self.out / _INPUTS / sha256_file(Path(upload))[:16] / Path(upload).name

    def new_folder(self) -> Path:
        """An empty folder with the next free number."""
        self.out.mkdir(parents=True, exist_ok=True)
        taken = [int(p.name[:4]) for p in self.out.iterdir() if p.name[:4].isdecimal()]
        number = max(taken, default=0) + 1
        while True:
            folder = self.out / f"{number:04}"
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
            else:
                return folder

    def preview(self, asked: Asked, job: Job[bytes]) -> bytes:
        """The preview's PNG; nothing is left.

        Raises as `idol.generate.run.generate` does, and Stopped.
        """
        with self._alone(job), self._folder(asked.copies) as folder:
            config, annotators = parsed([*asked.arguments(folder), "--preview"])
            return self._generate(config, annotators, job).read_bytes()

    def make(self, asked: Asked, job: Job[Made]) -> Made:
        """The video; nothing is left unless it is whole.

        Raises as `idol.generate.run.generate` does, and Stopped.
        """
        with self._alone(job), self._folder(asked.copies, keep=True) as folder:
            config, annotators = parsed(asked.arguments(folder))
            report = self._generate(config, annotators, job)
            job.told = Told("2.5D")
            relief = _relief(folder)
        again = folder.with_name(f"{folder.name}-again")
        return Made(
            folder, parse_json(report.read_bytes()), as_command(asked.arguments(again)), relief
        )

    @contextmanager
    def _alone(self, job: Job[Any]) -> Iterator[None]:
        self._jobs.add(job)
        try:
            while not self._turn.acquire(timeout=_WAIT):
                job.told = Told("starting" if self._warming else "waiting")
                job.check()
            try:
                job.told = Told("starting")
                job.check()
                if self._closed:
                    raise Stopped
                yield
            finally:
                self._turn.release()
        finally:
            self._jobs.discard(job)

    @contextmanager
    def _folder(self, copies: Mapping[str, str], *, keep: bool = False) -> Iterator[Path]:
        """A new one, and uploads at their places; it and those that were not there before go
        afterwards unless kept, on any error, and when the next server starts after a kill."""
        folder = self.new_folder()
        new = [Path(place) for place in copies.values() if not Path(place).exists()]
        mark = self.out / f"{_MAKING}{folder.name}.json"
        with exclusive(_lock_of(mark), optional=True):
            said = [place.relative_to(self.out / _INPUTS).as_posix() for place in new]
            write_atomically(mark, canonical_json({"copies": said}))
            done = False
            try:
                for upload, place in copies.items():
                    if not Path(place).exists():
                        with atomic_file(Path(place)) as unfinished:
                            shutil.copyfile(upload, unfinished)
                yield folder
                done = keep
            finally:
                if not done:
                    _remove(folder, new)
                mark.unlink(missing_ok=True)

    def _generate(self, config: GenerateConfig, annotators: Annotation, stages: Stages) -> Path:
        from idol.generate.run import generate

        def read(
            config: GenerateConfig, annotators: Annotation, stages: Stages, device: str
        ) -> tuple[Person, Motion]:
            key = [repr(getattr(config, name)) for name in _READ_FROM]
            key += [repr(annotators.asked), device]
            for given in (config.photo, config.driving):
                if given is not None and is_clip(given):
                    key.append(_stamp(Path(given.rpartition("::")[0])))
            return self._read(tuple(key), config, annotators, stages, device)

        return generate(config, annotators, stages, read=read, load=self._loaded)

    def _loaded(self, folder: Path, *, dtype: Any) -> IdolPipeline:
        pipeline: IdolPipeline = self._load(
            (str(folder), str(dtype), _stamp(folder)), folder, dtype
        )
        return pipeline


def _lock_of(mark: Path) -> Path:
    """Held by who makes what the mark is of."""
    return mark.with_suffix(LOCK)


def _remove(folder: Path, copies: Iterable[Path]) -> None:
    """Remove a video's folder, and copies of uploads with their folders, as far as they are
    empty."""
    for path in copies:
        path.unlink(missing_ok=True)
        for above in (path.parent, path.parent.parent):
            with contextlib.suppress(OSError):  # others' uploads are in it
                above.rmdir()
    shutil.rmtree(folder, ignore_errors=True)


class _Last:
    """Calls a function, unless it was last called with the same key."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._kept: tuple[Any, Any] | None = None

    def __call__(self, key: Any, *arguments: Any) -> Any:
        if self._kept is None or self._kept[0] != key:
            self._kept = None  # two models at a time might not fit into memory
            self._kept = key, self._function(*arguments)
        return self._kept[1]


def _read(*arguments: Any) -> Any:
    from idol.generate.run import read_inputs

    return read_inputs(*arguments)


def _load(folder: Path, dtype: Any) -> Any:
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    from idol.generate.loading import load_pipeline

    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()
    return load_pipeline(folder, dtype=dtype)


def _relief(folder: Path) -> Path | str:
    """The page that `idol-render` makes of a video, in a folder beside it; or why it cannot.

    Whatever the reason, the video is whole, and stays.
    """
    from idol.config.render import RenderConfig
    from idol.render.run import render

    out = folder.with_name(f"{folder.name}-2.5d")
    try:
        [page] = render(RenderConfig(video=str(folder), out=out, write=("page",), overwrite=True))
    except MemoryError:
        return "there is not enough memory for the 2.5D page of this video"
    except (IdolError, ShardsError, OSError, ValueError) as error:
        return explain(error)
    except Exception as error:
        _log.exception("the 2.5D page met an error that it does not know")
        return f"{type(error).__name__}: {error}: the terminal says more"
    return page


def _stamp(path: Path) -> str:
    """Changes where a file or a folder's files were written anew; of what is not local, always."""
    if not path.exists():
        return secrets.token_hex()
    files = [path, *path.rglob("*")] if path.is_dir() else [path]
    stats = [(str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in sorted(files)]
    return repr(stats)
