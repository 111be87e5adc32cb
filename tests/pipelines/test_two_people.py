"""Footage of two people: every clip and its reference show one and the same, or it is left out."""

import json

import cv2
import numpy as np
import pytest

from pipelines.cli import main
from preprocess.video import VideoFile
from shards.reader import open_dataset

WIDTH, HEIGHT, CLIP = 640, 360, 4


@pytest.fixture(scope="module")
def people(footage):
    """Two people cut out of their footage with what is around them: 24 frames each, 320 high."""

    def part(video, first, y0, y1, middle, width):
        frames = VideoFile(footage(video)).read(range(first, first + 48, 2))
        cut = []
        for t, frame in enumerate(frames):
            x0 = round(middle(t)) - width // 2
            image = frame.rgb[y0:y1, x0 : x0 + width]
            size = (round(320 * width / (y1 - y0)), 320)
            cut.append(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        return cut

    man = part("cam01.mp4", 0, 260, 1260, lambda t: 420, 800)
    walker = part("demo.mp4", 62, 500, 990, lambda t: 1385 - 19.4 * t, 400)
    return {"man": man, "walker": walker}


def shown(people, *layers):
    """A frame: (who, frame, x, height) each, standing on the ground before grey."""
    image = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    for who, t, x, height in layers:
        figure = people[who][t % 24]
        width = round(figure.shape[1] * height / figure.shape[0])
        figure = cv2.resize(figure, (width, height), interpolation=cv2.INTER_AREA)
        x0, x1 = max(x, 0), min(x + width, WIDTH)
        if x1 > x0:
            image[HEIGHT - height :, x0:x1] = figure[:, x0 - x : x1 - x]
    return image


def build(tmp_path, make_video, images, *more):
    path = tmp_path / "source" / "two.mp4"
    make_video(path, len(images), width=WIDTH, height=HEIGHT, images=images)
    out = tmp_path / "out"
    options = ("--clip-length", str(CLIP), "--size", "96", "--workers", "0", "--depth", "none")
    # People are pasted in and out from a frame to the next, which looks like cuts.
    options = (*options, "--shots", "off")
    code = main(
        [
            *("build", "--dataset", "videos", "--source", str(path.parent), "--out", str(out)),
            *(*options, "--max-quarantine", "99", *more),
        ]
    )
    assert code == 0
    manifest = json.loads((out / "train" / "shard-00000.json").read_text())
    clips = {c.info["first_frame"]: c for c in open_dataset(out).clips()}
    return clips, {int(q["key"].split("-")[-1]): q["reason"] for q in manifest["quarantined"]}


def middles(clip):
    """Of the clip's frames and of its reference: where the person is in the source, 0 left to 1."""
    boxes = [clip.info["crop"]["box"], clip.info["reference"]["box"]]
    return [(x0 + x1) / 2 / WIDTH for x0, _, x1, _ in boxes]


def flipping(people):
    """The man on the left, the walker on the right; in half of the clips she is the larger."""
    images = []
    for t in range(24):
        small = t // CLIP % 2 == 1
        man, walker = (250, 340) if small else (340, 200)
        images.append(shown(people, ("man", t, 0, man), ("walker", 0, 340, walker)))
    return images


def test_the_subject_does_not_change_with_who_is_larger(people, tmp_path, make_video):
    clips, lost = build(tmp_path, make_video, flipping(people))
    assert sorted(clips) == list(range(0, 24, CLIP))
    assert lost == {}
    sides = {side < 0.45 for clip in clips.values() for side in middles(clip)}
    assert len(sides) == 1
    for clip in clips.values():
        subject = clip.info["subject"]
        assert (subject["rule"], subject["number"], subject["people"]) == ("largest", 1, 2)
        assert subject["lost"] == []
        assert subject["match"] > 0.8
        assert clip.info["reference"]["coverage"] > 0.05


def test_the_other_person_can_be_asked_for(people, tmp_path, make_video):
    first, _ = build(tmp_path / "1", make_video, flipping(people)[:8])
    second, _ = build(tmp_path / "2", make_video, flipping(people)[:8], "--person", "2")
    for one, other in zip(first.values(), second.values(), strict=True):
        (a, b), (c, d) = middles(one), middles(other)
        assert (a < 0.45) == (b < 0.45) != (c < 0.45) == (d < 0.45)
        assert other.info["subject"]["number"] == 2
    clips, lost = build(tmp_path / "3", make_video, flipping(people)[:4], "--person", "3")
    assert clips == {}
    assert "2 people found in this shot; --person 3" in lost[0]


def test_clips_without_the_subject_are_quarantined(people, tmp_path, make_video):
    """He is there first and last; in between she is alone, and she stays to the end."""
    images = []
    for t in range(32):
        layers = [("walker", 0, 380, 260)] if t >= 8 else []
        if t < 16 or t >= 24:
            layers.insert(0, ("man", t, 0, 340))
        images.append(shown(people, *layers))
    clips, lost = build(tmp_path, make_video, images)
    assert sorted(clips) == [0, 4, 8, 12, 24, 28]
    assert sorted(lost) == [16, 20]
    assert all(side < 0.45 for clip in clips.values() for side in middles(clip))
    for reason in lost.values():
        assert "the subject (person 1 of 2) was found in 0 of 4 frames: another person" in reason


def test_people_who_cross_are_not_taken_for_each_other(people, tmp_path, make_video):
    """She walks past behind him from right to left: clips are his, wherever she is."""
    images = [
        shown(people, ("walker", t // 2, 420 - 22 * t, 220), ("man", 0, 200, 340))
        for t in range(28)
    ]
    clips, _ = build(tmp_path, make_video, images)
    assert len(clips) >= 6
    for clip in clips.values():
        assert all(0.35 < side < 0.65 for side in middles(clip))
