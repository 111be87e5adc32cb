"""Metrics of frames, depth, pose and motion say what was put in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from idol.evaluate.clips import ClipArrays, Pair
from idol.evaluate.container import read_video, through_container, write_video
from idol.evaluate.depth import (
    Alignment,
    AlignmentFit,
    aligned_sums,
    dtssd,
    edge_f1,
    errors,
    person_of,
)
from idol.evaluate.folders import VideoClip
from idol.evaluate.images import EQUAL_PSNR, l1, psnr, ssim
from idol.evaluate.measure import Tools, Watched, measure_clip
from idol.evaluate.metrics import METRICS, Seen, value_of
from idol.evaluate.motion import amount_of_motion
from idol.evaluate.pose import pose_error, read_in_truth
from idol.evaluate.protocols import Container, protocol
from idol.evaluate.resize import pil_bicubic, torch_bilinear


def texture(seed: int, side: int = 96) -> np.ndarray:
    """(side, side, 3) uint8: smooth noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 3)
    low, high = smooth.min(), smooth.max()
    return ((smooth - low) / (high - low) * 255).astype(np.uint8)


def test_psnr_and_l1_of_a_known_difference() -> None:
    frame = np.full((20, 30, 3), 100, np.uint8)
    assert psnr(frame + 5, frame) == pytest.approx(20 * np.log10(255 / 5))
    assert psnr(frame, frame + 5) == pytest.approx(20 * np.log10(255 / 5))
    assert psnr(frame, frame) == EQUAL_PSNR
    assert l1(frame - 51, frame, "unit") == pytest.approx(0.2)
    assert l1(frame - 51, frame, "over pixels") == pytest.approx(51 / (20 * 30))


def test_ssim_is_scikit_images() -> None:
    metrics = pytest.importorskip("skimage.metrics")
    a, b = texture(0), cv2.GaussianBlur(texture(0), (0, 0), 2)
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (a, b)]
    wanted = metrics.structural_similarity(*grey)
    assert ssim(a, b, "uniform grey") == pytest.approx(wanted, abs=1e-9)
    wanted = metrics.structural_similarity(
        a, b, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert ssim(a, b, "gaussian rgb") == pytest.approx(wanted, abs=1e-9)
    assert ssim(a, a, "gaussian rgb") == 1
    with pytest.raises(ValueError, match="11 pixels or more, not 40x8"):
        ssim(a[:8, :40], b[:8, :40], "gaussian rgb")


def test_a_depth_error_known_by_construction_is_returned_exactly() -> None:
    rng = np.random.default_rng(0)
    reference = rng.uniform(0.1, 0.6, (4, 32, 32))
    signs = rng.choice([-1, 1], reference.shape)
    person = np.zeros(reference.shape, bool)
    person[:, 8:24] = True
    wrong = reference + signs * np.where(person, 0.05, 0.02)
    assert errors(wrong, reference, person).rmse == pytest.approx(0.05)
    assert errors(wrong, reference, ~person).mse == pytest.approx(0.0004)
    assert errors(wrong, reference).mse == pytest.approx((0.05**2 + 0.02**2) / 2)
    assert np.isnan(errors(wrong, reference, np.zeros_like(person)).rmse)
    outside = np.where(person, reference, 1.0)
    assert np.array_equal(person_of(outside), person)


def aligned(depth: np.ndarray, reference: np.ndarray) -> tuple[float, float, float]:
    """AbsRel, RMSE and delta1 of a video of two clips."""
    where = np.ones(reference.shape, bool)
    fit = AlignmentFit()
    half = len(depth) // 2
    for part in (slice(None, half), slice(half, None)):
        fit.add(depth[part], reference[part], where[part])
    sums = aligned_sums(depth, reference, where, fit.solve())
    squares = (sums.squares / sums.pixels) ** 0.5
    return sums.absrel / sums.pixels, squares, sums.delta1 / sums.pixels


def test_one_scale_and_shift_a_video_is_taken_out_and_no_more() -> None:
    reference = np.random.default_rng(1).uniform(0, 0.75, (4, 16, 16))
    assert aligned(0.7 - 0.2 * reference, reference) == pytest.approx((0, 0, 1), abs=1e-9)
    # A shift for each frame is an error.
    shifts = np.array([0.0, 0.1, 0.2, 0.1])[:, None, None]
    assert aligned(reference * 0.5 + shifts, reference)[0] > 0.02
    # Without relief nothing is left but the mean: depths 1 / .9 and 1 / .5 about 1 / .7.
    two = np.where(np.arange(16) % 2, 0.1, 0.5) * np.ones((2, 2, 16))
    absrel, _, delta1 = aligned(np.full((2, 2, 16), 0.3), two)
    assert absrel == pytest.approx((0.9 / 0.7 - 1 + 1 - 0.5 / 0.7) / 2)
    assert delta1 == 0


def test_dtssd_sees_flicker_and_not_a_constant_error() -> None:
    reference = np.random.default_rng(2).uniform(0.2, 0.5, (6, 8, 8))
    assert dtssd(reference + 0.1, reference) == pytest.approx(0, abs=1e-12)
    flicker = np.where(np.arange(6) % 2, 0.03, 0)[:, None, None]
    assert dtssd(reference + flicker, reference) == pytest.approx(0.03)
    assert np.isnan(dtssd(reference[:1], reference[:1]))


def test_the_persons_psnr_and_the_flat_guess_are_of_the_person_alone() -> None:
    rng = np.random.default_rng(5)
    person = np.zeros((2, 16, 16), bool)
    person[:, 4:12, 4:12] = True
    true_depth = np.where(person, rng.uniform(0, 0.75, person.shape), 1).astype(np.float32)
    truth = np.full((2, 16, 16, 3), 100, np.uint8)
    ours = np.where(person[..., None], truth + 5, truth + 90).astype(np.uint8)
    seen = Seen(
        ClipArrays(frames=ours, depth=true_depth, depth_kind="person"),
        ClipArrays(frames=truth, depth=true_depth, depth_kind="person", mask=person),
        protocol("clean-8"),
    )

    def value(name: str) -> float:
        sums = METRICS[name].sums
        assert sums is not None
        return value_of(METRICS[name], sums(seen))

    assert value("psnr_person") == pytest.approx(20 * np.log10(255 / 5))
    assert value("depth_rmse_person") == 0
    assert value("depth_rmse_person_flat") == pytest.approx(true_depth[person].std(), rel=1e-5)


def test_edges_that_lie_apart_lower_the_f1() -> None:
    def square(left: int) -> tuple[np.ndarray, np.ndarray]:
        there = np.zeros((64, 64), bool)
        there[16:48, left : left + 24] = True
        return np.where(there[..., None], 200, 40).astype(np.uint8).repeat(3, 2), there

    frame, there = square(20)
    values = []
    for shift in (0, 2, 4, 8):
        depth = np.where(square(20 + shift)[1], 0.3, 1.0)
        values.append(edge_f1(frame[None], depth[None])[0])
    assert values[0] == 1
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.5
    assert np.isnan(edge_f1(frame[None], np.ones((1, 64, 64))))[0]
    assert edge_f1(np.zeros((1, 64, 64, 3), np.uint8), np.where(there, 0.3, 1.0)[None]) == 0


@pytest.mark.parametrize("cut", [1, 2, 4])
def test_edges_count_by_frame_however_a_video_is_cut(cut: int) -> None:
    wide, there = np.zeros((2, 64, 64), bool)
    wide[16:48, 20:44], there[16:48, 26:50] = True, True
    picture = np.where(wide[..., None], 200, 40).astype(np.uint8).repeat(3, 2)
    good, bad, none = (np.where(m, 0.3, 1.0) for m in (wide, there, np.zeros_like(wide)))
    frames, depth = np.stack([picture] * 4), np.stack([good, bad, good, none]).astype(np.float32)
    apart = edge_f1(picture[None], bad[None])[0]
    total = weight = 0.0
    for start in range(0, 4, cut):
        arrays = ClipArrays(frames[start : start + cut], depth[start : start + cut])
        for name in ("edge_f1", "edge_f1_truth"):
            sums = METRICS[name].sums
            assert sums is not None
            found = sums(Seen(arrays, arrays, protocol("clean-8")))
            total, weight = total + found[0], weight + found[1]
    assert total / weight == pytest.approx((2 + apart) / 3)


def test_a_stray_joint_in_its_place_is_no_person() -> None:
    driving = np.random.default_rng(3).uniform(20, 100, (2, 1, 134, 3)).astype(np.float32)
    driving[..., 2] = 1
    whole, stray = driving.copy(), driving.copy()
    whole[..., 0] += 5
    stray[:, :, 1:, 2] = 0
    for found in (np.concatenate(both, axis=1) for both in ((whole, stray), (stray, whole))):
        error = pose_error(found, driving, 128)
        assert (error.akd, error.missing) == (pytest.approx(10, rel=1e-5), 0)


def test_pose_error_is_the_distance_of_the_joints_found_in_both() -> None:
    rng = np.random.default_rng(3)
    driving = rng.uniform(20, 100, (3, 1, 134, 3)).astype(np.float32)
    driving[..., 2] = 1
    moved = driving.copy()
    moved[..., 0] += 3
    moved[..., 1] += 4
    exact = pose_error(moved, driving, 128)
    assert (exact.akd, exact.missing, exact.joints) == (pytest.approx(10, rel=1e-5), 0, 54)
    sides = np.ptp(driving[:, 0, :18, :2], axis=1)  # of the joints' box in each frame
    assert exact.of_body == pytest.approx(5 / sides.max(), rel=1e-5)
    moved[1, 0, :9, 2] = 0
    driving[2, 0, :6, 2] = 0
    assert pose_error(moved, driving, 128).missing == pytest.approx(9 / 48)
    nobody = pose_error(np.zeros_like(driving), driving, 128)
    assert np.isnan(nobody.akd)
    assert nobody.missing == 1
    # A second person beside the one meant changes nothing.
    crowd = np.concatenate([driving + np.float32([60, 0, 0]), driving], axis=1)
    assert pose_error(crowd, driving, 128).akd == 0


def test_joints_that_the_annotator_misreads_in_the_truth_say_nothing_of_what_is_generated() -> None:
    driving = np.zeros((2, 1, 134, 3), np.float32)
    driving[:, 0, :18, :2] = np.random.default_rng(6).uniform(0, 100, (2, 18, 2))
    driving[:, 0, 0, :2], driving[:, 0, 1, :2] = (0, 0), (100, 100)  # a body of 100 pixels
    driving[:, 0, :18, 2] = 1
    in_truth = driving.copy()
    in_truth[0, 0, :6, 0] += 11  # read wrongly
    in_truth[1, 0, 17, 2] = 0  # not found
    in_truth[1, 0, 10, 1] += 9
    read = read_in_truth(in_truth, driving)
    assert (read[..., 2] > 0).sum() == 36 - 6 - 1
    assert np.array_equal(read[..., :2], driving[..., :2])
    made = driving.copy()
    made[..., 1] += 4
    made[0, 0, :6, :2] += 50  # where nothing is said
    made[0, 0, 6, 2] = 0
    found = pose_error(made, read, 128, body=driving)
    assert found.of_body == pytest.approx(0.04, rel=1e-5)
    assert found.missing == pytest.approx(1 / 29)


def test_joints_are_compared_across_and_down_in_frames_of_another_shape() -> None:
    places = np.random.default_rng(2).uniform(0.1, 0.9, (3, 1, 18, 2))

    def exact(name: str, frames: np.ndarray) -> np.ndarray:
        """The joints, where they are in frames of any size, pixels' centres being integers."""
        width_height = frames.shape[2:0:-1]
        found = np.ones((3, 1, 18, 3), np.float32)
        found[..., :2] = places * width_height - 0.5
        return found

    ours, truth = np.zeros((3, 64, 40, 3), np.uint8), np.zeros((3, 48, 96, 3), np.uint8)
    clip = VideoClip("a", "a", Path("a.mp4"))
    watched = Watched(
        Pair(clip, clip), ClipArrays(ours), ClipArrays(truth, keypoints=exact("a", truth)),
        (ours, truth),
    )  # fmt: skip
    metrics = [METRICS[name] for name in ("akd", "akd_body", "akd_body_read", "mkr")]
    sums = measure_clip(
        watched, metrics, protocol("disco-image-16"), Tools(exact), Alignment(1, 0), 4
    )
    assert [value_of(m, sums[m.name]) for m in metrics] == pytest.approx([0, 0, 0, 0], abs=1e-5)


def test_drift_and_motion_are_of_frames_at_the_truths_size() -> None:
    wide = texture(4, 200)
    truth = np.stack([wide[20:148, 20 + 2 * t : 148 + 2 * t] for t in range(17)])
    person = np.zeros(truth.shape[:3], bool)
    person[:, 40:80, 40:80] = True

    def value(name: str, ours: np.ndarray) -> float:
        true = ClipArrays(truth, mask=person)
        sums = METRICS[name].sums
        assert sums is not None
        return value_of(METRICS[name], sums(Seen(ClipArrays(ours), true, protocol("idol-8"))))

    narrow = np.stack([cv2.resize(frame, (64, 128)) for frame in truth])
    assert value("motion", narrow) == pytest.approx(1, abs=0.05)
    levels = np.full((17, 1, 1, 3), 30)
    levels[0] = 20
    grey = (levels * np.ones((1, 96, 64, 1))).astype(np.uint8)
    for name in ("drift", "drift_person"):
        assert value(name, grey) == pytest.approx(10 * 3**0.5)


def test_motion_is_the_shift_that_was_made_and_none_where_stuck() -> None:
    wide = texture(4, 200)
    moving = np.stack([wide[20 + t : 148 + t, 20 + 2 * t : 148 + 2 * t] for t in range(5)])
    assert amount_of_motion(moving) == pytest.approx(5**0.5 * 2, rel=0.03)
    assert amount_of_motion(moving[:1].repeat(5, 0)) < 0.02
    assert amount_of_motion(moving[:1]) == 0


def test_a_container_is_lossy_repeatable_and_of_whole_blocks() -> None:
    container = protocol("disco-tm-16").snippets.container
    assert isinstance(container, Container)
    frames = np.stack([texture(5, 90)[t : t + 70] for t in range(12)])
    data = write_video(frames, container)
    assert data == write_video(frames, container)
    back = through_container(frames, container)
    assert back.shape == (12, 80, 96, 3)
    small = np.stack([cv2.resize(f, (90, 70), interpolation=cv2.INTER_CUBIC) for f in back])
    assert 25 < psnr(small[3], frames[3]) < 60
    assert psnr(small[3], frames[4]) < psnr(small[3], frames[3]) - 3


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_video_is_read_as_it_is_shown(
    tmp_path: Path, make_video: Callable[..., Path], rotation: int
) -> None:
    upright = texture(3, 64)[:48]
    stored = np.ascontiguousarray(np.rot90(upright, -rotation // 90))
    path = make_video(
        tmp_path / "a.mp4", 1, width=stored.shape[1], height=stored.shape[0],
        rotation=rotation, images=[stored],
    )  # fmt: skip
    [read] = read_video(path)
    assert read.shape == upright.shape
    assert psnr(read, upright) > 20


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video at all")
    with pytest.raises(Exception, match=r"a\.mp4: cannot be read as a video"):
        read_video(tmp_path / "a.mp4")


def test_resizing_rounds_and_clips_nothing() -> None:
    frames = np.zeros((1, 16, 16, 3), np.uint8)
    frames[:, :, 8:] = 255
    bicubic = pil_bicubic(frames, 40)
    assert bicubic.min() < -5
    assert bicubic.max() > 260
    assert bicubic.mean() == pytest.approx(127.5, abs=0.5)
    bilinear = torch_bilinear(frames, 40)
    assert (bilinear.min(), bilinear.max()) == pytest.approx((0, 255), abs=1e-3)
    assert np.array_equal(pil_bicubic(frames, 16), frames)
