"""Meshes, EXR and videos are opened by other libraries, and hold what they say."""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager

import av
import numpy as np
import OpenEXR
import plyfile
import pytest
import trimesh

from idol.render.files import place_depth, write_exr, write_rgbd
from idol.render.meshes import write_glb, write_ply
from idol.render.turntable import path_of, write_turntable
from tests.idol.render.scenes import SIDE, footage, relief, two_layers


def decoded(path) -> tuple[np.ndarray, dict[str, str], float]:
    with av.open(str(path)) as container:
        rate = float(container.streams.video[0].average_rate)
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        return np.stack(frames), dict(container.metadata), rate


def test_depth_lies_under_colours_of_odd_sides(tmp_path, monkeypatch):
    made = relief(footage(2, 97, 65))
    shown = []

    @contextmanager
    def kept(*_):
        yield shown.append

    monkeypatch.setattr("idol.render.files.mp4_writer", kept)
    write_rgbd(tmp_path / "a.mp4", made, "record3d")
    assert len(shown) == 2
    for frame, alpha in zip(shown, made.alpha, strict=True):
        assert frame.shape == (66, 2 * 98, 3)
        assert alpha.shape == (65, 97)
        assert np.array_equal(frame[:65, :97].max(-1) > 0, alpha >= 128)


def test_a_ply_holds_the_person_in_metres(tmp_path):
    made = dataclasses.replace(relief(), generated=True)
    triangles = write_ply(tmp_path / "a.ply", made, 0)
    data = plyfile.PlyData.read(str(tmp_path / "a.ply"))
    assert len(data["face"]) == triangles == 2 * (made.z[0] > 0).sum()
    assert "unit: metres" in data.comments
    assert any("synthetic" in comment for comment in data.comments)
    mesh = trimesh.load(tmp_path / "a.ply", process=False)
    there = made.z[0] > 0
    # y up and z towards the camera.
    assert -mesh.vertices[:, 2].max() == pytest.approx(made.z[0][there].min(), abs=0.01)
    assert -mesh.vertices[:, 2].min() == pytest.approx(made.z[0][there].max(), abs=0.01)
    rows = np.nonzero(there)[0]
    top = (0.5 - rows.min() / SIDE) * 2 * made.camera.half_height * made.z[0][there].min()
    assert mesh.vertices[:, 1].max() == pytest.approx(top, rel=0.05)
    # Faces look at the camera, which is on the side of +z.
    assert (mesh.face_normals[:, 2] > 0).mean() > 0.99
    assert mesh.visual.vertex_colors.shape == (len(mesh.vertices), 4)
    hidden = relief(two_layers())
    more = write_ply(tmp_path / "b.ply", hidden, 0)
    assert more > 2 * (hidden.z[0] > 0).sum()


def test_a_glb_holds_both_layers_with_their_pictures(tmp_path):
    made = relief()
    triangles = write_glb(tmp_path / "a.glb", made, 1)
    scene = trimesh.load(tmp_path / "a.glb")
    assert set(scene.geometry) == {"person", "place"}
    assert sum(len(mesh.faces) for mesh in scene.geometry.values()) == triangles
    person = scene.geometry["person"]
    material = person.visual.material
    assert material.alphaMode == "BLEND"
    assert material.baseColorTexture.size == (SIDE, SIDE)
    # A vertex's place in the picture is where the camera sees it.
    x, y, z = (person.vertices * (1, -1, -1)).T
    u = x / (2 * made.camera.half_width * z) + 0.5
    v = y / (2 * made.camera.half_height * z) + 0.5
    np.testing.assert_allclose(person.visual.uv[:, 0], u, atol=1e-4)
    np.testing.assert_allclose(1 - person.visual.uv[:, 1], v, atol=1e-4)
    nobody = np.zeros((2, SIDE, SIDE), np.uint8)
    nobody[0] = 255 * (footage().mask[0] > 0)
    write_glb(tmp_path / "b.glb", relief(footage(mask=nobody)), 1)
    assert set(trimesh.load(tmp_path / "b.glb").geometry) == {"place"}


def test_an_exr_holds_depth_without_gaps(tmp_path):
    made = relief()
    write_exr(tmp_path / "a.exr", made, 0)
    with OpenEXR.File(str(tmp_path / "a.exr"), separate_channels=True) as file:
        channels = {name: channel.pixels for name, channel in file.channels().items()}
        assert "metres" in file.header()["comments"]
    inside = made.alpha[0] == 255
    np.testing.assert_array_equal(channels["Z"][inside], made.z[0][inside])
    np.testing.assert_allclose(channels["Z"][~inside], place_depth(made)[~inside])
    assert np.isfinite(channels["Z"]).all()
    np.testing.assert_array_equal(channels["A"][inside], 1)


def test_colour_and_depth_lie_side_by_side(tmp_path):
    made = dataclasses.replace(relief(), generated=True)
    told = write_rgbd(tmp_path / "a.mp4", made, "looking-glass")
    frames, metadata, rate = decoded(tmp_path / "a.mp4")
    assert frames.shape == (2, SIDE, 2 * SIDE, 3)
    assert rate == 10
    assert "synthetic" in metadata["comment"]
    assert np.abs(frames[0][:, :SIDE].astype(int) - made.frames[0]).mean() < 6
    grey = frames[0][:, SIDE:].astype(float).mean(-1) / 255
    depth = told["far"] - grey * (told["far"] - told["near"])
    inside = made.alpha[0] == 255
    assert np.abs(depth - made.z[0])[inside].mean() < 0.02
    write_rgbd(tmp_path / "b.mp4", relief(), "record3d")
    frames, metadata, _ = decoded(tmp_path / "b.mp4")
    assert "comment" not in metadata  # footage is not said to be generated
    assert np.abs(frames[0][:, SIDE:].astype(int) - made.frames[0]).mean() < 6
    hue = frames[0][:, :SIDE].astype(int)
    assert hue[~(made.z[0] > 0)].max() < 60
    # 3 m is all the way round: red again.
    assert (hue[inside].argmax(-1) == 0).mean() > 0.9


def test_videos_of_odd_sides_are_made_even(tmp_path):
    made = relief(footage(1, 31, 45))
    write_rgbd(tmp_path / "a.mp4", made, "looking-glass")
    assert decoded(tmp_path / "a.mp4")[0].shape == (1, 46, 64, 3)


def test_a_turntable_swings_there_and_back(tmp_path):
    pytest.importorskip("warp")
    made = relief()
    views = list(path_of(made, 15, 1.0))
    assert len(views) == 10
    assert [frame for frame, _, _ in views] == [0, 1] * 5
    yaws = [yaw for _, yaw, _ in views]
    assert max(yaws) == pytest.approx(15, abs=1)
    assert min(yaws) == pytest.approx(-15, abs=1)
    assert yaws[0] == 0
    steps = np.diff([*yaws, yaws[0]])
    assert abs(steps).max() < 15  # the end goes over into the beginning
    told = write_turntable(
        tmp_path / "a.mp4", made, swing=15, seconds=0.4, size=64, samples=1, depth_scale=1.0
    )
    frames, metadata, _ = decoded(tmp_path / "a.mp4")
    assert frames.shape == (4, 64, 64, 3)
    assert told["pictures"] == 4
    assert "comment" not in metadata
