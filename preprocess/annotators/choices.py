"""Which annotators make a dataset, as one plain value: importing it loads no library."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from typing_extensions import Doc

from preprocess.annotators.lite.spec import LITE_PERSON, Tracking
from preprocess.annotators.registry import ANNOTATORS, NONE, OPTIONS, find, named
from preprocess.annotators.spec import (
    Chosen,
    Modality,
    Settings,
    SourceImages,
    options_of,
    person_mistake,
)
from shards.files.home import expanded

__all__ = ["AnnotatorChoice"]

_Option = Literal["mask", "pose", "depth", "normals", "flow"]


@dataclass(frozen=True)
class _Named:
    """Who makes each modality; "none" leaves it out."""

    mask: Annotated[
        str,
        Doc(f"Who makes the person masks: {', '.join(named('mask'))}; source: the dataset's own."),
    ] = "lite"
    pose: Annotated[str, Doc(f"Who finds the key points: {', '.join(named('pose'))}.")] = "lite"
    depth: Annotated[
        tuple[str, ...],
        Doc(
            f"Who makes the depth: {', '.join(named('depth'))}; or two, one of the person and one "
            "of the whole frame, as in hdnet midas. Lite depth is derived from the pose, not "
            "measured."
        ),
    ] = ("lite",)
    normals: Annotated[
        str, Doc("Whose surface normals of people: source, of rendered people, or none.")
    ] = NONE
    flow: Annotated[
        str,
        Doc("Whose optical flow to the clip's next frame: source, of rendered people, or none."),
    ] = NONE
    densepose: Annotated[
        str | None,
        Doc(
            "DensePose for annotators that read it: a folder with IUV images, "
            "{video id}/*.png, one a frame"
            + "".join(f"; or a {s.parameter}" for s in ANNOTATORS if s.option == "densepose")
        ),
    ] = None


@dataclass(frozen=True)
class AnnotatorChoice(*OPTIONS, Settings, _Named):  # type: ignore[misc]
    """Which annotator makes each modality, and with which options: those of all are fields."""

    @property
    def chosen(self) -> dict[Modality, Chosen]:
        """Who makes what; `person` is the lite tracker, where anything or the crop needs it.

        Names that `mistakes` complains of are left out.
        """
        made: dict[Modality, Chosen] = {}
        more = (self._found("normals"), self._found("flow"))
        for found in (self._found("mask"), self._found("pose"), self._depths(), *more):
            for chosen in found:
                made |= dict.fromkeys(chosen.spec.fills, chosen)
        if densepose := self._densepose(made):
            made["densepose"] = densepose
        if self._crop_tracks(made) or any(_tracks(chosen, made) for chosen in made.values()):
            pose = made.get("pose")
            details = pose is not None and pose.spec.needs_tracker and self.hands_and_face
            made = {"person": Chosen(LITE_PERSON, self, Tracking(details)), **made}
        return made

    @property
    def depths(self) -> tuple[Chosen, ...]:
        """The depth annotators, that of the person first, however they were given."""
        return tuple(self._depths())

    @property
    def networks(self) -> bool:
        """Whether networks run that a GPU speeds up."""
        return any(chosen.spec.gpu for chosen in self.chosen.values())

    @property
    def reads(self) -> tuple[SourceImages, ...]:
        """What is read of the source besides its frames."""
        made = self.chosen
        read = dict.fromkeys(chosen.spec.reads for chosen in made.values())
        return tuple(images for images in read if images and images.of not in made)

    def mistakes(self) -> Iterator[str]:
        """What is unknown or cannot be combined, one line each, beginning with a field's name."""
        for field, choices in _choices(type(self)).items():
            if (value := getattr(self, field)) not in choices:
                yield f"{field} must be {_either(choices)}, not {value}"
        if not self.depth:
            yield "depth is empty; use none to leave it out"
        named_here = {
            "mask": (self.mask,),
            "pose": (self.pose,),
            "depth": self.depth,
            "normals": (self.normals,),
            "flow": (self.flow,),
        }
        for option, names in named_here.items():
            for name in names:
                if name != NONE and not find(option, name):
                    yield f"{option} must be {_either(named(option))}, not {name}"
        if NONE in self.depth and len(self.depth) > 1:
            yield f"depth {NONE} cannot be combined with others, as in {' '.join(self.depth)}"
        else:
            yield from self._made_twice()
        if self.mask == NONE:
            for chosen in self.depths:
                if chosen.spec.needs_mask:
                    yield f"depth {chosen.name} is that of the person: it needs a mask, not none"
        if self.grey == "near-white" and "depth_frame" not in self.chosen:
            yield "grey near-white is of depth of the whole frame, which no chosen depth makes"
        if wrong := person_mistake(self.person):
            yield wrong
        for chosen in dict.fromkeys(self.chosen.values()):
            if chosen.spec.options:
                yield from chosen.options.mistakes()
        yield from self._too_many_people()

    def _made_twice(self) -> Iterator[str]:
        makers: dict[Modality, str] = {}
        for chosen in self._found("depth"):
            for modality in chosen.spec.fills:
                if modality in makers:
                    yield f"depth {makers[modality]} and {chosen.name} both make {modality}"
                    return
                makers[modality] = chosen.name

    def _too_many_people(self) -> Iterator[str]:
        if self.people != "all":
            return
        able = _either(list(dict.fromkeys(s.name for s in ANNOTATORS if s.finds_people)))
        made = self.chosen
        looking = [made[m] for m in ("mask", "pose") if m in made]
        single = [chosen.spec for chosen in looking if chosen.spec.needs_tracker]
        if single:
            options = " and ".join(spec.option for spec in single)
            yield (
                f"people all: {single[0].name} tracks a single person; choose another {options}, "
                f"of {able}"
            )
        elif not any(chosen.spec.finds_people for chosen in looking):
            yield f"people all: no chosen annotator finds people; choose {able}"

    def _crop_tracks(self, made: dict[Modality, Chosen]) -> bool:
        """Whether only the lite tracker can say where the person is."""
        if self.crop == "video":
            looking = [made[m].spec for m in ("mask", "pose") if m in made]
            return not any(spec.finds_people or spec.reads for spec in looking)
        # Where rendered people are is known.
        known = any(c.spec.reads and c.spec.reads.of == "truth" for c in made.values())
        return self.crop == "subject" and not known

    def _found(self, option: _Option) -> list[Chosen]:
        names = self.depth if option == "depth" else (getattr(self, option),)
        return [
            Chosen(spec, self, options_of(spec, self), parameter)
            for name in names
            for spec, parameter in find(option, name)
        ]

    def _depths(self) -> list[Chosen]:
        return sorted(self._found("depth"), key=lambda chosen: chosen.spec.whole_frame)

    def _densepose(self, made: dict[Modality, Chosen]) -> Chosen | None:
        """An annotator of the frames, where `densepose` is no folder and an annotator reads it."""
        wanted = any(c.spec.reads and c.spec.reads.of == "densepose" for c in made.values())
        if not wanted or self.densepose is None or expanded(self.densepose).is_dir():
            return None
        specs = [spec for spec in ANNOTATORS if spec.option == "densepose"]
        return Chosen(specs[0], self, options_of(specs[0], self), self.densepose) if specs else None


def _choices(kind: type) -> dict[str, tuple[Any, ...]]:
    """The dataclass's fields that take one of some words, with these words."""
    hints = get_type_hints(kind)
    return {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Literal}


def _tracks(chosen: Chosen, made: dict[Modality, Chosen]) -> bool:
    """Whether the annotator reads what the lite tracker gives."""
    if chosen.spec.needs_boxes:
        return "mask" not in made or made["mask"].spec.needs_tracker
    return chosen.spec.needs_tracker


def _either(names: Sequence[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
