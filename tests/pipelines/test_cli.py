"""`idol-prep`: every mistake gets one clear line, a dry run touches nothing."""

import pytest

from pipelines.cli import main
from shards.inspect.console import human_bytes, human_duration


def build(*options):
    return main(["build", *map(str, options)])


BARE = ("--mask", "none", "--pose", "none", "--depth", "none", "--crop", "center", "--workers", "0")


def test_wrong_paths_and_values_exit_with_2(tmp_path, capsys):
    source, out, empty = tmp_path / "source", tmp_path / "out", tmp_path / "empty"
    empty.mkdir()
    for options, message in (
        (("--source", tmp_path, "--out", out), "choose an --out outside"),
        (("--source", "", "--out", out), "--source is empty"),
        (("--out", out), "--source is missing: give it, the folder of the dataset"),
        (
            ("--source", source, "--source", empty, "--out", out),
            "--source was given 2 times: give one",
        ),
        (
            ("--source", "http://127.0.0.1:9/a", "--out", out),
            "idol-prep: http://127.0.0.1:9/a: ",
        ),
        (("--source", source, "--out", out), "does not exist"),
        (("--source", empty, "--out", out), "holds no video file"),
        (("--source", empty, "--out", out, "--workers", "-1"), "workers must be 0 or more"),
        (("--source", empty, "--out", out, "--size", "1"), "size must be between"),
        (("--source", empty, "--out", out, "--max-quarantine", "-1"), "--max-quarantine"),
    ):
        assert build("--dataset", "videos", *options) == 2
        error = capsys.readouterr().err
        assert message in error
        assert "Traceback" not in error
    assert not out.exists()


def test_an_unknown_option_is_refused(capsys):
    assert build("--dataset", "videos", "--out", "o", "--soruce", "x") == 2
    assert "--source" in capsys.readouterr().err


def test_missing_weights_are_named_before_anything_is_written(tmp_path, make_video, capsys):
    make_video(tmp_path / "source" / "a.mp4", 16)
    options = ("--dataset", "videos", "--source", tmp_path / "source", "--out", tmp_path / "out")
    assert build(*options, "--weights", tmp_path / "nothing", "--workers", "0") == 2
    assert "idol-prep weights fetch lite" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_of_other_things_is_not_touched(tmp_path, make_video, capsys):
    make_video(tmp_path / "source" / "a.mp4", 16)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("do not touch")
    options = ("--dataset", "videos", "--source", tmp_path / "source", "--out", tmp_path / "out")
    assert build(*options, *BARE) == 2
    assert "thesis.tex" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("dry", [pytest.param((), marks=pytest.mark.slow), ("--dry-run",)])
def test_an_unusable_out_is_found_before_the_source_is_read(tmp_path, make_video, capsys, dry):
    source = tmp_path / "not there"  # which would be the next complaint
    file = tmp_path / "file"
    file.write_text("")
    options = ("--dataset", "videos", "--source", source, *BARE, *dry)
    for out, message in (
        (file, "is a file"),
        (file / "out", f"{file} is not a folder"),
        ("/proc/out", "cannot write into /proc"),
        ("s4://bucket/out", "s4"),
        ("", "the path is empty"),
    ):
        assert build(*options, "--out", out) == 2
        error = capsys.readouterr().err
        assert message in error
        assert "not there" not in error
    make_video(tmp_path / "source" / "a.mp4", 16)
    out = tmp_path / "out"
    made = ("--dataset", "videos", "--source", tmp_path / "source", "--out", out, *BARE)
    assert build(*made) == 0
    assert build(*options, "--out", out, "--size", "64") == 2
    assert "size: 256 there, 64 here" in capsys.readouterr().err


def test_a_dry_run_prints_plan_and_cost_and_writes_nothing(tmp_path, make_video, capsys):
    make_video(tmp_path / "source" / "a.mp4", 40)
    options = ("--dataset", "videos", "--source", tmp_path / "source", "--out", tmp_path / "out")
    assert build(*options, *BARE, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "2 of 16 frames" in shown
    assert "a clip" in shown
    assert not (tmp_path / "out").exists()


def test_unreadable_files_count_as_failures(tmp_path, make_video, capsys):
    make_video(tmp_path / "source" / "good.mp4", 16)
    (tmp_path / "source" / "bad [1].mp4").write_bytes(b"bad")
    options = ("--dataset", "videos", "--source", tmp_path / "source", "--out", tmp_path / "out")
    assert build(*options, *BARE) == 1
    assert "bad [1].mp4" in capsys.readouterr().out
    assert build(*options, *BARE, "--max-quarantine", "1") == 0


def test_weights_commands(tmp_path, capsys):
    assert main(["weights", "where", "lite", "--weights", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "lite")
    assert main(["weights", "check", "lite", "--weights", str(tmp_path)]) == 1
    assert main(["weights", "check", "--weights", str(tmp_path)]) == 0
    assert main(["weights", "list"]) == 0
    assert "lite/face_landmark.tflite" in capsys.readouterr().out
    assert main(["weights", "fetch", "nonsense"]) == 2


def test_units():
    assert [human_duration(s) for s in (3, 89, 91, 5400, 200_000)] == [
        *("3 s", "89 s", "2 min", "1.5 h", "2.3 days")
    ]
    assert [human_bytes(b) for b in (999, 1500, 2.5e9)] == ["999 B", "1.5 kB", "2.5 GB"]


@pytest.mark.parametrize("option", ["--out", "--source", "--weights", "--recipe"])
def test_a_home_that_nobody_has_is_one_line(option, tmp_path, capsys):
    (tmp_path / "source").mkdir()
    given = {"--source": str(tmp_path / "source"), "--out": str(tmp_path / "out")}
    given |= {"--dataset": "videos", option: "~no-such-user/x"}
    assert main(["build", *(word for pair in given.items() for word in pair)]) == 2
    assert "~no-such-user/x: no home is known for ~no-such-user" in capsys.readouterr().err
