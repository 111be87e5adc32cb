"""`idol-eval score`, `run` and `compare`, from folders to tables."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from idol.evaluate.cli import main
from idol.evaluate.protocols import protocol
from idol.evaluate.score import _kept
from idol.evaluate.snippets import Cutter, segments
from tests.idol.evaluate.made import dataset, depth, frames, person, write_depth, write_folder

# Networks are evalnet's matter; an empty folder of weights has none.
_FRAMES = ["depth_rmse", "depth_rmse_person", "absrel", "delta1", "dtssd", "psnr", "l1", "motion"]


def generated(root: Path, *, offset: float, noise: int = 0, clips: int = 2) -> Path:
    """What a generator would make of `dataset`: its frames with noise, its depth off by so much on
    the person."""
    for v in range(3):
        for c in range(clips):
            rgb = frames(10 * v + c).astype(int)
            rgb += np.random.default_rng(v).integers(-noise, noise + 1, rgb.shape)
            depths = depth() + np.where(person(), np.float32(offset), np.float32(0))
            folder = root / f"videos-v{v}-{8 * c}"
            write_folder(folder, rgb.clip(0, 255).astype(np.uint8), depths)
    return root


def scored(tmp_path: Path, name: str, *arguments: str, code: int = 0) -> dict:
    out = tmp_path / f"scores-{name}"
    given = [
        *("score", "--generated", str(tmp_path / name), "--reference", str(tmp_path / "shards")),
        *("--protocol", "clean-8", "--out", str(out), "--weights", str(tmp_path / "none")),
        *("--pose", "none", *arguments),
    ]
    assert main(given) == code
    return json.loads((out / "scores.json").read_text()) if code == 0 else {}


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    dataset(tmp_path / "shards")
    generated(tmp_path / "near", offset=0.0625)
    generated(tmp_path / "far", offset=0.125, noise=20)
    return tmp_path


def test_a_depth_error_known_by_construction_reaches_the_scores(
    sets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = scored(sets, "near")
    metrics = result["metrics"]
    # Depth in shards is 8-bit `hot`, true to 7.5e-4.
    assert metrics["depth_rmse_person"]["value"] == pytest.approx(0.0625, abs=8e-4)
    share = person().mean()
    assert metrics["depth_mse"]["value"] == pytest.approx(0.0625**2 * share, rel=0.03)
    assert metrics["absrel"]["value"] < 0.002
    assert metrics["delta1"]["value"] == 1
    assert metrics["psnr"]["value"] > 30
    assert metrics["motion"]["value"] == pytest.approx(1, abs=0.1)
    assert metrics["psnr"]["videos"] == 3
    assert result["counts"]["clips"] == 6
    assert result["protocol"]["hash"] == protocol("clean-8").hash
    said = capsys.readouterr().out
    assert f"Protocol clean-8 ({protocol('clean-8').hash[:12]})" in said
    # What is not there is said, never left out.
    absent = result["not_computed"]
    assert "i3d" in absent["fvd"]
    assert absent["seam"] == "clips have 8 frames at most, and seams need 17"
    assert absent["akd"] == "--pose none was given"
    assert "lpips" in absent["lpips"]
    assert not set(metrics) & set(absent)
    assert "Not computed:" in said


def test_a_still_truth_neither_rules_the_ratio_of_motion_nor_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The row is mean motion over mean motion, of any truth that moves; not a mean of ratios."""
    moving, other = frames(0), frames(1)
    still = np.clip(other[:1].astype(int) + np.arange(8)[:, None, None, None] // 7, 0, 255)
    truths = {"a": moving, "b": still.astype(np.uint8), "c": moving[:1].repeat(8, 0)}
    for name, truth in truths.items():
        write_folder(tmp_path / "shards" / name, truth)
        write_folder(tmp_path / "ours" / name, other if name == "b" else truth)
        write_folder(tmp_path / "stuck" / name, truth[:1].repeat(8, 0))
    metrics = scored(tmp_path, "ours", "--metrics", "motion")["metrics"]
    assert metrics["motion_truth"]["videos"] == 3
    assert 1.9 < metrics["motion"]["value"] < 2.1
    assert metrics["motion"]["left_out"] == {
        "videos": 1,
        "why": "it has one frame, or the truth does not move at all",
    }
    assert "motion: 1 of 3 videos: it has one frame, or" in capsys.readouterr().out
    assert scored(tmp_path, "stuck", "--metrics", "motion")["metrics"]["motion"]["value"] < 0.1
    folders = [str(tmp_path / f"scores-{name}") for name in ("ours", "stuck")]
    capsys.readouterr()
    assert main(["compare", *folders, "--json"]) == 0
    (difference,) = json.loads(capsys.readouterr().out)["differences"]
    assert -2.1 < difference["metrics"]["motion"]["value"] < -1.9


def test_scores_may_lie_among_the_clips(sets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sets / "near")
    given = ["score", "--generated", ".", "--reference", str(sets / "shards"), "--out", "scores"]
    said = []
    for _ in range(2):  # the folder is made by the first
        assert main([*given, "--protocol", "clean-8", "--metrics", "psnr", "--pose", "none"]) == 0
        said.append((sets / "near" / "scores" / "scores.json").read_bytes())
    assert said[0] == said[1]
    assert json.loads(said[0])["name"] == "near"


def test_the_same_command_gives_the_same_bytes(sets: Path) -> None:
    scored(sets, "near", "--metrics", *_FRAMES)
    first = (sets / "scores-near" / "scores.json").read_bytes()
    scored(sets, "near", "--metrics", *_FRAMES)
    assert (sets / "scores-near" / "scores.json").read_bytes() == first


def test_a_required_metric_that_cannot_be_computed_fails(
    sets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored(sets, "near", "--require", "fvd", code=2)
    err = capsys.readouterr().err
    assert err.startswith("idol-eval: required, and cannot be computed")
    assert "fvd: " in err
    assert not (sets / "scores-near" / "scores.json").exists()
    scored(sets, "near", "--require", "fdv", code=2)
    assert "--require fdv: no such metric; there are: fid_fvd, fvd" in capsys.readouterr().err


@pytest.mark.parametrize("given", [("--limit", "1"), ("--split", "nonsense")])
def test_options_of_shards_are_refused_where_there_are_none(
    tmp_path: Path, given: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("shards", "ours"):
        write_folder(tmp_path / name / "a", frames(0))
    scored(tmp_path, "ours", "--metrics", "psnr", *given, code=2)
    said = capsys.readouterr().err
    assert said.startswith(f"idol-eval: {given[0]}: for shards, and neither ")
    assert len(said.splitlines()) == 1


def test_an_unknown_annotator_is_an_error_and_an_absent_one_a_reason(
    sets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ("--metrics", "depth_rmse", "psnr", "--estimate-depth")
    scored(sets, "near", *wanted, "nobody", code=2)
    assert "--estimate-depth must be lite, hdnet" in capsys.readouterr().err
    result = scored(sets, "near", *wanted, "midas")
    assert "is not there" in result["not_computed"]["depth_rmse"]
    assert result["depth_estimated_by"] is None


def test_a_frame_that_cannot_be_read_is_an_error(
    sets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = sets / "near" / "videos-v1-8" / "0004.png"
    file.write_bytes(file.read_bytes()[:-200])
    scored(sets, "near", "--metrics", "psnr", code=2)
    assert "0004.png: not a JPEG or PNG, or cut short" in capsys.readouterr().err


def test_exchanged_folders_are_an_error_unless_allowed(
    sets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    near = sets / "near"
    (near / "videos-v0-0").rename(near / "x")
    (near / "videos-v1-0").rename(near / "videos-v0-0")
    (near / "x").rename(near / "videos-v1-0")
    scored(sets, "near", "--metrics", "psnr", code=2)
    assert "videos-v0-0 and videos-v1-0 look exchanged" in capsys.readouterr().err
    scored(sets, "near", "--metrics", "psnr", "--allow-swapped")


def test_rows_are_laid_out_as_the_papers(sets: Path) -> None:
    scored(sets, "near", "--metrics", "depth_rmse", "--name", "A & B")
    folder = sets / "scores-near"
    markdown = (folder / "table.md").read_text()
    assert "| Method | FID-FVD ↓ | FVD ↓ | L2 ↓ | FID ↓ |" in markdown
    assert re.search(r"\| A & B \| - \| - \| 0\.03\d\d \| - \|", markdown)
    latex = (folder / "table.tex").read_text()
    assert re.search(r"A \\& B & - & - & 0\.03\d\d & - \\\\", latex)
    assert protocol("clean-8").hash[:12] in latex


@pytest.mark.parametrize("side", [64, 32])
def test_protocols_that_resize_frames_resize_depth(
    tmp_path: Path, side: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The frames are twice as large as the truth's; their depth is as large as one of both."""
    truth, ours = frames(0, size=32), frames(0, size=64)
    near = np.where(person(size=side), np.float32(0.0625), np.float32(0))
    write_folder(tmp_path / "shards" / "a", truth, depth())
    write_folder(tmp_path / "ours" / "a", ours)
    write_depth(tmp_path / "ours" / "a" / "depth", depth(size=side) + near)
    asked = ("--metrics", "psnr", "depth_rmse_person", "absrel", "edge_f1", "dtssd")
    result = scored(tmp_path, "ours", "--protocol", "disco-tm-16", *asked)
    error = result["metrics"]["depth_rmse_person"]["value"]
    assert error == pytest.approx(0.0625, abs=0.01)
    assert result["counts"]["frames_resized"] == 8
    write_folder(tmp_path / "ours" / "a", truth)
    scored(tmp_path, "ours", "--overwrite", "--metrics", "psnr")
    if side == 64:
        scored(tmp_path, "ours", "--overwrite", *asked, code=2)
        assert "ours/a: depth is 64x64, but the frames are 32x32" in capsys.readouterr().err


def test_frames_too_small_for_ssim_are_scored_by_the_rest(tmp_path: Path) -> None:
    for name in ("shards", "ours"):
        write_folder(tmp_path / name / "a", frames(0, size=8))
    result = scored(tmp_path, "ours", "--metrics", "ssim", "psnr")
    assert result["metrics"]["psnr"]["value"] == 100
    assert "its frames are smaller than SSIM's window" in result["not_computed"]["ssim"]


def test_comparison_is_paired_over_videos(sets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = []
    for name in ("near", "far"):
        scored(sets, name, "--metrics", *_FRAMES)
        folders.append(str(sets / f"scores-{name}"))
    capsys.readouterr()
    assert main(["compare", *folders, "--json"]) == 0
    (difference,) = json.loads(capsys.readouterr().out)["differences"]
    found = difference["metrics"]["depth_rmse_person"]
    assert found["value"] == pytest.approx(0.0625, abs=1e-3)
    assert 0 < found["low"] <= found["high"]
    assert difference["metrics"]["psnr"]["high"] < 0
    assert "not computed" in difference["not_compared"]["fvd"]
    assert main(["compare", *folders]) == 0
    assert "far - near" in capsys.readouterr().out


def test_protocols_and_references_are_not_mixed(
    sets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = sets / "scores-near", sets / "other"
    scored(sets, "near", "--metrics", "psnr")
    shutil.copytree(a, b)
    said = json.loads((b / "scores.json").read_text())
    ours = protocol("idol-8")
    said["protocol"] |= {"name": ours.name, "hash": ours.hash}
    (b / "scores.json").write_text(json.dumps(said))
    for more in ((), ("--paper", "tab1")):
        assert main(["compare", str(a), str(b), *more]) == 2
        assert "different protocols do not go into one table" in capsys.readouterr().err
    said["protocol"] = json.loads((a / "scores.json").read_text())["protocol"]
    said["reference"]["sha256"] = "0" * 64
    (b / "scores.json").write_text(json.dumps(said))
    assert main(["compare", str(a), str(b)]) == 2
    assert "against other references" in capsys.readouterr().err
    assert main(["compare"]) == 2
    assert "give the folders" in capsys.readouterr().err
    assert main(["compare", str(sets)]) == 2
    assert "has no scores.json" in capsys.readouterr().err


def edited(sets: Path, **changes: dict | str) -> Path:
    """A copy of the scores of `near` that says otherwise in parts."""
    said = json.loads((sets / "scores-near" / "scores.json").read_text())
    for name, change in changes.items():
        said[name] = said[name] | change if isinstance(change, dict) else change
    (sets / "edited").mkdir()
    (sets / "edited" / "scores.json").write_text(json.dumps(said))
    return sets / "edited"


@pytest.mark.parametrize(
    ("changes", "gone", "why"),
    [
        ({"annotators": {"pose": {"version": 2}}}, "akd", "another annotator"),
        ({"annotators": {"lpips": {"vgg.pth": "0"}}}, "lpips", "its network had other weights"),
        ({"settings": {"stride": 2}}, "seam", "--stride was another"),
        ({"settings": {"depth": "frame"}}, "absrel", "--depth was another"),
        ({"reference": {"annotations_sha256": "0"}}, "akd", "other masks or key points"),
        ({"reference": {"annotations_sha256": "0"}}, "depth_rmse_person", "other masks"),
        ({"reference": {"annotations_sha256": "0"}}, "absrel", "other masks"),
    ],
)
def test_what_was_measured_otherwise_is_not_compared(
    sets: Path, changes: dict[str, dict], gone: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = scored(sets, "near", "--metrics", "psnr", "depth_rmse_person", "absrel")
    for name in ("akd", "lpips", "seam"):  # as if it had been there
        result["metrics"][name] = result["metrics"]["psnr"]
        for values in result["videos"].values():
            values[name] = 1.0
    result["reference"]["kind"] = "folders"
    (sets / "scores-near" / "scores.json").write_text(json.dumps(result))
    capsys.readouterr()
    first, other = str(sets / "scores-near"), str(edited(sets, **changes))
    for against, absent in ((first, False), (other, True)):
        assert main(["compare", first, against, "--json"]) == 0
        (found,) = json.loads(capsys.readouterr().out)["differences"]
        assert (gone in found["metrics"]) is not absent
        assert "psnr" in found["metrics"]
    assert why in found["not_compared"][gone]


def test_depth_that_was_estimated_before_is_marked(sets: Path) -> None:
    for name in ("near", "far"):
        for folder in (sets / name).iterdir():
            said = {"depth_kind": "person"} | (
                {"depth_estimated_by": "lite"} if name == "far" else {}
            )
            (folder / "clip.json").write_text(json.dumps(said))
    assert scored(sets, "near", "--metrics", "depth_rmse")["depth_estimated_by"] is None
    assert scored(sets, "far", "--metrics", "depth_rmse")["depth_estimated_by"] == "lite"
    table = (sets / "scores-far" / "table.md").read_text()
    assert "§ |" in table
    assert "Depth was estimated afterwards, by lite" in table


def test_other_masks_of_the_same_frames_are_told_apart(tmp_path: Path) -> None:
    sums = []
    for name, light in (("a", 255), ("b", 0)):
        for side in ("truth", "ours"):
            folder = write_folder(tmp_path / f"{side}-{name}" / "clip", frames(0))
            (folder / "mask").mkdir()
            for number in range(8):
                cv2.imwrite(str(folder / "mask" / f"{number}.png"), np.full((32, 32), light, "u1"))
        reference = str(tmp_path / f"truth-{name}")
        result = scored(tmp_path, f"ours-{name}", "--reference", reference, "--metrics", "psnr")
        sums.append(result["reference"])
    assert sums[0]["sha256"] == sums[1]["sha256"]
    assert sums[0]["annotations_sha256"] != sums[1]["annotations_sha256"]


def test_results_of_one_name_are_called_by_their_folders(
    sets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = []
    for name in ("near", "far"):
        scored(sets, name, "--metrics", "psnr", "--name", "final")
        folders.append(str(sets / f"scores-{name}"))
    capsys.readouterr()
    assert main(["compare", *folders, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["against"] == f"final ({folders[0]})"
    assert said["differences"][0]["name"] == f"final ({folders[1]})"


def test_a_result_that_lacks_a_part_is_one_line(
    sets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored(sets, "near", "--metrics", "psnr")
    other = edited(sets, videos="gone")
    assert main(["compare", str(sets / "scores-near"), str(other)]) == 2
    assert "is damaged, it has no videos" in capsys.readouterr().err


@pytest.mark.parametrize("left", [0, 60, 200])
def test_damaged_findings_are_looked_for_again(tmp_path: Path, left: int) -> None:
    file = tmp_path / "found.npy"
    points = np.ones((8, 1, 18, 3), np.float32)
    assert _kept(file, 8) is None
    np.save(file, points)
    kept = _kept(file, 8)
    assert kept is not None
    assert np.array_equal(kept, points)
    assert _kept(file, 7) is None
    file.write_bytes(file.read_bytes()[:left])
    assert _kept(file, 8) is None


def test_the_papers_rows_are_set_beside_ours_and_ours_marked(
    sets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored(sets, "near", "--metrics", "depth_rmse")
    capsys.readouterr()
    assert main(["compare", str(sets / "scores-near"), "--paper", "tab1"]) == 0
    said = capsys.readouterr().out
    for cell in ("17.86", "223.69", "0.0336", "36.04", "0.0975†", "1439.50"):
        assert cell in said
    assert re.search(r"near +videos +- +- +0\.03\d\d +- +a,b", said)
    assert "a  other protocol: clean-8" in said
    assert "b  other data: videos, 3 videos" in said
    assert main(["compare", str(sets / "scores-near"), "--paper", "tab9"]) == 2


def test_temporal_protocols_see_frame_0_alone_and_the_container(sets: Path) -> None:
    out = sets / "tm"
    given = [
        *("score", "--generated", str(sets / "far"), "--reference", str(sets / "shards")),
        *("--out", str(out), "--weights", str(sets / "none"), "--pose", "none"),
        *("--protocol", "idol-8", "--metrics", "l1", "psnr", "dtssd_frames"),
    ]
    folder = sets / "far" / "videos-v0-0"
    first = frames(0)[0]
    for clip in (sets / "far").iterdir():
        write_folder(clip, frames(7))
        v, c = int(clip.name[8]), int(clip.name[-1] == "8")
        write_folder(clip, frames(10 * v + c)[:1])
    assert (folder / "0000.png").exists()
    assert first.shape == (32, 32, 3)
    assert main(given) == 0
    metrics = json.loads((out / "scores.json").read_text())["metrics"]
    # Frame 0 is the truth's but for the dataset's JPEG; the others are of another texture.
    assert metrics["psnr"]["value"] > 30
    assert metrics["l1"]["value"] < 0.01
    assert metrics["dtssd_frames"]["value"] > 100


def test_snippets_are_cut_as_each_protocol_says() -> None:
    film = np.arange(20)[:, None, None, None] * np.ones((1, 1, 1, 3))

    def cut(name: str, step: int, runs: list[tuple[range, np.ndarray]]) -> list[list[int]]:
        cutter = Cutter(protocol(name).snippets, step)
        return [
            [int(frame[0, 0, 0]) for frame in snippet]
            for numbers, run in runs
            for snippet in cutter.push(numbers, run)
        ]

    assert [s[0] for s in cut("clean-8", 8, [(range(20), film)])] == [0, 8]
    assert [s[0] for s in cut("clean-8", 1, [(range(20), film)])] == list(range(13))
    assert cut("clean-8", 8, [(range(7), film[:7])]) == []
    assert [len(s) for s in cut("idol-8", 1, [(range(20), film), (range(3), film[:3])])] == [20, 3]
    # By file numbers a snippet may span two clips, and none spans a gap.
    halves = [(range(10), film[:10]), (range(10, 20), film[10:])]
    assert [s[0] for s in cut("disco-image-16", 1, halves)] == [0, 1, 2, 3, 4]
    gap = [(range(10), film[:10]), (range(11, 21), film[10:])]
    assert cut("disco-image-16", 1, gap) == []
    with pytest.raises(Exception, match="frame 9 comes after frame 9"):
        cut("disco-image-16", 1, [(range(10), film[:10]), (range(9, 19), film[10:])])
    padded = segments(film, 16)
    assert padded.shape == (2, 16, 1, 1, 3)
    assert padded[1, :, 0, 0, 0].tolist() == [16, 17, 18, 19] + [19] * 12


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--samples", "0"), "--samples must be from 100 "),
        (("--samples", "-5"), "--samples must be from 100 "),
        (("--seed", "-1"), "--seed must be from 0 "),
    ],
)
def test_a_bootstrap_that_cannot_be_is_one_line(
    tmp_path: Path, given: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(tmp_path), *given]) == 2
    assert said in capsys.readouterr().err


def test_two_depths_of_one_side_are_refused(sets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--generated-depth", str(sets / "near"), "--estimate-depth", "lite")
    scored(sets, "near", *given, code=2)
    assert "--generated-depth gives depth, and --estimate-depth lite" in capsys.readouterr().err
