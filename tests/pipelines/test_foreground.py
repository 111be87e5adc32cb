"""On footage: every committed clip's foreground holds its person, wherever the clip is cut."""

import pytest

from pipelines.cli import main
from preprocess import weights
from shards.reader import open_dataset

pytestmark = pytest.mark.slow

CROPS = ("none", "center", "subject", "video")
WHOLE = 0.9  # of the same frame's mask where nothing is cut


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """The demo's three videos, a few short clips of each all over them, by each way to crop."""
    out = tmp_path_factory.mktemp("foreground")
    source = str(weights.locate("footage/cam01.mp4").parent)
    for crop in CROPS:
        what = ("build", "--dataset", "videos", "--source", source, "--out", str(out / crop))
        clips = ("--clip-length", "4", "--stride", "25", "--depth", "none", "--crop", crop)
        assert main([*what, *clips, "--workers", "0", "--max-quarantine", "99"]) == 0
    return {crop: open_dataset(out / crop) for crop in CROPS}


def area(mask, box):
    """A mask's area in pixels of the source, of a square with that box."""
    return (mask > 127).sum() * ((box[2] - box[0]) / len(mask)) ** 2


def frame_of(clip):
    return clip.info["video"], clip.info["shot"]["number"], clip.info["reference"]["frame"]


@pytest.fixture(scope="module")
def uncropped(datasets):
    """By reference frame the area of its person where the background is the whole picture."""
    return {
        frame_of(clip): area(clip["background_mask"], clip.info["crop"]["box"])
        for clip in datasets["none"].clips()
    }


@pytest.mark.parametrize("crop", CROPS)
def test_nothing_of_the_person_is_cut_off(datasets, uncropped, crop):
    clips = list(datasets[crop].clips())
    assert len(clips) >= 9
    assert {clip.info["video"] for clip in clips} == {"cam01", "cam03", "demo"}
    for clip in clips:
        described = clip.info["reference"]
        share = area(clip.reference_mask, described["box"]) / uncropped[frame_of(clip)]
        assert share >= WHOLE, (clip.key, share)
        assert described["person"] is True
        assert described["coverage"] >= 0.05
        assert (clip.mask > 127).any((1, 2)).mean() >= 0.5, clip.key  # and so does the clip


@pytest.mark.parametrize("crop", CROPS)
def test_a_camera_on_a_tripod_has_a_background_that_stands_still(datasets, crop):
    for clip in datasets[crop].clips():
        shift = clip.info["reference"]["background_shift"]
        assert shift == pytest.approx([0, 0], abs=0.5), clip.key
