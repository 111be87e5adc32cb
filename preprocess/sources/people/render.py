"""Pictures of a world, and the truth about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from preprocess.sources.people.body import template
from preprocess.sources.people.camera import View
from preprocess.sources.people.joints import joints_of
from preprocess.sources.people.layers import Layer, Samples
from preprocess.sources.people.lighting import Shadow, under_feet
from preprocess.sources.people.posture import pose_bones
from preprocess.sources.people.rasterize import Buffer, mix, places, skin
from preprocess.sources.people.rotations import unit
from preprocess.sources.people.stage import Backdrop
from preprocess.sources.people.world import Seat, World
from preprocess.truth import Truth
from shards.sample.keypoints import OPENPOSE_134

__all__ = ["Picture", "Renderer"]

_TIMES = 3  # samples a pixel, each way: the middle one is at the pixel's centre
_STAGE_TIMES = 2
_NOBODY, _THING = 0, 255  # owners of samples that are no person
# A joint is this far under the skin, at most, where it is seen: metres.
_UNDER_SKIN = 0.13
_FACE_UNDER = 0.045


@dataclass(frozen=True, eq=False)
class Picture:
    """A frame and what is true of it.

    `rgb` (H, W, 3) uint8; `view` the camera.
    """

    rgb: np.ndarray
    truth: Truth
    view: View


@dataclass(frozen=True, eq=False)
class _Moment:
    """All people at one moment: of each layer vertices and normals, and joints in the world."""

    layers: tuple[tuple[tuple[np.ndarray, np.ndarray], ...], ...]
    joints: np.ndarray  # (P, 134, 3)


class Renderer:
    """Of one world. What does not move is looked at once."""

    def __init__(self, world: World, fps: float) -> None:
        self.world = world
        self._fps = fps

    def pictures(self, frames: Sequence[int]) -> list[Picture]:
        """The pictures of these frames, by their numbers from 0."""
        return [
            self.picture(moment, t) for moment, t in zip(self._moments(frames), frames, strict=True)
        ]

    def _moments(self, frames: Sequence[int]) -> list[_Moment]:
        shared = template()
        times = np.asarray(frames, np.float64) / self._fps
        posed = [
            pose_bones(p.motion.posture(times), p.body, p.rig, shared) for p in self.world.people
        ]
        moments = []
        for t in range(len(times)):
            of_people, joints = [], []
            for person, (heads, transforms) in zip(self.world.people, posed, strict=True):
                layers = tuple(
                    skin(layer.rest, layer.normals, layer.weights, layer.influences, transforms[t])
                    for layer in person.layers
                )
                of_people.append(layers)
                joints.append(joints_of(layers[0][0], heads[t]))
            moments.append(_Moment(tuple(of_people), np.stack(joints)))
        return moments

    def flow(self, frame: int, other: int) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 2) float32 pixels from a frame to another; (H, W) bool, still seen there."""
        now, after = self._moments([frame, other])
        view, following = (self.world.camera.at(t / self._fps) for t in (frame, other))
        seen = self._see(now, view)
        there = self._see(after, following)
        backdrop = self._backdrop(view, 1)
        middle = slice(_TIMES // 2, None, _TIMES)
        depth = np.minimum(seen.depth[middle, middle], backdrop.depth)[..., None]
        target = following.project(view.place + view.rays(1) * depth.astype(np.float64))
        moved = self._moved(seen, after, following)
        owner = seen.owner[middle, middle]
        on_people = (owner != _NOBODY) & (owner != _THING)
        target[on_people] = moved[middle, middle][on_people]
        height, width = on_people.shape
        grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)
        flow = (target[..., :2] - grid).astype(np.float32)
        nearest = there.depth[middle, middle]
        nearest = np.minimum(nearest, self._backdrop(following, 1).depth)
        x, y = np.rint(target[..., 0]).astype(int), np.rint(target[..., 1]).astype(int)
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        found = nearest[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
        return flow, inside & (abs(found - target[..., 2]) < 0.02 * target[..., 2] + 0.03)

    def picture(self, moment: _Moment, frame: int) -> Picture:
        view = self.world.camera.at(frame / self._fps)
        seen = self._see(moment, view)
        shadow = self._shadow(moment)
        colour, in_camera = self._paint(seen, moment, view, shadow)
        behind = self._backdrop(view, _STAGE_TIMES)
        height, width = view.height, view.width
        stage = shadow.on_stage(behind)
        stage = stage * under_feet(behind.points, moment.joints)[:, None]
        stage = stage.reshape(height * _STAGE_TIMES, width * _STAGE_TIMES, 3)
        stage = cv2.resize(stage, (width, height), interpolation=cv2.INTER_AREA)
        covered = seen.owner != _NOBODY
        share = _mean(covered.astype(np.float32))
        front = _mean(colour)  # black where nobody is
        linear = front + (1 - share)[..., None] * stage
        rgb = np.clip(_to_srgb(linear), 0, 1)
        rgb = np.rint(rgb * 255).astype(np.uint8)

        count = len(self.world.people)
        masks = np.stack([_mean((seen.owner == p + 1).astype(np.float32)) for p in range(count)])
        middle = slice(_TIMES // 2, None, _TIMES)
        static = self._backdrop(view, 1).depth
        depth = np.minimum(seen.depth[middle, middle], static)
        own = np.stack([_own_depth(seen, p + 1) for p in range(count)])
        space = (moment.joints - view.place) @ view.turn.T
        projected = view.project(moment.joints)
        defined = np.isfinite(moment.joints).all(-1)
        joints = np.concatenate([projected[..., :2], defined[..., None]], axis=-1)
        joints = np.where(defined[..., None], joints, 0.0)
        hidden = np.stack([self._hidden(p, projected[p], defined[p], seen) for p in range(count)])
        truth = Truth(
            masks=np.rint(masks * 255).astype(np.uint8),
            joints=joints.astype(np.float32),
            space=np.where(defined[..., None], space, 0).astype(np.float32),
            hidden=hidden,
            person=own,
            depth=depth.astype(np.float32),
            normals=in_camera[middle, middle],
            camera=view.truth(),
        )
        return Picture(rgb, truth, view)

    # What is seen through each sample.

    def _see(self, moment: _Moment, view: View) -> _Seen:
        height, width = view.height * _TIMES, view.width * _TIMES
        seen = _Seen(
            np.full((height, width), np.inf, np.float32),
            np.zeros((height, width), np.uint8),
            np.zeros((height, width), np.uint8),
            [],
            [],
        )
        for number, (person, layers) in enumerate(
            zip(self.world.people, moment.layers, strict=True), start=1
        ):
            for layer, (vertices, _) in zip(person.layers, layers, strict=True):
                self._draw(seen, layer, vertices, view, number)
        for seat in self.world.seats:
            self._draw_seat(seen, seat, view)
        return seen

    def _draw_seat(self, seen: _Seen, seat: Seat, view: View) -> None:
        points = view.project(seat.vertices.astype(np.float64))
        points[..., :2] = (points[..., :2] + 0.5) * _TIMES - 0.5
        buffer = Buffer(seen.depth.shape[1], seen.depth.shape[0])
        buffer.draw(points.astype(np.float32), seat.faces)
        nearer = buffer.depth < seen.depth
        seen.depth[nearer] = buffer.depth[nearer]
        seen.owner[nearer] = _THING
        a, b, c = (seat.vertices[seat.faces[buffer.face[nearer], i]] for i in range(3))
        normal = unit(np.cross(b - a, c - a))
        away = ((a - view.place) * normal).sum(-1, keepdims=True) > 0
        normal = np.where(away, -normal, normal)
        light = self.world.stage.light
        lit = np.clip(normal @ light.towards, 0, 1)[:, None] * light.direct + light.ambient * (
            0.7 + 0.2 * normal[:, 2:]
        )
        seen.things.append((nearer, (seat.colour**2.2 * lit).astype(np.float32)))

    def _draw(
        self, seen: _Seen, layer: Layer, vertices: np.ndarray, view: View, owner: int
    ) -> None:
        points = view.project(vertices.astype(np.float64))
        points[..., :2] = (points[..., :2] + 0.5) * _TIMES - 0.5
        points = points.astype(np.float32)
        height, width = seen.depth.shape
        low = np.clip(np.floor(points[:, :2].min(0)).astype(int), 0, [width, height])
        high = np.clip(np.ceil(points[:, :2].max(0)).astype(int) + 1, 0, [width, height])
        if (low >= high).any():
            return
        window = (slice(low[1], high[1]), slice(low[0], high[0]))
        buffer = Buffer(int(high[0] - low[0]), int(high[1] - low[1]))
        points[:, :2] -= low
        buffer.draw(points, layer.faces)
        rows, columns, corners, weights = places(buffer, points, layer.faces)
        samples = Samples(mix(layer.canonical, corners, weights), mix(layer.arm, corners, weights))
        kept = buffer.depth[rows, columns] < seen.depth[window][rows, columns]
        if layer.keeps is not None:
            kept &= layer.keeps(samples)
        rows, columns = rows[kept], columns[kept]
        index = len(seen.parts)
        seen.depth[window][rows, columns] = buffer.depth[rows, columns]
        seen.owner[window][rows, columns] = owner
        seen.layer[window][rows, columns] = index
        seen.parts.append(
            _Part(
                layer, owner - 1, rows + low[1], columns + low[0], corners[kept], weights[kept],
                Samples(samples.canonical[kept], samples.arm[kept]),
            )
        )  # fmt: skip

    def _moved(self, seen: _Seen, after: _Moment, view: View) -> np.ndarray:
        """(H, W, 3) where each sample's bit of a person is at another moment."""
        target = np.zeros((*seen.depth.shape, 3))
        for index, part in enumerate(seen.parts):
            own = seen.layer[part.rows, part.columns] == index
            own &= seen.owner[part.rows, part.columns] == part.person + 1
            which = self.world.people[part.person].layers.index(part.layer)
            vertices = after.layers[part.person][which][0]
            points = mix(vertices, part.corners[own], part.weights[own])
            target[part.rows[own], part.columns[own]] = view.project(points.astype(np.float64))
        return target

    # Light.

    def _paint(
        self, seen: _Seen, moment: _Moment, view: View, shadow: Shadow
    ) -> tuple[np.ndarray, np.ndarray]:
        """Linear RGB of people's and things' samples, and people's normals in the camera's axes."""
        turn = view.turn.T.astype(np.float32)
        colour = np.zeros((*seen.depth.shape, 3), np.float32)
        facing = np.zeros((*seen.depth.shape, 3), np.float32)
        for index, part in enumerate(seen.parts):
            own = seen.layer[part.rows, part.columns] == index
            rows, columns = part.rows[own], part.columns[own]
            if not len(rows):
                continue
            which = self.world.people[part.person].layers.index(part.layer)
            vertices, turned = moment.layers[part.person][which]
            corners, weights = part.corners[own], part.weights[own]
            s = part.samples
            albedo, gloss = part.layer.paint(Samples(s.canonical[own], s.arm[own]))
            albedo = np.clip(albedo, 0, 1).astype(np.float32) ** np.float32(2.2)
            lit, normals = shadow.on_person(
                albedo,
                gloss.astype(np.float32),
                mix(vertices, corners, weights),
                mix(turned, corners, weights),
                view.place,
            )
            colour[rows, columns] = lit
            facing[rows, columns] = normals @ turn
        for where, lit in seen.things:
            colour[where] = lit
        return colour, facing

    def _shadow(self, moment: _Moment) -> Shadow:
        everything, throwing = [], []
        for person, layers in zip(self.world.people, moment.layers, strict=True):
            for layer, (vertices, _) in zip(person.layers, layers, strict=True):
                everything.append(vertices)
                if layer.name == "skin" or layer.keeps is None:  # the rest is close to the skin
                    throwing.append((vertices, layer.faces))
        return Shadow.of(self.world.stage.light, everything, throwing)

    def _backdrop(self, view: View, times: int) -> Backdrop:
        if not self.world.camera.still:
            return self.world.stage.seen(view, times)
        if times not in self._still:
            self._still[times] = self.world.stage.seen(view, times)
        return self._still[times]

    @cached_property
    def _still(self) -> dict[int, Backdrop]:
        return {}

    def _hidden(
        self, person: int, projected: np.ndarray, defined: np.ndarray, seen: _Seen
    ) -> np.ndarray:
        height, width = seen.depth.shape
        x = np.rint((projected[:, 0] + 0.5) * _TIMES - 0.5)
        y = np.rint((projected[:, 1] + 0.5) * _TIMES - 0.5)
        inside = defined & (x >= 0) & (x < width) & (y >= 0) & (y < height)
        column, row = (np.where(inside, v, 0).astype(int) for v in (x, y))
        under = np.full(len(projected), _UNDER_SKIN)
        under[OPENPOSE_134.indices("nose", "left_eye", "right_eye", "left_ear", "right_ear")] = (
            _FACE_UNDER
        )
        visible = projected[:, 2] < seen.depth[row, column] + under
        visible &= seen.owner[row, column] == person + 1
        return ~(inside & visible)


@dataclass(frozen=True, eq=False)
class _Part:
    """What one layer of one person was seen to cover when it was drawn."""

    layer: Layer
    person: int
    rows: np.ndarray
    columns: np.ndarray
    corners: np.ndarray
    weights: np.ndarray
    samples: Samples


@dataclass(frozen=True, eq=False)
class _Seen:
    depth: np.ndarray
    owner: np.ndarray  # uint8: the person's number from 1
    layer: np.ndarray  # uint8: index of the part
    parts: list[_Part]
    things: list[tuple[np.ndarray, np.ndarray]]  # samples of seats, and their linear RGB


def _mean(samples: np.ndarray) -> np.ndarray:
    """From samples to pixels."""
    height, width = samples.shape[0] // _TIMES, samples.shape[1] // _TIMES
    return cv2.resize(samples, (width, height), interpolation=cv2.INTER_AREA)


def _to_srgb(linear: np.ndarray) -> np.ndarray:
    # A soft shoulder instead of a hard end.
    x = np.where(linear > 0.7, 0.7 + 0.3 * np.tanh((linear - 0.7) / 0.5), linear)
    return np.clip(x, 0, 1) ** (1 / 2.2)


def _own_depth(seen: _Seen, owner: int) -> np.ndarray:
    """A person's depth at pixels' centres; where the centre is not theirs, their nearest sample."""
    mine = np.where(seen.owner == owner, seen.depth, np.float32(np.inf))
    centre = mine[_TIMES // 2 :: _TIMES, _TIMES // 2 :: _TIMES]
    nearest = centre
    for dy in range(_TIMES):
        for dx in range(_TIMES):
            nearest = np.minimum(nearest, mine[dy::_TIMES, dx::_TIMES])
    depth = np.where(np.isfinite(centre), centre, nearest)
    return np.where(np.isfinite(depth), depth, np.nan).astype(np.float32)
