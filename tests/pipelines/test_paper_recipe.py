"""`idol-prep build --dataset tiktok --recipe paper`, from files on a disk to a checked dataset."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines import cli
from shards.inspect.verify import verify
from shards.reader import open_dataset
from tests.pipelines import paper_files
from tests.pipelines.conftest import tree

KEYS = ["tiktok-00001-0", "tiktok-00001-2", "tiktok-00335-0"]

pytestmark = [
    pytest.mark.filterwarnings("ignore:Please import `gaussian_filter`:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Mapping deprecated model name:UserWarning"),
]


@pytest.fixture(scope="module")
def source(tmp_path_factory, footage):
    return paper_files.tiktok(tmp_path_factory.mktemp("source"), footage("cam01.mp4"))


@pytest.fixture(scope="module")
def small_files(tmp_path_factory):
    root = tmp_path_factory.mktemp("small-weights")
    paper_files.write_small(root)
    return root


@pytest.fixture
def prep(tmp_path, source):
    """prep(weights, ..., out=NAME) builds the miniature by the paper's recipe and what is said."""

    def run(weights, *more, out="out", workers=0, source=source):
        code = cli.main(
            ["build", "--dataset", "tiktok", "--recipe", "paper", "--source", str(source)]
            + ["--out", str(tmp_path / out), "--weights", str(weights), "--device", "cpu"]
            + ["--sam", "vit_b", "--clip-length", "2", "--size", "64"]
            + ["--min-reference", "0"]  # random networks show nobody's shape
            + ["--workers", str(workers), "--clip-timeout", "0", *more]  # networks of this process
        )
        return code, tmp_path / out

    return run


@pytest.fixture
def small(monkeypatch, small_files):
    for where, name, value in paper_files.for_small_networks(small_files):
        monkeypatch.setattr(where, name, value)
    return small_files


def checked(out, weights, made_by, keys=KEYS):
    """The clips of a dataset without faults, whose files and makers are those expected."""
    assert not list(verify(str(out)))
    info = json.loads((out / "dataset.json").read_text())
    assert {m: r["name"] for m, r in info["recipe"]["annotators"].items()} == made_by
    for name, file in info["weights"].items():
        path = weights / name if "/" in name else weights / "depth-model" / name
        assert file["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    clips = list(open_dataset(out).clips())
    assert [clip.key for clip in clips] == keys
    assert all(clip.info["split"] == ("val" if "00335" in clip.key else "train") for clip in clips)
    return info, clips


PAPER = {
    "mask": "grounded-sam",
    "pose": "openpose",
    "depth_person": "hdnet",
    "depth_frame": "midas",
}


def holds_what_training_wants(clips, *, posed=None):
    """`posed`: whether all clips have a skeleton, or none has one. To random networks the bodies
    are seldom the subject of the masks, so that only of all people some are sure to be found."""
    for clip in clips:
        assert clip.rgb.shape == (2, 64, 64, 3)
        assert (clip.mask > 127).any()
        assert clip.keypoints[..., 2].any() == clip.pose.any()
        assert posed is None or clip.pose.any() == posed
        inside = clip.mask > 100
        assert clip.depth_person[inside].max() <= 0.75 + 1e-3
        assert (clip.depth_person[~inside] == 1).all()
        assert np.ptp(clip.depth_person[inside]) > 0.1
        assert len(np.unique(clip.depth_frame)) > 9
        assert clip.info["depth"]["depth_person"]["densepose"] is True
        assert set(clip.info["person_frames"]) == {True}


def test_the_papers_recipe(prep, small, capsys):
    code, out = prep(small)
    assert code == 0, capsys.readouterr()
    info, clips = checked(out, small, PAPER)
    holds_what_training_wants(clips)
    (notice,) = info["extras"]["notices"]
    assert "non-commercial" in notice
    assert len(info["weights"]) == 9

    # MiDaS' stand-in says: what is bright is near.
    for clip in clips:
        brightness = clip.rgb.mean(-1).ravel()
        assert np.corrcoef(clip.depth_frame.ravel(), brightness)[0, 1] < -0.9


def test_weights_that_change_are_refused(prep, small, capsys):
    _, out = prep(small)
    path = small / "midas" / "dpt_hybrid-midas-501f0c75.pt"
    kept, before = path.read_bytes(), tree(out)
    try:
        torch.save({"factor": torch.tensor(2.0)}, path)
        capsys.readouterr()
        assert prep(small)[0] == 2
        assert "midas-501f0c75.pt (MiDaS 3.0, DPT-hybrid) has changed" in capsys.readouterr().err
        assert cli.main(["weights", "accept", "midas", "--weights", str(small)]) == 0
        assert prep(small)[0] == 2
        said = capsys.readouterr().err
        assert "was made with another recipe" in said
        assert "midas" in said
    finally:
        path.write_bytes(kept)
        assert cli.main(["weights", "accept", "midas", "--weights", str(small)]) == 0
    assert tree(out) == before


@pytest.mark.parametrize(
    ("said", "made_by"),
    [
        # Random networks mask nobody's shape.
        (
            ["--pose", "dwpose", "--pose-style", "dwpose", "--people", "all", "--no-check-poses"],
            {"pose": "dwpose"},
        ),
        (["--depth", "hdnet", "hf:{}/depth-model"], {"depth_frame": "hf:depth-model"}),
        (["--mask", "source", "--people", "all"], {"mask": "source-mask"}),
        pytest.param(
            ["--smooth-masks", "--person", "central", "--batch", "1"], {}, marks=pytest.mark.slow
        ),
    ],
)
def test_what_users_change(prep, small, said, made_by, capsys):
    code, out = prep(small, *(word.format(small) for word in said))
    assert code == 0, capsys.readouterr()
    assert "Loading weights" not in capsys.readouterr().err  # ours is the only progress bar
    info, clips = checked(out, small, PAPER | made_by)
    holds_what_training_wants(clips, posed="all" in said or None)
    assert bool(info["extras"]["notices"]) == ("pose" not in made_by)


def test_all_that_is_absent_is_named_at_once(prep, tmp_path, capsys):
    assert prep(tmp_path / "nothing")[0] == 2
    said = capsys.readouterr().err
    assert "9 files are not there: sam/sam_vit_b_01ec64.pth, groundingdino/" in said
    fetch = "weights fetch sam/sam_vit_b_01ec64.pth groundingdino bert openpose midas --weights"
    assert fetch in said
    made = r"hdnet/hdnet\.safetensors: Make it with `\S*idol-prep weights convert-hdnet"
    assert re.search(made, said)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_rays_workers_give_the_same_bytes(prep, small):
    import ray

    def setup(root=small):
        for where, name, value in paper_files.for_small_networks(root):
            setattr(where, name, value)

    ray.shutdown()  # that of other tests: it does not know the small networks
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={
            "worker_process_setup_hook": setup,
            "env_vars": {"PYTHONPATH": str(Path(__file__).parents[2])},
        },
    )
    try:
        code, by_two = prep(small, out="by-two", workers=2)
        assert code == 0
    finally:
        ray.shutdown()
    _, alone = prep(small, out="alone")
    assert tree(by_two) == tree(alone)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_networks_of_the_published_sizes(prep, tmp_path, footage, monkeypatch, capsys):
    for where, name, value in paper_files.for_random_weights():
        monkeypatch.setattr(where, name, value)
    paper_files.write_published_sizes(tmp_path / "weights")
    two_frames = paper_files.tiktok(tmp_path, footage("cam01.mp4"), {"00335": 2})
    code, out = prep(tmp_path / "weights", source=two_frames)
    assert code == 0, capsys.readouterr()
    _, clips = checked(out, tmp_path / "weights", PAPER, ["tiktok-00335-0"])
    # To these random weights no joints belong together: no person means no key points.
    holds_what_training_wants(clips, posed=False)
