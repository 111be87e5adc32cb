"""People as the package's own code finds them."""

from __future__ import annotations

import numpy as np

from preprocess.annotators.torch.loading import import_controlnet_aux

_, PUBLISHED = import_controlnet_aux("open_pose.util", "open_pose.body")


def by_published(module, frame):
    """(people, 18, 3) by the package's own code, one frame at a time."""
    body = PUBLISHED.Body.__new__(PUBLISHED.Body)
    body.model = module
    candidates, subset = body(frame[..., ::-1].copy())
    people = np.zeros((len(subset), 18, 3))
    for person, row in zip(people, subset, strict=True):
        for joint, index in enumerate(row[:18].astype(int)):
            if index >= 0:
                person[joint] = candidates[index, :3]
    return people
