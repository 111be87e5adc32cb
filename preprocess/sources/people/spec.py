"""What a file of rendered people says: how many videos, of whom, doing what, seen from where."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from preprocess.errors import InputError
from preprocess.sources.people.clothes import BOTTOMS, TOPS
from preprocess.sources.people.hair import HAIR
from preprocess.sources.people.motion import MOTIONS

__all__ = ["BodyRanges", "CameraRanges", "PeopleSpec", "load_spec"]

STAGES = ("room", "studio", "outdoors", "picture")


def _ordered(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError(f"the range goes from {value[0]:g} down to {value[1]:g}")
    return value


class _Within:
    """Both ends of a range lie between two numbers."""

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = low, high

    def __call__(self, value: tuple[float, float]) -> tuple[float, float]:
        if not all(self._low <= end <= self._high for end in value):
            raise ValueError(f"{list(value)} is not within {self._low:g} to {self._high:g}")
        return value


class _Known:
    """Weights of names that there are."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def __call__(self, value: dict[str, float]) -> dict[str, float]:
        for name, weight in value.items():
            if name not in self._names:
                raise ValueError(f"{name!r} is not one of {', '.join(self._names)}")
            if not 0 <= weight < float("inf"):
                raise ValueError(f"the weight of {name!r} is {weight:g}, not a number from 0 up")
        if not sum(value.values()) > 0:
            raise ValueError("all weights are 0")
        return value


_Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
_Weights = dict[str, float]


_Fraction = Annotated[float, Field(ge=0, le=1)]
_Unit = Annotated[_Range, AfterValidator(_Within(0, 1))]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BodyRanges(_Strict):
    """Ranges of anny's phenotypes: each from 0 to 1; an `age` of .33 is a child, .67 an adult."""

    gender: _Unit = (0.0, 1.0)
    age: _Unit = (0.5, 0.9)
    muscle: _Unit = (0.3, 0.8)
    weight: _Unit = (0.25, 0.8)
    height: _Unit = (0.25, 0.8)
    proportions: _Unit = (0.25, 0.8)


class CameraRanges(_Strict):
    """`distance` and `height` in metres; `focal` as on film of 36 mm width; `pan` degrees a second.

    `fill`: how much of the picture's height a standing person may take.
    """

    distance: Annotated[_Range, AfterValidator(_Within(1.2, 20))] = (1.8, 8.0)
    height: Annotated[_Range, AfterValidator(_Within(0.2, 4))] = (0.6, 2.0)
    focal: Annotated[_Range, AfterValidator(_Within(12, 200))] = (24.0, 70.0)
    fill: Annotated[_Range, AfterValidator(_Within(0.05, 3))] = (0.3, 0.95)
    pan: Annotated[_Range, AfterValidator(_Within(0, 60))] = (0.0, 6.0)
    still: _Fraction = 0.5


class PeopleSpec(_Strict):
    """All that rendered videos depend on. Weights are relative: {walk: 2, sit: 1}."""

    videos: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    seed: Annotated[int, Field(ge=0)] = 0
    width: Annotated[int, Field(ge=32, le=4096)] = 256
    height: Annotated[int, Field(ge=32, le=4096)] = 256
    frames: Annotated[int, Field(ge=1, le=100_000)] = 48
    fps: Annotated[float, Field(gt=0, le=240)] = 25.0
    two_people: _Fraction = 0.15
    facing: Annotated[float, Field(ge=0, le=180)] = 180.0
    """Degrees to either side of the camera to which people may face."""
    skin: _Unit = (0.0, 1.0)
    loose: Annotated[_Range, AfterValidator(_Within(0, 2))] = (0.3, 1.6)
    body: BodyRanges = BodyRanges()
    camera: CameraRanges = CameraRanges()
    motions: Annotated[_Weights, AfterValidator(_Known(*MOTIONS))] = dict.fromkeys(MOTIONS, 1.0)
    tops: Annotated[_Weights, AfterValidator(_Known(*TOPS))] = dict.fromkeys(TOPS, 1.0)
    bottoms: Annotated[_Weights, AfterValidator(_Known(*BOTTOMS))] = dict.fromkeys(BOTTOMS, 1.0)
    hair: Annotated[_Weights, AfterValidator(_Known(*HAIR))] = dict.fromkeys(HAIR, 1.0)
    stages: Annotated[_Weights, AfterValidator(_Known(*STAGES))] = {
        "room": 5,
        "outdoors": 3,
        "studio": 1,
        "picture": 2,
    }
    pictures: Path | None = None
    """Folder of images to stand before, from this file's own folder."""

    @property
    def seconds(self) -> float:
        return self.frames / self.fps


_TOLD = {
    "extra_forbidden": "there is no such setting (docs/people.md has them all)",
    "tuple_type": "must be a range, as in [0.2, 0.8]",
    "model_type": "must be settings by name",
    "model_attributes_type": "must be settings by name",
    "dict_type": "must be weights by name, as in {walk: 2, sit: 1}",
}
"""Mistakes of whose kind pydantic speaks in Python's words."""


class _OnceEach(yaml.SafeLoader):
    """Refuses a mapping with a duplicate key, of which YAML's own reader takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        names = [key.value for key, _ in node.value]
        for place, (key, _) in enumerate(node.value):
            if key.value in names[:place]:
                raise yaml.constructor.ConstructorError(
                    problem=f"duplicate key `{key.value}`", problem_mark=key.start_mark
                )
        return super().construct_mapping(node, deep)


def load_spec(path: Path) -> PeopleSpec:
    """Raises InputError, with all mistakes, for a file that is absent or says something else."""
    try:
        said = yaml.load(path.read_text(), _OnceEach)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    # Of values that are none, such as the date 2026-99-99, YAML's reader raises Python's own.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:
        raise InputError(f"{path} cannot be read as YAML: {error}") from error
    except RecursionError as error:
        raise InputError(f"{path} is nested too deeply to say which people to render") from error
    if said is None:
        said = {}
    if not isinstance(said, Mapping):
        raise InputError(f"{path}: holds no settings by name, as in `videos: 10`")
    try:
        return PeopleSpec.model_validate(said)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, e['loc']))}: "
            f"{_TOLD.get(e['type']) or e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        ]
        raise InputError(f"{path}: " + "; ".join(lines)) from error
