"""DWPose from ONNX files whose answers are known."""

import warnings

import cv2
import numpy as np
import pytest

from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.dwpose import spec
from preprocess.annotators.dwpose.networks import PersonDetector, PoseNetwork
from preprocess.annotators.scene import Scene
from preprocess.annotators.spec import Hardware
from preprocess.crop import Crop
from preprocess.errors import InputError
from shards.sample.keypoints import OPENPOSE_134
from tests.preprocess.annotators.dwpose import onnx_files

DETECTOR, POSE = spec.DETECTOR.name, spec.POSE.name
SIZE = (200, 240)  # height, width of the frames
# Boxes that, a quarter larger, are the network's 72 x 96 pixels: one of it is one of the frame.
DANCER = (50 - 28.8, 60 - 38.4, 50 + 28.8, 60 + 38.4)
OTHER = (160 - 28.8, 120 - 38.4, 160 + 28.8, 120 + 38.4)
CHAIR = (0, 0, 240, 200)
PERSON, THING = 0, 56
CROP = Crop("center", 20, 0, 200, 100)


def frame(dots):
    """Dark, with a red, a green and a blue spot at `dots`, (x, y) each."""
    image = np.zeros((*SIZE, 3), np.uint8)
    y, x = np.indices(SIZE)
    for channel, (dot_x, dot_y) in enumerate(dots):
        far = (x - dot_x) ** 2 + (y - dot_y) ** 2
        image[..., channel] = np.rint(255 * np.exp(-far / (2 * 4**2)))
    return image


DOTS = [(40, 50), (66, 35), (55, 90)]  # within the dancer's crop, 14-85 x 12-107
HEIGHTS = np.linspace(0.1, 0.6, 133)


@pytest.fixture
def weights(tmp_path):
    """weights(found, batch=...): a folder with both files; answers `found`."""

    def write(found, *, batch="N", joints=133):
        onnx_files.detector(tmp_path / DETECTOR, found, SIZE, batch=batch)
        onnx_files.pose(tmp_path / POSE, HEIGHTS[:joints], batch=batch, joints=joints)
        return tmp_path

    return write


def run(folder, frames, *, people="one", person="largest", batch="auto", crop=CROP):
    choice = AnnotatorChoice(
        "none", "dwpose", ("none",), people=people, person=person, smooth=False
    )
    annotator = choice.chosen["pose"].load(lambda file: folder / file.name, Hardware(batch=batch))
    return annotator.keypoints(Scene(tuple(frames), (), crop, 30.0))


def in_clip(x, y):
    return CROP.to_clip @ (x, y, 1)


@pytest.mark.parametrize("batch", ["N", 1])
def test_joints_are_where_the_spots_are(weights, batch):
    """Red, green and blue in turn, so the network must have been given RGB."""
    shifted = [(x + 5, y + 3) for x, y in DOTS]
    frames = [frame(DOTS), frame(shifted), frame(DOTS)]
    keypoints = run(weights([(PERSON, 0.9, DANCER)], batch=batch), frames)
    assert keypoints.joint_set is OPENPOSE_134
    assert keypoints.points.shape == (3, 1, 134, 3)
    published = {"nose": 0, "left_eye": 1, "right_eye": 2, "left_wrist": 9, "right_ankle": 16}
    published |= {"left_heel": 19, "face_0": 23, "left_hand_palm": 91, "right_hand_pinky_4": 132}
    deviations = (np.array([255, 255, 255]) - (123.675, 116.28, 103.53)) / (58.395, 57.12, 57.375)
    for name, number in published.items():
        colour = number % 3
        found = keypoints.points[:, 0, OPENPOSE_134.joints.index(name)]
        for t, dots in enumerate((DOTS, shifted, DOTS)):
            np.testing.assert_allclose(found[t, :2], in_clip(*dots[colour]), atol=1e-3)
        assert found[0, 2] == pytest.approx(min(1, HEIGHTS[number] * deviations[colour]), rel=1e-4)
    neck = keypoints.points[0, 0, OPENPOSE_134.joints.index("neck"), :2]
    left, right = in_clip(*DOTS[5 % 3]), in_clip(*DOTS[6 % 3])
    np.testing.assert_allclose(neck, (left + right) / 2, atol=1e-3)


def test_a_larger_person_is_found_to_half_a_pixel_of_the_networks(weights):
    box = (20, 10, 140, 170)  # 120 x 160: the crop is 2.08 times the network's 72 x 96
    dots = [(60.0, 80.0), (100.0, 40.0), (75.0, 150.0)]
    found = run(weights([(PERSON, 0.9, box)]), [frame(dots)]).points[0, 0]
    one_pixel = 160 * 1.25 / 96 * CROP.size / CROP.side
    for name, dot in zip(("nose", "left_eye", "right_eye"), dots, strict=True):
        at = found[OPENPOSE_134.joints.index(name), :2]
        assert abs(at - in_clip(*dot)).max() <= 0.5 * one_pixel + 1e-3


def test_nobody_found_is_nobody_and_never_the_whole_image(weights):
    dark = frame([DOTS[0], DOTS[1], (-99, -99)])  # the detector sees no blue
    points = run(weights([(PERSON, 0.9, DANCER)]), [dark, frame(DOTS), dark]).points
    assert points[..., 2].any((1, 2)).tolist() == [False, True, False]
    assert run(weights([]), [frame(DOTS)]).points.shape == (1, 1, 134, 3)
    assert not run(weights([]), [frame(DOTS)]).points[..., 2].any()


def test_only_people_count(weights):
    """A chair is larger and surer than the person in it."""
    seen = [(THING, 0.95, CHAIR), (PERSON, 0.6, DANCER)]
    alone = run(weights([(PERSON, 0.6, DANCER)]), [frame(DOTS)]).points
    found = run(weights(seen), [frame(DOTS)], people="all").points
    np.testing.assert_allclose(found, alone, rtol=1e-5)
    assert not run(weights([(THING, 0.95, CHAIR)]), [frame(DOTS)]).points[..., 2].any()


def test_how_sure_the_detector_must_be(weights):
    path = weights([(PERSON, 0.4, DANCER)]) / DETECTOR
    ((box,),) = PersonDetector(path, Hardware(batch=1))([frame(DOTS)])
    np.testing.assert_allclose(box, DANCER, atol=1e-3)
    assert PersonDetector(path, Hardware(batch=1), score=0.5)([frame(DOTS)]) == [[]]
    path = weights([(PERSON, 0.25, DANCER)]) / DETECTOR
    assert PersonDetector(path, Hardware(batch=1))([frame(DOTS)]) == [[]]


def test_boxes_stay_within_the_frame(weights):
    path = weights([(PERSON, 0.9, (-30, -20, 60, 80)), (PERSON, 0.8, (200, 250, 230, 290))])
    ((box,),) = PersonDetector(path / DETECTOR, Hardware(batch=1))([frame(DOTS)])
    np.testing.assert_allclose(box, (0, 0, 60, 80), atol=1e-3)


def test_all_people_or_the_wanted_one(weights):
    larger = (DANCER[0] - 5, DANCER[1] - 5, DANCER[2] + 5, DANCER[3] + 5)
    folder = weights([(PERSON, 0.6, OTHER), (PERSON, 0.9, larger)])
    everybody = run(folder, [frame(DOTS)] * 2, people="all").points
    assert everybody.shape[1] == 2
    largest = run(folder, [frame(DOTS)] * 2, person="largest").points
    central = run(folder, [frame(DOTS)] * 2, person="central").points
    np.testing.assert_array_equal(largest, everybody[:, :1])
    np.testing.assert_array_equal(central, everybody[:, 1:])
    assert (largest[0, 0, 0] != central[0, 0, 0]).any()


def test_all_crops_of_a_clip_go_through_together(weights, monkeypatch):
    folder = weights([(PERSON, 0.9, DANCER), (PERSON, 0.8, OTHER)])
    sizes = []
    network = PoseNetwork(folder / POSE, Hardware(batch=4))
    find = PoseNetwork._find
    monkeypatch.setattr(PoseNetwork, "_find", lambda s, w: sizes.append(len(w)) or find(s, w))
    wanted = [(frame(DOTS), box) for box in (DANCER, OTHER) * 3]
    together = network(wanted)
    assert sizes == [4, 2]
    np.testing.assert_allclose(
        together,
        [j for w in wanted for j in PoseNetwork(folder / POSE, Hardware(batch=1))([w])],
    )


def test_files_that_are_absent_or_something_else(weights, tmp_path):
    with pytest.raises(InputError, match=r"there is no file of weights at .*yolox_l\.onnx"):
        PersonDetector(tmp_path / DETECTOR, Hardware(batch=1))
    path = tmp_path / "text.onnx"
    path.write_text("not found")
    with pytest.raises(InputError, match=r"text\.onnx is no ONNX network"):
        PoseNetwork(path, Hardware(batch=1))
    folder = weights([(PERSON, 0.9, DANCER)], joints=17)
    with pytest.raises(InputError, match="it is not DWPose's network"):
        run(folder, [frame(DOTS)])
    with pytest.raises(InputError, match="not YOLOX's"):
        PersonDetector(folder / POSE, Hardware(batch=1))([frame(DOTS)])


def test_without_cuda_in_onnxruntime_it_runs_on_the_cpu_and_says_so(weights):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime knows CUDA")
    path = weights([(PERSON, 0.9, DANCER)]) / DETECTOR
    with pytest.warns(UserWarning, match="onnxruntime-gpu"):
        detector = PersonDetector(path, Hardware("cuda", batch=2))
    assert len(detector([frame(DOTS)])[0]) == 1


def test_nothing_is_printed(weights, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(weights([(PERSON, 0.9, DANCER)]), [frame(DOTS)])
    assert capfd.readouterr() == ("", "")


def test_spots_are_what_they_say():
    """The images of these tests: brightest where the dots are."""
    for channel, (x, y) in enumerate(DOTS):
        assert cv2.minMaxLoc(frame(DOTS)[..., channel])[3] == (x, y)
