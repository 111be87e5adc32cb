"""Videos made one at a time: watched, stopped, and the same to the byte from the command line."""

from __future__ import annotations

import dataclasses
import errno
import json
import shlex
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import pytest

from idol.app.clips import example_clips, offered_clips
from idol.app.form import Form, settings
from idol.app.work import Asked, Job, Made, Stopped, Told, Workshop, _stamp
from idol.config.generate import GenerateConfig
from idol.generate.cli import main
from idol.generate.errors import GenerationError
from shards.files.digest import sha256_file
from shards.files.locks import exclusive

KNOWN = settings()
[CLIPS] = example_clips()
FORM = Form(
    person_clip=f"{CLIPS}::people-00002",
    driving_clip=f"{CLIPS}::people-00007",
    settings={"steps": 2, "frames": 8, "seed": 5, "watermark": False, "device": "cpu"},
)


def command(form: Form = FORM, **changes: Any) -> Asked:
    form = dataclasses.replace(form, settings={**form.settings, **changes})
    return Asked(lambda out: form.arguments(KNOWN, out=out, model=None, weights=None))


def checksums(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("made") / "out")


@pytest.fixture(scope="module")
def made(workshop: Workshop) -> Made:
    return Job[Made](lambda job: workshop.make(command(), job)).result()


def test_the_example_clips_are_offered() -> None:
    assert f"{CLIPS}::people-00002-0" in offered_clips([CLIPS])


def test_a_video_has_a_folder_of_its_own(made: Made) -> None:
    assert made.folder.name == "0001"
    assert made.report["settings"]["seed"] == 5
    assert (made.folder / "video.mp4").is_file()


def test_the_command_makes_the_same_bytes(made: Made) -> None:
    given = shlex.split(made.command)
    assert given[0] == "idol-generate"
    assert main(given[1:]) == 0
    again = Path(given[given.index("--out") + 1])
    assert again.name == "0001-again"
    found = checksums(again)
    assert found == checksums(made.folder)
    assert {"video.mp4", "depth.mp4", "report.json", "depth/00000.exr"} <= found.keys()


def test_a_preview_leaves_nothing(workshop: Workshop, made: Made) -> None:
    before = sorted(workshop.out.iterdir())
    png = Job[bytes](lambda job: workshop.preview(command(), job)).result()
    assert png.startswith(b"\x89PNG")
    assert sorted(workshop.out.iterdir()) == before


@pytest.mark.parametrize("stage", ["person", "denoising", "writing"])
def test_what_is_stopped_leaves_nothing(workshop: Workshop, made: Made, stage: str) -> None:
    before = sorted(workshop.out.iterdir())
    seen: list[Told] = []

    class Watched(Job[Made]):
        @property
        def told(self) -> Told:
            return self._told

        @told.setter
        def told(self, told: Told) -> None:
            self._told = told
            seen.append(told)
            if told.stage == stage:
                self.stop()

    job = Watched(lambda job: workshop.make(command(start_frame=1), job))  # not read before
    with pytest.raises(Stopped):
        job.result()
    assert seen[-1].stage == stage
    assert seen[-1].done <= 1  # it did not go on
    assert sorted(workshop.out.iterdir()) == before


def test_an_error_leaves_nothing_and_is_the_commands(workshop: Workshop, made: Made) -> None:
    before = sorted(workshop.out.iterdir())
    job = Job[Made](lambda job: workshop.make(command(frames=3), job))
    with pytest.raises(GenerationError, match=r"taken has 3 frames.*: take more of it"):
        job.result()
    assert sorted(workshop.out.iterdir()) == before


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "no space"), "the disk is full"),
        (MemoryError(), "not enough memory"),
        (ValueError("odd"), "odd"),
        (KeyError("unit"), "KeyError: 'unit': the terminal says more"),
        (cv2.error("resize"), "resize: the terminal says more"),
    ],
)
def test_a_video_stays_whatever_its_page_fails_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fails(*_: Any) -> None:
        raise error

    def generated(_: Workshop, config: GenerateConfig, *__: Any) -> Path:
        (config.out / "video.mp4").write_bytes(b"frames")
        (config.out / "report.json").write_text("{}")
        return config.out / "report.json"

    monkeypatch.setattr("idol.render.run.render", fails)
    monkeypatch.setattr(Workshop, "_generate", generated)
    workshop = Workshop(tmp_path / "out")
    made = Job[Made](lambda job: workshop.make(command(), job)).result()
    assert (made.folder / "video.mp4").read_bytes() == b"frames"
    assert said in str(made.relief)


def test_what_lies_elsewhere_is_read_anew_each_time(tmp_path: Path) -> None:
    assert len({_stamp(Path("s3://bucket/shards")) for _ in range(5)}) == 5
    (tmp_path / "here").write_text("1")
    assert _stamp(tmp_path) == _stamp(tmp_path)


def test_one_at_a_time_and_who_waits_can_leave(workshop: Workshop) -> None:
    go = threading.Event()

    class Slow(Workshop):
        def _generate(self, *_: Any) -> Path:
            go.wait(60)
            raise GenerationError("slow")

    slow = Slow(workshop.out)
    first = Job[Made](lambda job: slow.make(command(), job))
    while first.told.stage != "starting":
        time.sleep(0.01)
    second = Job[Made](lambda job: slow.make(command(), job))
    assert not second.wait(0.3)
    assert second.told.stage == "waiting"
    second.stop()
    with pytest.raises(Stopped):
        second.result()
    go.set()
    with pytest.raises(GenerationError):
        first.result()


def test_uploads_stay_with_what_was_made_of_them(workshop: Workshop, tmp_path: Path) -> None:
    upload = tmp_path / "photo one.jpg"
    upload.write_bytes(b"an upload")
    place = workshop.place(str(upload))
    assert place.name == "photo one.jpg"
    asked = dataclasses.replace(command(), copies={str(upload): str(place)})
    before = sorted(workshop.out.rglob("*"))
    ends = False

    class Looking(Workshop):
        def _generate(self, config: Any, *_: Any) -> Path:
            assert place.read_bytes() == b"an upload"
            if not ends:
                raise GenerationError("unlike a person")
            (config.out / "report.json").write_text("{}")
            return Path(config.out) / "report.json"

    looking = Looking(workshop.out)
    with pytest.raises(GenerationError):
        Job[Made](lambda job: looking.make(asked, job)).result()
    assert sorted(workshop.out.rglob("*")) == before
    ends = True
    Job[bytes](lambda job: looking.preview(asked, job)).result()
    assert sorted(workshop.out.rglob("*")) == before
    made = Job[Made](lambda job: looking.make(asked, job)).result()
    upload.unlink()
    assert place.read_bytes() == b"an upload"
    Job[bytes](lambda job: looking.preview(asked, job)).result()  # it is not its own
    assert place.exists()
    shutil.rmtree(made.folder)


def test_work_that_goes_on_when_the_server_ends_leaves_nothing(tmp_path: Path) -> None:
    upload = tmp_path / "photo.jpg"
    upload.write_bytes(b"an upload")
    began = threading.Event()

    class Endless(Workshop):
        def _generate(self, config: Any, _: Any, stages: Any) -> Path:
            with stages.stage("denoising") as advance:
                (config.out / ".resume").mkdir()
                began.set()
                while True:
                    advance(0, 1)
                    time.sleep(0.01)

    workshop = Endless(tmp_path / "out")
    asked = dataclasses.replace(command(), copies={str(upload): str(workshop.place(str(upload)))})
    works, waits = (Job[Made](lambda job: workshop.make(asked, job)) for _ in range(2))
    assert began.wait(60)
    workshop.close(60)
    for job in (works, waits, Job[Made](lambda job: workshop.make(asked, job))):
        with pytest.raises(Stopped):
            job.result()
    assert not [*(tmp_path / "out").iterdir()]


def test_what_a_killed_server_left_is_removed_by_the_next(tmp_path: Path) -> None:
    out, theirs = tmp_path / "out", tmp_path / "inputs" / "0123456789abcdef" / "mine.jpg"
    copy = out / "inputs" / "0123456789abcdef" / "photo.jpg"
    for number in ("0001", "0002", "0003", "0004", "album"):
        (out / number / ".resume").mkdir(parents=True)
    for file in (copy, theirs):
        file.parent.mkdir(parents=True)
        file.write_bytes(b"a photo")
    (out / "0002" / "report.json").write_text("{}")  # it was done but for its 2.5D page
    copies = [f"{copy.parent.name}/photo.jpg", str(theirs)]
    for number in ("0001", "0002", "0003", "album"):
        said = {"copies": copies if number == "0001" else []}
        (out / f".making-{number}.json").write_text(json.dumps(said))
    with exclusive(out / ".making-0003.lock"):  # another server is at it
        Workshop(out).sweep()
    left = {path.name for path in out.iterdir()}
    assert left == {"0002", "0003", "0004", "album", ".making-0003.json"}
    assert theirs.is_file()


def test_the_reports_are_those_of_the_command(made: Made) -> None:
    assert json.loads((made.folder / "report.json").read_bytes()) == made.report
