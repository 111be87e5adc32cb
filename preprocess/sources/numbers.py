"""Which frame of its video an image is, as far as the images' names say."""

from collections.abc import Iterable, Sequence

import numpy as np

from preprocess.sources.files import numerically

__all__ = ["distinct", "frame_numbers"]


def frame_numbers(names: Sequence[str]) -> tuple[int, ...]:
    """The frame's number in each name (without suffix), names being sorted numerically.

    Numbers may begin anywhere, and some may be missing. A name may hold several, as in
    `cam2_frame0013_1080`: the frame's is the one that grows from name to name, and of several that
    do, the one that grows most slowly. Empty where names are not alike but for their numbers, or
    none of these grows: frames can only be counted then.
    """
    parts = [numerically(name) for name in names]
    if len({tuple(text if letters else None for letters, _, text in name) for name in parts}) > 1:
        return ()
    counted = np.array([[n for letters, n, _ in name if not letters] for name in parts], object)
    if len(counted) < 2 or not counted.size:
        return tuple(int(n) for n in counted[:, -1]) if counted.size else ()
    steps = counted[1:] - counted[:-1]
    growing = [column for column in range(counted.shape[1]) if (steps[:, column] > 0).all()]
    if not growing:
        return ()
    slowest = min(growing, key=lambda column: counted[-1, column] - counted[0, column])
    return tuple(int(n) for n in counted[:, slowest])


def distinct(names: Iterable[str]) -> tuple[list[int], list[tuple[str, str]]]:
    """Places of the names (without suffix) that are no other one's frame, `1` being `0001`.

    Also each name that is left out, with the one before it that has its number.
    """
    first: dict[tuple[int | str, ...], str] = {}
    kept: list[int] = []
    left_out: list[tuple[str, str]] = []
    for place, name in enumerate(names):
        frame = tuple(text if letters else n for letters, n, text in numerically(name))
        if frame in first:
            left_out.append((name, first[frame]))
        else:
            first[frame] = name
            kept.append(place)
    return kept, left_out
