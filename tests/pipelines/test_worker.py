"""A worker reports what it is about to do, so that what kills it is known."""

import logging
import threading
from pathlib import Path

import numpy as np
import pytest

from pipelines.compute import Compute
from pipelines.engine import _Ledger, _quieten_ray_data, run
from pipelines.gather import Gathering
from pipelines.guard import MAX_DEATHS
from pipelines.plan import make_plan
from pipelines.recipe import Recipe
from pipelines.reporter import Reporter
from pipelines.worker import Setup, Worker
from preprocess.annotators.spec import Hardware
from preprocess.frames import Frame
from preprocess.provenance import Provenance
from preprocess.sources.values import Listing, Video
from shards.errors import StorageError
from shards.files.storage import Store
from shards.waiting import WaitingClips
from tests.pipelines.conftest import BARE
from tests.pipelines.test_plan import Nothing


class Grey:
    def read(self, indices):
        for index in indices:
            yield Frame(index, np.full((40, 40, 3), index, np.uint8), index / 30)

    def fingerprint(self):
        return "grey"


def worker_and_task(reader):
    video = Video("v", 8, 30.0, reader, "v", "train")
    recipe, source = Recipe("videos", clip_length=4, **BARE), Path("source")
    plan = make_plan(recipe, source, Listing((video,)))
    (task,) = plan.tasks(plan.shards)
    return Worker(Setup(recipe, source, None, Hardware(), Provenance({}, {}, {}))), task


def test_the_survey_is_told_before_the_clips():
    worker, task = worker_and_task(Grey())
    started, made = [], {}
    outcome = worker.run(task, starting=started.append, made=made.__setitem__)
    assert started == ["survey of shot 0 of v", "videos-v-0", "videos-v-4"]
    assert [made[place][0] for place in (0, 1)] == ["videos-v-0", "videos-v-4"]
    assert outcome.made == (0, 1)
    assert not outcome.quarantined


def test_all_tasks_share_their_two_threads(monkeypatch):
    """A thread's end runs Python functions in which Ctrl-C is forgotten."""
    started = []
    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda t: (started.append(t), start(t)))
    worker, task = worker_and_task(Grey())
    for _ in range(3):
        assert len(worker.run(task).made) == 2
    assert len(started) == 2
    assert all(thread.is_alive() for thread in started)


class Counted(Grey):
    def __init__(self):
        self.reads = []

    def read(self, indices):
        self.reads.append(list(indices))
        return super().read(indices)


def test_the_tasks_of_a_shot_are_read_in_one_go():
    video = Video("v", 96, 30.0, reader := Counted(), "v", "train")
    recipe, source = Recipe("videos", clip_length=4, **BARE), Path("source")
    plan = make_plan(recipe, source, Listing((video,)))
    worker = Worker(Setup(recipe, source, None, Hardware(), Provenance({}, {}, {})))
    tasks = plan.tasks(plan.shards)
    assert len(tasks) == 3
    for task in tasks:
        assert len(worker.run(task).made) == 8
    _, clips = reader.reads  # the survey's first
    assert clips == list(range(96))
    worker.run(tasks[1], careful=True)
    assert reader.reads[2:] == [list(range(32, 64))]


def test_a_survey_that_kills_costs_its_shot_once():
    """Three deaths, not three for each clip; nothing of the shot is read any more."""
    worker, task = worker_and_task(Nothing())
    ledger = _Ledger()
    assert ledger.begin(0) is False
    for _ in range(MAX_DEATHS - 1):
        assert ledger.begin(0) is True
        assert not ledger.deadly()
        ledger.at(0, "survey of shot 0 of v")
    assert ledger.begin(0) is True
    given_up = dict.fromkeys(ledger.deadly(), "killed its worker")
    started = []
    outcome = worker.run(task, given_up=given_up, starting=started.append)
    assert [clip.reason for clip in outcome.quarantined.values()] == [
        "the survey of its shot killed its worker"
    ] * 2
    assert started == []


def test_a_clip_given_up_is_not_read():
    worker, task = worker_and_task(Nothing())
    given_up = dict.fromkeys(("videos-v-0", "videos-v-4"), "killed its worker")
    outcome = worker.run(task, given_up=given_up)
    assert [clip.reason for clip in outcome.quarantined.values()] == ["killed its worker"] * 2


def test_errors_are_told_but_those_of_rays_own_figures():
    """After a kill the actor of Ray Data's figures fails every 5 seconds, which harms nothing."""
    import ray.data
    from ray._private.worker import _unhandled_error_handler

    told = []
    listener = logging.Handler()
    listener.emit = lambda record: told.append(record.getMessage())
    logger = logging.getLogger("ray._private.worker")
    logger.addHandler(listener)
    try:
        _quieten_ray_data(ray)
        _unhandled_error_handler(KeyError("ray::_StatsActor.update_execution_metrics()"))
        assert told == []
        _unhandled_error_handler(KeyError("ray::_commit()"))
        assert len(told) == 1
    finally:
        logger.removeHandler(listener)


class NoRoom:
    """Hands that cannot keep a clip."""

    def worker(self):
        return self

    def run(self, task, attempt):
        raise StorageError("cannot write out/a: the disk is full")


@pytest.mark.slow
def test_what_a_ray_worker_says_reaches_the_user(tmp_path, ray_is_up):
    recipe = Recipe("videos", clip_length=4, **BARE)
    plan = make_plan(recipe, tmp_path, Listing((Video("v", 8, 30.0, Grey(), "v", "train"),)))
    gathering = Gathering(plan, plan.shards, WaitingClips(Store.at(tmp_path), "0" * 64))
    compute = Compute(workers=1)
    with pytest.raises(StorageError, match=r"^cannot write out/a: the disk is full$"):
        list(run(gathering, NoRoom(), recipe, Hardware(), compute, Reporter()))
