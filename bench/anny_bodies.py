"""Ground truth for the lite depth: `anny` bodies in motion, ray cast, with BlazePose's 33 points.

Needs an environment with `anny==0.6.2` (which brings torch and warp): its bodies come with the
wheel, so nothing is downloaded. Camera axes everywhere: x right, y down, z away, in metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

try:
    import anny
    import torch
    import warp as wp
except ImportError as error:
    raise SystemExit(
        f"{error}. This script renders ground truth with anny, which the project does not "
        "depend on: `pip install anny==0.6.2 opencv-python-headless` into an environment of its "
        "own, and run it there from the repository's root with PYTHONPATH=.:bench"
    ) from None

from anny_scenes import Scene, rotation

from preprocess.annotators.lite.depth import BodyPose

FPS = 30.0


@dataclass(frozen=True, eq=False)
class Sequence:
    """A rendered motion of T frames of S x S pixels.

    `depth`   (T, S, S) float32, metres along the viewing axis relative to the mid-hip, NaN outside.
    `mask`    (T, S, S) uint8, 0 or 255.
    `points`  (T, 33, 3) float32, x and y in pixels, z (metres) relative to the mid-hip.
    `world`   (T, 33, 3) float32, metres relative to the mid-hip.
    `height`  the standing person's height in pixels.
    """

    name: str
    depth: np.ndarray
    mask: np.ndarray
    points: np.ndarray
    world: np.ndarray
    height: float


@wp.kernel
def _cast(
    mesh: wp.uint64,  # type: ignore[valid-type]
    origin: wp.vec3,  # type: ignore[valid-type]
    directions: wp.array(dtype=wp.vec3),  # type: ignore[valid-type]
    depth: wp.array(dtype=wp.float32),  # type: ignore[valid-type]
):
    i = wp.tid()
    hit = wp.mesh_query_ray(mesh, origin, directions[i], 20.0)
    # Directions have z = 1, so the unit of the ray's parameter is depth along the viewing axis.
    if hit.result:
        depth[i] = hit.t


class Renderer:
    """Poses and ray casts one `anny` model; made once, it takes seconds (minutes on first use)."""

    def __init__(self) -> None:
        wp.config.quiet = True
        torch.set_num_threads(1)
        self.model = anny.Anny().to(dtype=torch.float32)
        self.coco = anny.KeypointsRegressor.coco(self.model)
        self.faces = wp.array(self.model.faces.numpy().astype(np.int32).ravel(), dtype=wp.int32)

    def pose(self, scene: Scene, frames: int) -> tuple[np.ndarray, np.ndarray, float]:
        """(T, V, 3) vertices and (T, 33, 3) points in the model's axes; the height in metres."""
        labels = self.model.bone_labels
        pose = torch.eye(4)[None, None].repeat(frames + 1, len(labels), 1, 1)
        for t in range(frames):
            u = t / max(1, frames - 1)
            angles = scene.motion(scene.start + scene.cycles * u)
            angles["root"] = rotation("z", scene.yaw + scene.turn * u)
            for bone, r in angles.items():
                pose[t, labels.index(bone), :3, :3] = torch.from_numpy(r)
        with torch.no_grad():
            out = self.model(pose_parameters=pose, phenotype_kwargs=scene.body)
            coco = self.coco(out).numpy()
        vertices = out["vertices"].numpy()
        points = self._blazepose(coco, out["bone_poses"][..., :3, 3].numpy(), vertices)
        height = float(np.ptp(vertices[-1, :, 2]))
        return vertices[:-1], points[:-1], height

    def _blazepose(self, coco: np.ndarray, bones: np.ndarray, vertices: np.ndarray) -> np.ndarray:
        """BlazePose's 33 points; the last frame must be the rest pose (heels are found there)."""
        c = {name: coco[:, i] for i, name in enumerate(self.coco.labels)}
        b = {name: bones[:, i] for i, name in enumerate(self.model.bone_labels)}
        rest = vertices[-1]

        def vertex(x: float, y: float, z: float) -> np.ndarray:
            return vertices[:, np.linalg.norm(rest - [x, y, z], axis=1).argmin()]

        nose, left_eye, right_eye = c["nose"], c["left_eye"], c["right_eye"]
        mouth = nose[-1] + [0, 0.01, -0.04]
        points = [nose, *[left_eye] * 3, *[right_eye] * 3, c["left_ear"], c["right_ear"]]
        points += [vertex(mouth[0] + dx, mouth[1], mouth[2]) for dx in (0.025, -0.025)]
        for joint in ("shoulder", "elbow", "wrist"):
            points += [c[f"left_{joint}"], c[f"right_{joint}"]]
        for bone in ("finger5-1", "finger2-1", "finger1-2"):
            points += [b[f"{bone}.L"], b[f"{bone}.R"]]
        for joint in ("hip", "knee", "ankle"):
            points += [c[f"left_{joint}"], c[f"right_{joint}"]]
        floor = rest[:, 2].min()
        for side in ("L", "R"):
            ankle = b[f"foot.{side}"][-1]
            points.append(vertex(ankle[0], ankle[1] + 0.06, floor + 0.01))
        points += [b["toe2-2.L"], b["toe2-2.R"]]
        return np.stack(points, axis=1)

    def render(self, scene: Scene, frames: int = 16, size: int = 256) -> Sequence:
        """Ray cast `scene`; the standing person fills about four fifths of the image's height."""
        vertices, points, height = self.pose(scene, frames)
        hips = points[:, 23:25].mean(axis=1)
        focal = 0.8 * size * scene.distance / height
        to_camera = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=np.float64)
        # One still camera: it looks at where the body is in the middle of the sequence.
        middle = vertices[frames // 2]
        aim = np.array([hips[:, 0].mean(), hips[:, 1].mean(), 0.5 * np.ptp(middle[:, 2])])
        aim[2] = 0.5 * (middle[:, 2].min() + middle[:, 2].max())
        pitch = np.degrees(np.arctan2(scene.camera_height, scene.distance))
        view = rotation("x", pitch) @ to_camera
        origin = -view @ aim + [0, 0, scene.distance]
        in_camera = vertices @ view.T + origin
        joints = points @ view.T + origin
        mid_hip = joints[:, 23:25].mean(axis=1, keepdims=True)

        v, u = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
        centre = 0.5 * (size - 1)
        rays = np.stack([(u - centre) / focal, (v - centre) / focal, np.ones_like(u)], -1)
        directions = wp.array(rays.reshape(-1, 3).astype(np.float32), dtype=wp.vec3)
        depth = np.empty((frames, size, size), dtype=np.float32)
        for t in range(frames):
            mesh = wp.Mesh(wp.array(in_camera[t].astype(np.float32), dtype=wp.vec3), self.faces)
            hit = wp.array(np.full(size * size, np.nan, np.float32), dtype=wp.float32)
            wp.launch(
                _cast,
                dim=size * size,
                inputs=[mesh.id, wp.vec3(0.0, 0.0, 0.0), directions, hit],
                device="cpu",
            )
            depth[t] = hit.numpy().reshape(size, size) - mid_hip[t, 0, 2]
        pixels = joints[..., :2] / joints[..., 2:] * focal + centre
        world = joints - mid_hip
        return Sequence(
            scene.name,
            depth,
            np.where(np.isnan(depth), 0, 255).astype(np.uint8),
            np.concatenate([pixels, world[..., 2:]], axis=-1).astype(np.float32),
            world.astype(np.float32),
            focal * height / scene.distance,
        )


def observe(
    sequence: Sequence,
    seed: int,
    image_noise: float = 0.015,
    world_noise: float = 0.035,
    drift: float = 0.015,
) -> list[BodyPose]:
    """What a pose network might say of `sequence`: its joints with noise, seeded.

    `image_noise` is the standard deviation on each image axis as a fraction of the body's height;
    `world_noise` that on each world axis in metres, white; `drift` that of a further world error
    which changes slowly (correlation .9 from frame to frame). Occluded points get visibility .5.
    """
    rng = np.random.default_rng(seed)
    frames, _, _ = sequence.points.shape
    shape = sequence.world.shape
    slow = np.empty(shape)
    slow[0] = rng.normal(0, drift, shape[1:])
    for t in range(1, frames):
        slow[t] = 0.9 * slow[t - 1] + np.sqrt(1 - 0.9**2) * rng.normal(0, drift, shape[1:])
    world = sequence.world + slow + rng.normal(0, world_noise, shape)
    world -= world[:, 23:25].mean(axis=1, keepdims=True)
    xy = sequence.points[..., :2] + rng.normal(
        0, image_noise * sequence.height, (frames, shape[1], 2)
    )
    size = sequence.mask.shape[1]
    poses = []
    for t in range(frames):
        x, y = np.clip(np.rint(sequence.points[t, :, :2]), 0, size - 1).astype(int).T
        surface = sequence.depth[t, y, x]
        hidden = np.isnan(surface) | (sequence.points[t, :, 2] > surface + 0.15)
        landmarks = np.column_stack([xy[t], np.where(hidden, 0.5, 0.95)])
        poses.append(BodyPose(landmarks.astype(np.float32), world[t].astype(np.float32)))
    return poses
