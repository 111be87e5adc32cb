"""From annotators to a sample: whose depth goes where, on which scale, and who is in the frame."""

from dataclasses import dataclass

import numpy as np
import pytest

from preprocess import load
from preprocess.annotate import ClipRequest, Limits, annotate, inside, survey
from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.scene import Masks
from preprocess.annotators.spec import Record
from preprocess.annotators.whole_frame import WholeFrameDepth
from preprocess.crop import centre_crop
from preprocess.errors import ClipError
from preprocess.frames import Frame
from preprocess.load import Annotators
from preprocess.shots import Shot
from preprocess.sources.values import Video
from shards.sample.clip import FOREGROUND_DEPTH_END
from shards.sample.codec import decode_clip, encode_clip
from shards.sample.keypoints import OPENPOSE_134, Keypoints

SIZE = 32


@dataclass(frozen=True)
class Images:
    """Frames of 48 x 40; `values` fills each with one number."""

    values: tuple[int, ...]

    def read(self, indices):
        for index in indices:
            yield Frame(index, np.full((40, 48, 3), self.values[index], np.uint8), index / 30)

    def fingerprint(self):
        return str(self.values)


class Bright:
    """A mask of the whole frame where it is bright: a person is in frames above 100."""

    def __init__(self):
        self.looked = 0

    def find(self, frames):
        return [[] for _ in frames]

    def masks(self, scene):
        self.looked += len(scene.frames)
        clip = [scene.crop.apply((f[..., 0] > 100) * np.uint8(255)) for f in scene.frames]
        return Masks(np.stack(clip), ((),) * len(clip))


class Depth:
    """The frame's brightness, off the person NaN unless it sees the whole frame."""

    label = unit = "brightness"
    metres = False

    def __init__(self, *, whole_frame=False):
        self.whole_frame = whole_frame
        self.looked = 0

    def depths(self, scene, masks):
        self.looked += len(scene.frames)
        columns = np.linspace(0, 1, SIZE, dtype=np.float32)
        depth = np.stack([f[0, 0, 0] + np.tile(columns, (SIZE, 1)) for f in scene.frames])
        return depth if self.whole_frame else np.where(masks > 127, depth, np.nan)


class Posed:
    """All joints in the frame's middle where it is bright, none elsewhere."""

    min_score = 0.3

    def find(self, frames):
        return [[] for _ in frames]

    def keypoints(self, scene):
        points = np.zeros((len(scene.frames), 1, 134, 3), np.float32)
        points[..., :2] = SIZE / 2
        points[..., 2] = [[[0.9 if f[0, 0, 0] > 100 else 0.0]] for f in scene.frames]
        return Keypoints(points, OPENPOSE_134)


def make(
    values,
    first,
    *depths,
    mask=None,
    pose=None,
    mask_name="grounded-sam",
    share=0.0,
    least=0.0,
    length=2,
    grey="near-black",
):
    names = tuple("midas" if depth.whole_frame else "hdnet" for depth in depths)
    choice = AnnotatorChoice(
        mask_name,
        "openpose" if pose else "none",
        names or ("none",),
        crop="center",
        grey=grey,
        check_poses=False,  # here a mask is the whole picture
    )
    video = Video("v", len(values), 30.0, Images(tuple(values)), "v")
    record = Record("made", "1", {})
    by = tuple(
        load.Depth(chosen.spec, record, depth)
        for chosen, depth in zip(choice.depths, depths, strict=True)
    )
    annotators = Annotators(choice, choice.chosen, {}, mask=mask, pose=pose, depths=by)
    shot = Shot(0, len(values) - 1)
    surveyed = survey(video, shot, annotators, SIZE)
    indices = tuple(range(first, first + length))
    frames = list(video.reader.read(indices))
    request = ClipRequest("k", "videos", "train", indices, shot)
    return annotate(
        request, video, frames, surveyed, annotators, size=SIZE, limits=Limits(share, least)
    )


def test_the_frames_of_a_survey_go_through_networks_together():
    batches = {"people": [], "depth": []}

    class Finding(Bright):
        def find(self, frames):
            batches["people"].append(len(frames))
            return super().find(frames)

    def estimate(frames):
        batches["depth"].append(len(frames))
        return [frame[..., 0].astype(np.float32) for frame in frames]

    depth = WholeFrameDepth("brightness", "grey", estimate)
    depth.whole_frame = True
    make([*range(110, 160)], 0, depth, mask=Finding())
    assert batches == {"people": [16], "depth": [16, 2]}


def test_two_depths_each_have_their_member_range_and_label():
    clip = make([110, 120], 0, Depth(), Depth(whole_frame=True), mask=Bright())
    person, whole = clip.info["depth"]["depth_person"], clip.info["depth"]["depth_frame"]
    # 110 to 121, 0.5 % cut off each end, and .15 or .05 of that added
    assert person["near"] == pytest.approx(110 - 0.15 * 11, abs=0.1)
    assert whole["far"] == pytest.approx(121 + 0.05 * 11, abs=0.1)
    assert clip.depth_person.max() < FOREGROUND_DEPTH_END
    assert clip.depth_frame.max() > 0.9
    assert clip.depth_frame.min() < 0.1


def test_grey_may_be_turned_round_and_the_json_says_so():
    """Near is white in MiDaS' own images; the person's depth stays as it is."""
    depths = Depth(), Depth(whole_frame=True)
    black = make([110, 120], 0, *depths, mask=Bright())
    white = make([110, 120], 0, *depths, mask=Bright(), grey="near-white")
    np.testing.assert_array_equal(white.depth_frame, 1 - black.depth_frame)
    np.testing.assert_array_equal(white.depth_person, black.depth_person)
    assert white.info["depth"]["depth_frame"]["grey"] == "near-white"
    assert black.info["depth"]["depth_frame"]["grey"] == "near-black"
    assert "grey" not in white.info["depth"]["depth_person"]
    brightness = np.array([110, 120])[:, None, None] + np.linspace(0, 1, SIZE)
    for clip in (black, white, decode_clip(encode_clip(white))):
        for modality in ("depth_frame", "depth_person"):
            found = clip.depth_in_unit(modality)
            assert found.dtype == np.float32
            known = np.isfinite(found)
            assert known.any()
            wanted = np.broadcast_to(brightness, found.shape)[known]
            np.testing.assert_allclose(found[known], wanted, atol=0.05)
    assert np.isfinite(white.depth_in_unit("depth_frame")).all()
    with pytest.raises(KeyError, match="has no depth_person"):
        make([3, 4], 0, depths[1], mask_name="none").depth_in_unit("depth_person")


def test_grey_means_nothing_without_depth_of_the_whole_frame():
    choice = AnnotatorChoice(depth=("hdnet",), grey="near-white")
    assert [m for m in choice.mistakes() if m.startswith("grey near-white is of depth")]
    assert not list(AnnotatorChoice(grey="near-white").mistakes())


def test_depth_of_the_whole_frame_needs_no_mask_and_has_no_background():
    clip = make([3, 4], 0, Depth(whole_frame=True), mask_name="none")
    assert clip.mask is None
    assert clip.depth_person is None
    assert (np.diff(clip.depth_frame[0, 0]) > 0).all()
    assert clip.info["person_frames"] is None


def test_a_video_without_anybody_is_plain_background():
    clip = make([1, 2, 3], 0, Depth(), mask=Bright())
    assert (clip.depth_person == 1).all()
    described = clip.info["depth"]["depth_person"]
    assert (described["near"], described["far"], described["clamped"]) == (None, None, 0)
    assert clip.info["person_frames"] == [False, False]


def test_a_person_whom_the_survey_missed_has_no_scale_to_be_put_on():
    values = [10] * 33
    values[3] = 200  # 16 frames of 33 are surveyed: 0, 2, 4, ...
    with pytest.raises(ClipError, match="no depth range: the 16 frames"):
        make(values, 2, Depth(), mask=Bright())
    assert make(values, 5, Depth(), mask=Bright()).depth_person.min() == 1


def test_a_depth_far_from_zero_is_not_put_on_a_persons_metres():
    clip = make([210, 220], 0, Depth(), mask=Bright())
    assert clip.info["depth"]["depth_person"]["near"] > 200
    assert clip.info["depth"]["depth_person"]["clamped"] == 0


def test_the_reference_is_the_first_frame_whose_mask_shows_somebody():
    mask = Bright()
    clip = make([10, 20, 200, 210], 2, mask=mask)
    described = clip.info["reference"]
    assert (described["frame"], described["person"]) == (2, True)
    assert described["box"] == [0, -4, 48, 44]  # the mask is the whole frame of 48 x 40
    assert described["coverage"] == pytest.approx(40 / 48, abs=0.03)
    assert (clip.reference[8:-8] == 200).all()
    assert (clip.background == 200).all()
    assert (clip.background_mask == 255).all()
    assert mask.looked == 4 + 2  # the reference is not looked at again


def test_a_clip_whose_reference_shows_nobody_is_quarantined():
    values = [10] * 33
    values[3] = 200  # 16 frames of 33 are surveyed: 0, 2, 4, ...
    with pytest.raises(ClipError, match="the reference, frame 0, shows nobody"):
        make(values, 2, mask=Bright(), least=0.01)
    assert not make(values, 2, mask=Bright()).reference_mask.any()
    empty = make(values, 5, mask=Bright(), least=0.01)  # nor does the clip
    assert empty.info["reference"]["person"] is False


def test_an_image_is_looked_at_once():
    mask, depth = Bright(), Depth()
    clip = make([200], 0, depth, mask=mask, length=1)
    assert (clip.mask == 255).all()
    assert np.ptp(clip.depth_person) > 0.5
    assert (mask.looked, depth.looked) == (1, 1)


def test_depth_of_the_whole_frame_asks_for_no_more_masks():
    mask, depth = Bright(), Depth(whole_frame=True)
    make([200] * 20, 0, depth, mask=mask)
    assert (mask.looked, depth.looked) == (16 + 2, 16 + 2)


def test_too_few_people_by_mask_or_by_key_points():
    with pytest.raises(ClipError, match="found in 1 of 2 frames"):
        make([10, 200], 0, mask=Bright(), share=0.6)
    with pytest.raises(ClipError, match="found in 1 of 2 frames"):
        make([10, 200], 0, pose=Posed(), mask_name="none", share=0.6)
    clip = make([10, 200], 0, pose=Posed(), mask_name="none", share=0.5)
    assert clip.info["person_frames"] == [False, True]


@dataclass(frozen=True)
class Walk:
    """Frames of 96 x 64 in which a bright person of 10 x 30 walks from the left to the right."""

    def read(self, indices):
        for index in indices:
            rgb = np.tile(np.arange(96, dtype=np.uint8)[None, :, None], (64, 1, 3))
            rgb[20:50, 2 + 5 * index : 12 + 5 * index] = 220
            yield Frame(index, rgb, index / 30)

    def fingerprint(self):
        return ""


@pytest.mark.parametrize("people", ["one", "all"])
@pytest.mark.parametrize("crop", ["center", "video", "none"])
def test_the_foreground_holds_the_person_wherever_the_clip_is_cut(crop, people):
    choice = AnnotatorChoice("source", "none", ("none",), crop=crop, people=people)
    annotators = Annotators(choice, choice.chosen, {}, mask=Bright())
    video = Video("v", 17, 30.0, Walk(), "v")
    surveyed = survey(video, Shot(0, 16), annotators, SIZE)
    request = ClipRequest("k", "videos", "train", (14, 15, 16), Shot(0, 16))
    frames = list(video.reader.read(request.frame_indices))
    clip = annotate(request, video, frames, surveyed, annotators, size=SIZE, limits=Limits(0, 0.05))
    described = clip.info["reference"]
    x0, _, x1, _ = described["box"]
    area = clip.reference_mask.sum() / 255 * ((x1 - x0) / SIZE) ** 2
    assert area == pytest.approx(10 * 30, rel=0.03)
    left, top, right, bottom = clip.info["crop"]["box"]
    if crop == "video":  # from frame 0's 2 to frame 16's 92, and everybody is in every clip
        assert clip.info["crop"]["mode"] == "video"
        assert left <= 2
        assert right >= 92
        assert (clip.mask > 127).any((1, 2)).all()
    if crop == "center":
        assert (left, top, right, bottom) == (16, 0, 80, 64)
        assert not (clip.mask[-1] > 127).any()


def test_one_square_for_a_whole_video_asks_the_tracker_only_where_nobody_else_knows():
    def tracks(mask, pose="none"):
        return "person" in AnnotatorChoice(mask, pose, ("none",), crop="video").chosen

    assert not tracks("grounded-sam")
    assert not tracks("source")
    assert not tracks("none", "openpose")
    assert tracks("none")
    assert tracks("lite")


def test_where_nobody_is_looked_for_one_frame_of_the_shot_is_read():
    read = []

    @dataclass(frozen=True)
    class Counted(Walk):
        def read(self, indices):
            for frame in super().read(indices):
                read.append(frame.index)
                yield frame

    choice = AnnotatorChoice("none", "none", ("none",), crop="none")
    annotators = Annotators(choice, choice.chosen, {})
    surveyed = survey(Video("v", 17, 30.0, Counted(), "v"), Shot(3, 16), annotators, SIZE)
    assert read == [3]
    assert surveyed.reference.person is None


def test_a_person_beside_the_clips_square_is_not_in_it():
    square = centre_crop(160, 90, SIZE)  # x from 35 to 125
    assert inside((40, 10, 60, 80), square) == 1
    assert inside((25, 10, 45, 80), square) == 0.5
    assert inside((0, 10, 30, 80), square) == 0
    assert inside((130, 10, 150, 80), square) == 0
