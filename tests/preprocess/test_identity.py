"""One subject a shot: people told apart by place and colours, and known again in each clip."""

import numpy as np
import pytest

from preprocess.annotators.spec import person_mistake
from preprocess.errors import ClipError
from preprocess.identity import (
    Identity,
    Person,
    Sighting,
    choose_track,
    colours_in_box,
    identify,
    prominence,
)

RED, GREEN, BLUE = (190, 40, 40), (40, 160, 60), (40, 60, 180)
WIDTH, HEIGHT, FPS = 200, 100, 10.0


def frame(*people):
    """(H, W, 3): people of (colour, x, width, height) standing on the ground, before grey."""
    image = np.full((HEIGHT, WIDTH, 3), 127, np.uint8)
    for colour, x, width, height in people:
        image[HEIGHT - height :, int(x) : int(x) + width] = colour
    return image


def box(person):
    _, x, width, height = person
    return float(x), float(HEIGHT - height), float(x + width), float(HEIGHT)


def seen(index, *people, rule="largest"):
    image = frame(*people)
    return [
        Sighting(
            index,
            box(p),
            colours_in_box(image, box(p)),
            colours_in_box(image, box(p)),
            prominence(box(p), WIDTH, HEIGHT, rule),
        )
        for p in people
    ]


def identity(survey, rule="largest"):
    return identify(
        [seen(t, *people, rule=rule) for t, people in survey.items()], rule=rule, fps=FPS
    )


def places(person):
    return [(s.frame, s.box[0]) for s in person.sightings]


def test_people_are_told_apart_whatever_their_order():
    survey = {
        t: [(RED, 10 + t, 20, 90), (BLUE, 150 - t, 20, 50)][:: 1 if t % 20 else -1]
        for t in range(0, 100, 10)
    }
    found = identity(survey)
    assert [places(p) for p in found.people] == [
        [(t, 10 + t) for t in survey],
        [(t, 150 - t) for t in survey],
    ]


def test_what_is_known_of_a_person_is_stacked_once():
    survey = {t: [(RED, 10 + t, 20, 90), (BLUE, 150 - t, 20, 50)] for t in range(0, 60, 10)}
    read = []

    class Counted(tuple):
        def __iter__(self):
            read.append(len(self))
            return super().__iter__()

    found = identity(survey)
    counted = Identity(
        found.rule, found.number, tuple(Person(Counted(p.sightings)) for p in found.people), FPS
    )
    (asked,) = seen(65, (RED, 70, 20, 90))
    likeness = counted.likeness(65, asked.box, asked.colours)
    assert likeness == found.likeness(65, asked.box, asked.colours)
    read.clear()
    for _ in range(5):
        assert counted.likeness(65, asked.box, asked.colours) == likeness
        there = counted.subject.similarity(asked.colours, boxed=True)
        stacked = np.array([s.boxed for s in found.subject.sightings])
        plain = np.sort(np.sqrt(stacked * asked.colours).sum(1))[-3:].mean()
        assert there == float(plain)
        assert len(read) == 1  # those in boxes, which nobody had asked for


def test_the_largest_over_all_frames_is_the_subject_not_that_of_any_one():
    survey = {t: [(RED, 20, 20, 60), (BLUE, 140, 20, 40)] for t in range(0, 80, 10)}
    survey[30] = [(RED, 20, 20, 60), (BLUE, 140, 30, 90)]
    assert places(identity(survey).subject)[0] == (0, 20)
    assert places(identity(survey, "2").subject)[0] == (0, 140)
    survey = {t: [(RED, 2, 20, 60), (BLUE, 90, 20, 50)] for t in range(0, 80, 10)}
    assert places(identity(survey, "central").subject)[0] == (0, 90)


def test_who_passes_by_is_less_prominent_than_who_stays():
    survey = {t: [(BLUE, 100, 20, 50)] for t in range(0, 80, 10)}
    survey[40] = [(BLUE, 100, 20, 50), (RED, 20, 40, 95)]
    assert len(identity(survey).people) == 2
    assert len(places(identity(survey).subject)) == len(survey)


def test_nobody_and_fewer_than_asked_for():
    assert identity({0: [], 10: []}) is None
    with pytest.raises(ClipError, match="1 person found in this shot; --person 2"):
        identity({0: [(RED, 10, 20, 60)]}, "2")


def test_another_who_comes_after_the_subject_left_is_another():
    survey = {t: [(RED, 20, 20, 60)] if t < 50 else [(BLUE, 30, 20, 60)] for t in range(0, 100, 10)}
    assert len(identity(survey).people) == 2


def test_who_leaves_and_comes_back_elsewhere_is_the_same():
    survey = {t: [(BLUE, 100, 20, 60)] for t in range(0, 200, 10)}
    survey |= {t: [(RED, 20, 20, 50), (BLUE, 100, 20, 60)] for t in (0, 10, 20)}
    survey |= {t: [(RED, 170, 20, 50), (BLUE, 100, 20, 60)] for t in (150, 160)}
    assert [len(p.sightings) for p in identity(survey).people] == [20, 5]


def test_the_track_of_the_subject_is_chosen_in_any_clip():
    """Two who cross; the clip begins long after, and lists them in another order."""

    def at(t):
        return [(RED, 10 + t, 20, 90), (BLUE, 170 - t, 20, 55)]

    who = identity({t: at(t) for t in range(0, 160, 10)})
    clip = range(100, 108)
    tracks = [{i: box(at(t)[n]) for i, t in enumerate(clip)} for n in (1, 0)]
    frames = [frame(*at(t)) for t in clip]
    assert choose_track(who, tracks, frames, list(clip)) == [1] * 8
    assert choose_track(who, tracks[:1], frames, list(clip)) == [None] * 8


def test_the_place_tells_people_of_one_colour_apart():

    def at(t):
        return [(GREEN, 10, 20, 60), (GREEN, 150, 20, 50)]

    who = identity({t: at(t) for t in range(0, 100, 10)})
    tracks = [{0: box(person)} for person in at(0)]
    assert choose_track(who, tracks, [frame(*at(0))], [50]) == [0]
    assert choose_track(who, tracks[1:], [frame(*at(0))], [50]) == [None]


def test_a_track_that_goes_over_to_another_person_is_cut():
    """As trackers do where people cross: the doubtful frames before go with it."""

    def at(t):
        return [(RED, 40 + 8 * t, 20, 90), (BLUE, 120 - 8 * t, 20, 60)]

    who = identity({t: at(t) for t in range(0, 10, 2)})
    track = {t: box(at(t)[0 if t < 5 else 1]) for t in range(10)}
    frames = [frame(*at(t)[::-1]) for t in range(10)]
    chosen = choose_track(who, [track], frames, range(10))
    assert chosen[:4] == [0] * 4
    assert chosen[6:] == [None] * 4


def test_rules():
    assert [person_mistake(rule) for rule in ("largest", "central", "1", "12")] == [None] * 4
    for rule in ("0", "-1", "tallest", "1.5", "", "100"):
        assert "largest, central, or a number" in person_mistake(rule)
