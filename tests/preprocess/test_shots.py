"""Shots: where they end, and that every frame is in one at most."""

from preprocess.shots import Break, Shot, gap_breaks, in_words, shots_of
from preprocess.sources.registry import list_videos


def test_a_video_without_breaks_is_one_shot():
    assert shots_of(5, ()) == (Shot(0, 4),)
    assert Shot(0, 4).frames == 5


def test_shots_lie_between_breaks_and_say_what_ends_them():
    assert shots_of(20, [Break(4, 5, "cut"), Break(9, 12, "gap")]) == (
        Shot(0, 4, 0, "start", "cut"),
        Shot(5, 9, 1, "cut", "gap"),
        Shot(12, 19, 2, "gap", "end"),
    )


def test_breaks_may_coincide_and_overlap():
    found = shots_of(20, [Break(9, 10, "size"), Break(9, 10, "cut"), Break(7, 12, "cut")])
    assert found == (Shot(0, 7, 0, "start", "cut"), Shot(12, 19, 1, "cut", "end"))
    assert shots_of(10, [Break(8, 10, "cut")]) == (Shot(0, 8, 0, "start", "cut"),)


def test_a_single_frame_may_be_a_shot():
    assert [s.frames for s in shots_of(3, [Break(0, 1, "cut"), Break(1, 2, "cut")])] == [1, 1, 1]


def test_a_recording_of_a_screen_is_one_shot(tmp_path, make_video):
    pts = [0]
    for step in [10, 10, 66] * 20:  # of 1/600 second
        pts.append(pts[-1] + step)
    make_video(tmp_path / "screen.mkv", len(pts), pts=pts)
    (video,) = list_videos("videos", tmp_path).videos
    assert video.frames == 61
    assert gap_breaks(video, 2.5) == ()


def test_breaks_in_words():
    assert [in_words("cut", 1), in_words("gap", 2)] == ["1 cut", "2 gaps in time"]
