"""Looking for the cuts of a source's videos before anything is planned, several at a time."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any

from pipelines.recipe import Recipe
from pipelines.spread import OnCluster
from preprocess.cut_scan import cuts_of, known_cuts
from preprocess.errors import ClipError
from preprocess.shots import Break, gap_breaks
from preprocess.sources.values import Spread, Unreadable, Video
from preprocess.sources.videos import in_turn

__all__ = ["Scan"]

# Frames for which starting processes would take longer than looking at them here.
_FEW = 3000
_POLL = 0.1  # seconds

_Found = Sequence[Break] | Unreadable


class Scan:
    """`pipelines.plan.FindBreaks` of a recipe: gaps in time, and cuts where it asks for them.

    No video is looked at that the recipe's `limit` does not need. `on_frames` is told how many more
    frames have been looked at; with fewer than two `processes` that is done in this one.
    """

    def __init__(
        self,
        recipe: Recipe,
        processes: int,
        on_frames: Callable[[int], None] = lambda frames: None,
        spread: Spread = in_turn,
    ) -> None:
        self._recipe = recipe
        self._processes = processes
        self._on_frames = on_frames
        self._spread = spread

    def __call__(self, videos: Sequence[Video]) -> Iterator[Sequence[Break] | Unreadable]:
        cuts = self._cuts(videos) if self._recipe.finds_cuts else ([] for _ in videos)
        gaps_of = partial(gap_breaks, max_gap=self._recipe.max_gap)
        # With a limit few videos are needed, and which ones is known as their cuts are.
        near = self._recipe.limit is not None
        gaps = map(gaps_of, videos) if near else self._spread(gaps_of, videos)
        for found_gaps, found in zip(gaps, cuts, strict=True):
            yield found if isinstance(found, Unreadable) else [*found_gaps, *found]

    def _cuts(self, videos: Sequence[Video]) -> Iterator[_Found]:
        sure = self._surely_needed(videos)
        if isinstance(self._spread, OnCluster) and not self._few_frames(videos[:sure]):
            for video, found in zip(videos, self._spread(_looked, videos[:sure]), strict=False):
                self._on_frames(video.frames)
                yield found
            yield from map(self._here, videos[sure:])
            return
        if self._processes < 2 or sure < 2 or self._few_frames(videos[:sure]):
            yield from map(self._here, videos)
            return
        done = 0
        try:
            with _Pool(min(self._processes, sure), self._on_frames) as pool:
                for video, future in pool.start(videos[:sure]):
                    yield _result(video, future)
                    done += 1
        except BrokenProcessPool:  # a decoder crashed: it is found by looking at one at a time
            pass
        for video in videos[done:sure]:
            try:
                with _Pool(1, self._on_frames) as pool:
                    ((_, future),) = pool.start([video])
                    yield _result(video, future)
            except BrokenProcessPool as error:
                yield _failed(video, error)
        yield from map(self._here, videos[sure:])

    def _surely_needed(self, videos: Sequence[Video]) -> int:
        """How many of the first videos the limit needs even if there is no cut in them."""
        if self._recipe.limit is None:
            return len(videos)
        clips = 0
        for count, video in enumerate(videos, 1):
            span, stride = self._recipe.span, self._recipe.clip_stride
            clips += len(range(0, video.frames - span + 1, stride))
            if clips >= self._recipe.limit:
                return count
        return len(videos)

    def _few_frames(self, videos: Sequence[Video]) -> bool:
        new = 0
        for video in videos:
            if known_cuts(video) is None:
                new += video.frames
            if new > _FEW:
                return False
        return True

    def _here(self, video: Video) -> _Found:
        return _looked(video, self._on_frames)


def _looked(video: Video, on_frames: Callable[[int], None] = lambda frames: None) -> _Found:
    """Its cuts, or why they cannot be looked for; for any machine."""
    try:
        return cuts_of(video, on_frames)
    except Exception as error:
        return _failed(video, error)


def _result(video: Video, future: "Future[list[Break]]") -> _Found:
    try:
        return future.result()
    except BrokenProcessPool:
        raise
    except Exception as error:
        return _failed(video, error)


def _failed(video: Video, error: Exception) -> Unreadable:
    """Without its cuts known its clips might lie across them, for ever: it gives none."""
    why = str(error) if isinstance(error, ClipError) else f"{type(error).__name__}: {error}"
    return Unreadable(video.id, f"its cuts could not be looked for: {why}")


class _Pool:
    """Processes that look at videos. When the block is left they stop, whatever they are at."""

    def __init__(self, processes: int, on_frames: Callable[[int], None]) -> None:
        # Forked processes would inherit locks of threads that they do not have.
        context = multiprocessing.get_context("spawn")
        self._on_frames = on_frames
        self._told = 0
        self._stop, self._frames = context.Event(), context.Value("Q", 0)
        self._processes = processes
        self._executor = ProcessPoolExecutor(
            processes, context, initializer=_begin, initargs=(self._stop, self._frames)
        )

    def __enter__(self) -> "_Pool":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._executor.shutdown(cancel_futures=True)

    def start(self, videos: Sequence[Video]) -> Iterator[tuple[Video, "Future[list[Break]]"]]:
        """Each video with its result, which is there, in order; few are begun ahead of it."""
        ahead: deque[tuple[Video, Future[list[Break]]]] = deque()
        rest = iter(videos)
        while True:
            while len(ahead) < 2 * self._processes and (video := next(rest, None)) is not None:
                ahead.append((video, self._executor.submit(_cuts_of, video)))
            if not ahead:
                return
            video, future = ahead.popleft()
            while not _ends(future):
                self._tell()
            self._tell()
            yield video, future

    def _tell(self) -> None:
        frames = self._frames.value
        self._on_frames(frames - self._told)
        self._told = frames


def _ends(future: "Future[list[Break]]") -> bool:
    """Whether it is done within a moment."""
    try:
        future.exception(timeout=_POLL)
    except TimeoutError:
        return False
    return True


_shared: dict[str, Any] = {}


class _Stopped(Exception):
    """The pool ends."""


def _begin(stop: Any, frames: Any) -> None:
    """In each of the pool's processes."""
    import signal

    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command is interrupted, and ends them
    cv2.setNumThreads(1)
    _shared.update(stop=stop, frames=frames)


def _cuts_of(video: Video) -> list[Break]:
    def on_frames(frames: int) -> None:
        with _shared["frames"].get_lock():
            _shared["frames"].value += frames
        if _shared["stop"].is_set():
            raise _Stopped

    return cuts_of(video, on_frames)
