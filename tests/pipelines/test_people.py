"""Rendered people through the whole pipeline: what the shards say is true of their frames."""

import numpy as np
import pytest

from pipelines.build import build, plan_build
from pipelines.compute import Compute
from pipelines.recipe import Recipe
from pipelines.reporter import Reporter
from preprocess.errors import InputError
from preprocess.sources.people.reader import RenderedVideo
from preprocess.sources.people.spec import load_spec
from shards.inspect.verify import verify
from shards.reader import open_dataset
from tests.pipelines.conftest import tree

pytest.importorskip("anny")

TRUE = {
    "dataset": "people",
    "bare": False,
    "mask": "source",
    "pose": "source",
    "depth": ("source",),
    "clip_length": 4,
    "size": 64,
    "val_fraction": 0,
}


def written_spec(folder, videos):
    path = folder / "spec.yaml"
    path.write_text(
        f"{{videos: {videos}, seed: 3, width: 96, height: 80, frames: 5, camera: {{still: 0}}, "
        "two_people: 1}"
    )
    return path


@pytest.fixture
def spec(tmp_path):
    return written_spec(tmp_path, 2)


@pytest.fixture
def one_video(tmp_path):
    return written_spec(tmp_path, 1)


def clips(out):
    return list(open_dataset(out).clips())


@pytest.mark.slow
@pytest.mark.parametrize("people", ["one", "all"])
def test_the_crop_follows_whom_the_truth_shows(spec, run, tmp_path, monkeypatch, people):
    monkeypatch.setenv("IDOL_WEIGHTS", str(tmp_path / "none"))  # no network is asked
    run(spec, tmp_path / "out", crop="subject", people=people, **TRUE)
    found = clips(tmp_path / "out")
    assert len(found) == 2
    for clip in found:
        said = load_spec(spec)
        video = RenderedVideo(said, int(clip.info["video"]))
        truths = list(video.truth(clip.info["frame_indices"]))
        x0, y0, x1, _ = clip.info["crop"]["box"]
        for truth in truths:
            rows, columns = np.nonzero(truth.mask_of(people) > 127)
            assert x0 <= columns.min()
            assert columns.max() < x1
            assert y0 <= rows.min()
        assert clip.info["crop"]["mode"] == "subject"
        assert "person" not in clip.info["annotators"]
        assert clip.keypoints.shape[1] == (2 if people == "all" else 1)


def test_the_camera_is_told_in_pixels_of_the_clip(one_video, run, tmp_path):
    """Depth taken to the world by one frame's camera and to the picture by the next one's: what
    does not move, the floor, falls where the next frame's depth has it."""
    run(one_video, tmp_path / "out", crop="subject", **TRUE)
    for clip in clips(tmp_path / "out"):
        camera = clip.info["camera"]
        assert len(camera["turn"]) == len(camera["place"]) == 4
        depth = clip.depth_in_unit("depth_frame")
        grid = np.stack(np.meshgrid(np.arange(64.0), np.arange(64.0)), -1)
        across = (grid - camera["centre"]) / camera["focal"]
        for t in (0, 3):
            rays = np.concatenate([across, np.ones((64, 64, 1))], -1)
            world = rays * depth[t][..., None] @ np.array(camera["turn"][t]) + camera["place"][t]
            outside = clip.mask[t] == 0
            # Nothing lies under the floor; near people nothing is cut off by the range's end.
            assert np.nanmin(world[outside][:, 2]) > -0.1
        video = RenderedVideo(load_spec(one_video), int(clip.info["video"]))
        for t, truth in enumerate(video.truth(clip.info["frame_indices"])):
            np.testing.assert_allclose(camera["turn"][t], truth.camera.turn, atol=1e-8)
            np.testing.assert_allclose(camera["place"][t], truth.camera.place, atol=1e-5)
            x0, _, x1, _ = clip.info["crop"]["box"]
            assert camera["focal"] == pytest.approx(truth.camera.focal * 64 / (x1 - x0))


def test_joints_in_space_normals_and_flow(one_video, run, tmp_path):
    more = {**TRUE, "clip_length": 2, "frame_step": 2, "crop": "subject", "people": "all"}
    run(one_video, tmp_path / "out", normals="source", flow="source", **more)
    assert list(verify(tmp_path / "out")) == []
    for clip in clips(tmp_path / "out"):
        camera = clip.info["camera"]
        known = clip["joints"][..., 2] > 0
        assert known.sum(-1).min() == 66
        space = clip["joints"][known]
        projected = space[:, :2] / space[:, 2:] * camera["focal"] + camera["centre"]
        np.testing.assert_allclose(clip.keypoints[known][:, :2], projected, atol=0.02)

        there = (clip["normals"] != 128).any(-1)
        assert (clip.mask[there] > 0).mean() > 0.99
        assert there[clip.mask == 255].mean() > 0.95
        normals = clip["normals"][there] / 127.5 - 1
        np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=0.02)
        assert normals[:, 2].mean() < -0.3  # what is seen faces the camera

        # The next frame of the clip is two frames of the video on.
        flow = clip["flow"]
        valid = flow[..., 2] == 1
        assert valid[0].mean() > 0.5
        assert set(np.unique(flow[..., 2])) <= {0, 1}
        depth = clip.depth_in_unit("depth_frame")[0]
        grid = np.stack(np.meshgrid(np.arange(64), np.arange(64)), -1)
        rays = np.concatenate(
            [(grid - camera["centre"]) / camera["focal"], np.ones((64, 64, 1))], -1
        )
        turn, place = np.array(camera["turn"]), np.array(camera["place"])
        world = rays * depth[..., None] @ turn[0] + place[0]
        ahead = (world - place[1]) @ turn[1].T
        moved = ahead[..., :2] / ahead[..., 2:] * camera["focal"] + camera["centre"] - grid
        still = valid[0] & (clip.mask[0] == 0)
        still &= depth < clip.info["depth"]["depth_frame"]["far"] * 0.99
        assert np.median(abs(moved - flow[0, ..., :2])[still]) < 0.1


@pytest.mark.slow
def test_flow_beyond_the_end_is_not_known(spec, run, tmp_path):
    run(spec, tmp_path / "out", flow="source", crop="none", **{**TRUE, "clip_length": 5})
    for clip in clips(tmp_path / "out"):
        assert clip["flow"][3].any()
        assert not clip["flow"][4].any()


def test_only_rendered_people_have_normals_and_flow(videos, run, tmp_path):
    for option in ("normals", "flow"):
        with pytest.raises(InputError, match="truth"):
            run(videos, tmp_path / "out", **{option: "source"})
        with pytest.raises(InputError, match=f"{option} must be source or none, not hdnet"):
            run(videos, tmp_path / "out", **{option: "hdnet"})


@pytest.mark.slow
def test_workers_and_stops_change_no_byte(spec, run, tmp_path, ray_is_up):
    spec.write_text(
        "{videos: 4, seed: 3, width: 64, height: 64, frames: 8, camera: {still: 0.5}, "
        "two_people: 0.5}"
    )
    options = {**TRUE, "crop": "subject", "normals": "source", "flow": "source"}
    for workers in (0, 1, 2):
        run(spec, tmp_path / str(workers), workers=workers, clips_per_shard=3, **options)
    whole = tree(tmp_path / "0")
    assert whole == tree(tmp_path / "1") == tree(tmp_path / "2")
    shards = sorted((tmp_path / "0" / "train").glob("*.tar"))
    assert len(shards) == 3
    shards[0].write_bytes(shards[0].read_bytes()[:1000])
    shards[1].with_suffix(".json").unlink()
    assert run(spec, tmp_path / "0", clips_per_shard=3, **options).shards_made == 2
    assert tree(tmp_path / "0") == whole


@pytest.mark.slow
def test_clips_tried_again_have_the_bytes_of_clips_that_never_failed(spec, run, tmp_path):
    run(spec, tmp_path / "well", **TRUE)
    recipe = Recipe(**{name: value for name, value in TRUE.items() if name != "bare"})
    late = Compute(workers=0, clip_timeout=1e-9)
    summary = build(plan_build(recipe, spec), str(tmp_path / "again"), Reporter(), compute=late)
    assert {clip.kind for clip in summary.quarantined} == {"timeout"}
    assert run(spec, tmp_path / "again", retry=True, **TRUE).quarantined == ()
    assert tree(tmp_path / "again") == tree(tmp_path / "well")
