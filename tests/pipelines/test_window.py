"""Frames are read ahead, so far and no farther, and what is wrong with one is its own clip's."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from pipelines.window import AHEAD, Window
from preprocess.errors import ClipError
from preprocess.frames import Frame
from shards.threads import Threads
from tests.processes import until_there


@dataclass
class Recorded:
    """Grey frames; those of `bad` raise."""

    bad: dict[int, Exception] = field(default_factory=dict)
    begun: int = 0
    given: list[int] = field(default_factory=list)

    def read(self, indices):
        self.begun += 1
        for index in indices:
            if index in self.bad:
                raise self.bad[index]
            self.given.append(index)
            yield Frame(index, np.zeros((4, 4, 3), np.uint8), 0.0)


@pytest.fixture
def thread():
    threads = Threads(1, "reader")
    yield threads
    threads.end()


def indices_of(frames):
    return [frame.index for frame in frames]


def test_frames_are_read_before_they_are_taken_up_to_the_reach(thread):
    reader = Recorded()
    window = Window(reader, range(100), thread)
    window.reach(9)
    assert indices_of(window.take(range(4))) == [0, 1, 2, 3]
    until_there(lambda: reader.given == list(range(10)))
    thread.ask(str).take()  # nothing else was asked for
    assert reader.given == list(range(10))


def test_no_more_is_held_than_there_is_room_for(thread):
    reader = Recorded()
    window = Window(reader, range(100), thread)
    window.reach(99)
    window.take([0])
    until_there(lambda: len(reader.given) == 1 + AHEAD)
    thread.ask(str).take()
    assert len(reader.given) == 1 + AHEAD


def test_without_a_thread_nothing_is_read_ahead():
    reader = Recorded()
    window = Window(reader, range(100), None)
    window.reach(99)
    window.take(range(4))
    assert reader.given == [0, 1, 2, 3]


@pytest.mark.parametrize("error", [ValueError("odd"), ClipError("frame 5 is lost")])
def test_an_error_is_raised_where_its_frame_is_taken(thread, error):
    window = Window(Recorded(bad={5: error}), range(12), thread)
    window.reach(11)
    assert indices_of(window.take(range(4))) == [0, 1, 2, 3]
    with pytest.raises(type(error), match=str(error)):
        window.take(range(4, 8))
    assert indices_of(window.take(range(8, 12))) == [8, 9, 10, 11]


def test_a_task_goes_on_where_the_one_before_has_stopped(thread):
    reader = Recorded()
    window = Window(reader, range(30), thread)
    window.reach(7)
    for first in (0, 4):
        window.take(range(first, first + 4))
    assert not window.continues(range(12, 20))  # what lies between would be read for nothing
    assert window.continues(range(6, 14))
    window.reach(13)
    window.take(range(6, 14))
    assert (reader.begun, reader.given) == (1, list(range(14)))
    assert not window.continues(range(4, 20))  # 4 and 5 are gone


def test_where_memory_fails_what_is_read_ahead_is_waited_for(thread):
    reader = Recorded(bad={6: MemoryError()})
    window = Window(reader, range(12), thread)
    window.reach(11)
    window.take(range(4))
    tries = []

    def work():
        tries.append(list(reader.given))
        if len(tries) == 1:
            raise MemoryError
        return "made"

    assert window.in_calm(work) == "made"
    assert tries[1] == list(range(6))
    tries.clear()
    with pytest.raises(MemoryError):
        Window(reader, range(12), None).in_calm(work)
