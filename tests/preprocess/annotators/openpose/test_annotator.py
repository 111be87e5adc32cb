"""OpenPose as an annotator: joints in the clip's pixels, and files to networks."""

import numpy as np
import pytest
import torch

from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.openpose.annotator import OpenPose
from preprocess.annotators.openpose.body import find_bodies
from preprocess.annotators.openpose.networks import load_body, load_face, load_hand
from preprocess.annotators.openpose.parts import face_square, hand_square
from preprocess.annotators.openpose.spec import BODY, FACE, HAND
from preprocess.annotators.scene import Scene
from preprocess.annotators.spec import Hardware, Settings
from preprocess.annotators.torch.loading import import_controlnet_aux
from preprocess.crop import Crop
from preprocess.errors import InputError
from shards.sample.keypoints import OPENPOSE_134
from tests.preprocess.annotators.openpose.drawn import (
    STANDING,
    DrawnBody,
    DrawnPart,
    figures,
    network,
    numbered_frames,
)
from tests.preprocess.annotators.openpose.published import PUBLISHED, by_published
from tests.preprocess.small_files import random_state, write

SIZE = (368, 368)
CROP = Crop("subject", 40, 20, 340, 64)  # leaves out the left, and reaches beyond the right


def annotator(people, *, hands_and_face=False, which="one", person="largest", smooth=False):
    """On frames that show `people`, one (n, 18, 3) for each."""
    drawings = [figures(there, SIZE) for there in people]
    part = np.tile((0.25, 0.75, 0.5), (70, 1))
    return OpenPose(
        network(DrawnBody(drawings)),
        network(DrawnPart(part[:21], 22), 1) if hands_and_face else None,
        network(DrawnPart(part, 71)) if hands_and_face else None,
        Settings(people=which, person=person, smooth=smooth),
    )


def scene(count):
    return Scene(numbered_frames(count, SIZE), (), CROP, 30.0)


def in_clip(joints):
    moved = joints.copy()
    moved[..., :2] = joints[..., :2] @ CROP.to_clip[:, :2].T + CROP.to_clip[:, 2]
    return moved


def test_joints_are_named_and_in_the_pixels_of_the_clip():
    figure = STANDING.copy()
    figure[4] = 0
    keypoints = annotator([[figure]] * 3).keypoints(scene(3))
    assert keypoints.joint_set is OPENPOSE_134
    assert keypoints.points.shape == (3, 1, 134, 3)
    (wrist,) = OPENPOSE_134.indices("left_wrist")
    x, y, score = keypoints.points[1, 0, wrist]
    # Source pixel 236, 200, the middle of which is 236.5 - 40 of the crop's 340 pixels from its
    # left: 64 clip pixels there.
    assert (x, y) == pytest.approx((196.5 / 340 * 64 - 0.5, 180.5 / 340 * 64 - 0.5), abs=1e-4)
    assert score == pytest.approx(0.6, abs=0.01)
    seen = figure[:, 2] > 0
    np.testing.assert_allclose(
        keypoints.points[:, 0, :18][:, seen], np.stack([in_clip(figure)[seen]] * 3), atol=0.01
    )
    assert not keypoints.points[:, 0, ~np.r_[seen, [False] * 116], 2].any()


def test_hands_and_face_lie_in_their_squares():
    found = annotator([[STANDING]], hands_and_face=True).keypoints(scene(1)).points[0, 0]
    frame = numbered_frames(1, SIZE)[0]
    squares = {
        "left_hand_palm": hand_square(frame, STANDING, "left"),
        "right_hand_pinky_4": hand_square(frame, STANDING, "right"),
        "face_67": face_square(frame, STANDING),
    }
    for joint, square in squares.items():
        side = square.side
        at = np.array([[square.x + side / 4 - 0.5, square.y + side * 3 / 4 - 0.5, 0.5]])
        (index,) = OPENPOSE_134.indices(joint)
        np.testing.assert_allclose(found[index], in_clip(at)[0], atol=0.15)
    feet = OPENPOSE_134.indices("left_big_toe", "right_heel")
    assert not found[feet, 2].any()


def test_nobody_gives_no_keypoints_and_never_a_pose():
    empty = annotator([[], []], hands_and_face=True, smooth=True).keypoints(scene(2))
    assert empty.points.shape == (2, 1, 134, 3)
    assert not empty.points[..., 2].any()


def test_all_people_or_the_wanted_one():
    small = STANDING * (0.5, 0.5, 1) + (90, 90, 0)  # in the middle of the frame
    large = STANDING * (0.6, 0.8, 1) + (150, 0, 0)
    small[:, :2], large[:, :2] = small[:, :2].round(), large[:, :2].round()
    shown = [[small, large], [large, small], [small]]
    everybody = annotator(shown, which="all").keypoints(scene(3)).points
    assert everybody.shape[1] == 2
    np.testing.assert_allclose(everybody[:2, 0, :18], [in_clip(large)] * 2, atol=0.2)
    np.testing.assert_allclose(everybody[:, 1, :18], [in_clip(small)] * 3, atol=0.2)
    assert not everybody[2, 0, :, 2].any()
    one = annotator(shown).keypoints(scene(3)).points
    np.testing.assert_array_equal(one, everybody[:, :1])
    central = annotator(shown, person="central").keypoints(scene(3)).points
    np.testing.assert_array_equal(central, everybody[:, 1:])


@pytest.mark.parametrize(
    ("loader", "class_", "module"),
    [
        (load_body, "bodypose_model", "open_pose.model"),
        (load_hand, "handpose_model", "open_pose.model"),
        (load_face, "FaceNet", "open_pose.face"),
    ],
)
def test_published_files_load_as_the_package_loads_them(tmp_path, loader, class_, module):
    """Full-size networks: the files name tensors after layers alone, without the block."""
    util, package = import_controlnet_aux("open_pose.util", module)
    with torch.device("meta"):
        whole = getattr(package, class_)()
    named = class_ != "FaceNet"
    state = random_state(whole, 0)
    in_file = {name.split(".", 1)[-1] if named else name: t for name, t in state.items()}
    path = write(tmp_path / "weights.pth", in_file)
    transferred = util.transfer(whole, in_file) if named else in_file
    whole.load_state_dict(transferred, assign=True)
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    (ours,) = loader(path, Hardware()).maps([image])
    with torch.no_grad():
        theirs = whole(torch.from_numpy(image).permute(2, 0, 1)[None] / 256 - 0.5)
    theirs = {"FaceNet": lambda t: t[-1:], "handpose_model": lambda t: (t,)}.get(class_, tuple)(
        theirs
    )
    for mine, expected in zip(ours, theirs, strict=True):
        assert expected.std() > 1e-3
        torch.testing.assert_close(mine, expected[0], rtol=1e-4, atol=1e-4)


def test_another_file_is_refused(tmp_path):
    path = write(tmp_path / "other.pth", {"conv1_1.weight": torch.zeros(3)})
    with pytest.raises(InputError, match=r"other\.pth is not OpenPose's body network"):
        load_body(path, Hardware(batch=1))


@pytest.mark.slow
def test_full_size_on_a_clip_as_the_package_finds_people(tmp_path):
    """The whole network with random weights, two frames at once, against the package's own run."""
    with torch.device("meta"):
        empty = PUBLISHED.bodypose_model()
    state = random_state(empty, 1)
    for name, tensor in state.items():
        if "Mconv7_stage6" in name:  # louder, so that there is somebody
            state[name] = tensor * 6
    path = write(tmp_path / "body.pth", {name.split(".", 1)[1]: t for name, t in state.items()})
    frames = tuple(np.random.default_rng(0).integers(0, 256, (2, 200, 260, 3), dtype=np.uint8))
    found = find_bodies(load_body(path, Hardware(batch=2)), frames)
    whole = PUBLISHED.Body(str(path)).model
    for frame, there in zip(frames, found, strict=True):
        expected = by_published(whole, frame)
        assert len(expected)
        np.testing.assert_allclose(there, expected, rtol=1e-4)


def test_load_asks_for_the_registered_files(tmp_path):
    def locate(file):
        raise InputError(f"{file.name} is not there")

    for style, files in (("openpose", (BODY,)), ("dwpose", (BODY, HAND, FACE))):
        chosen = AnnotatorChoice("none", "openpose", ("none",), pose_style=style).chosen["pose"]
        assert chosen.files == files
        with pytest.raises(InputError, match=r"body_pose_model\.pth is not there"):
            chosen.load(locate, Hardware())
