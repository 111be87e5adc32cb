"""Rendered videos as readers of frames, with the truth beside them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preprocess.frames import Frame
from preprocess.sources.people.spec import PeopleSpec
from preprocess.truth import Truth
from shards.files.digest import canonical_json, sha256

if TYPE_CHECKING:
    import numpy as np

    from preprocess.sources.people.render import Picture, Renderer

__all__ = ["RENDERER", "RenderedVideo"]

# Raised whenever the same spec gives other pictures or another truth.
RENDERER = 5

_BATCH = 8  # frames whose bones are posed together
_KEPT = 48  # pictures kept, so that frames and their truth are rendered once


@dataclass(frozen=True)
class RenderedVideo:
    """Video number `number` of a spec. Nothing is stored: any frame is rendered when asked."""

    spec: PeopleSpec
    number: int
    pictures: tuple[Path, ...] = ()
    contents: str = ""  # digest of `pictures`, of which frames depend

    def read(self, indices: Sequence[int]) -> Iterator[Frame]:
        """Raises InputError where the extra `people` is not installed."""
        for index, picture in self._rendered(indices):
            yield Frame(index, picture.rgb, index / self.spec.fps)

    def times(self) -> Sequence[float]:
        return [index / self.spec.fps for index in range(self.spec.frames)]

    def truth(self, indices: Sequence[int]) -> Iterator[Truth]:
        """Of the same frames, which are not rendered again for it."""
        for _, picture in self._rendered(indices):
            yield picture.truth

    def flow(self, index: int, following: int) -> tuple[np.ndarray, np.ndarray] | None:
        """None beyond the video's end."""
        if following >= self.spec.frames:
            return None
        return _renderer(self).flow(index, following)

    def about(self) -> Mapping[str, Any]:
        """Of whom it is, what they wear and do, and where."""
        return _renderer(self).world.about

    def _rendered(self, indices: Sequence[int]) -> Iterator[tuple[int, Picture]]:
        for start in range(0, len(indices), _BATCH):
            batch = indices[start : start + _BATCH]
            missing = [i for i in batch if (self, i) not in _pictures]
            if missing:
                made = _renderer(self).pictures(missing)
                _pictures.update({(self, i): p for i, p in zip(missing, made, strict=True)})
            for index in batch:
                _pictures.move_to_end((self, index))
                yield index, _pictures[self, index]
            while len(_pictures) > _KEPT:
                _pictures.popitem(last=False)

    def fingerprint(self) -> str:
        """Of the spec, but for how many videos it asks; and of the renderer."""
        said = self.spec.model_dump(mode="json", exclude={"videos", "pictures"})
        return sha256(canonical_json([RENDERER, said, self.number, self.contents]))

    def __hash__(self) -> int:
        return hash((id(type(self)), self.number, self.spec.seed))


_pictures: OrderedDict[tuple[RenderedVideo, int], Picture] = OrderedDict()


@lru_cache(maxsize=4)
def _renderer(video: RenderedVideo) -> Renderer:
    from preprocess.sources.people.render import Renderer
    from preprocess.sources.people.world import make_world

    return Renderer(make_world(video.spec, video.number, video.pictures), video.spec.fps)
