"""Pictures of a run: sample sheets and loss curves.

`python -m idol.train.figures STAGE_FOLDER...` draws the curves of a run's stages.
"""

from __future__ import annotations

import sys
from pathlib import Path

from idol.train.curves import loss_curves
from idol.train.errors import TrainError
from idol.train.samples import sample_pictures

__all__ = ["loss_curves", "sample_pictures"]


def main(folders: list[str]) -> int:
    """Draw `losses.png` beside the first folder; returns the exit status."""
    if not folders or folders[0] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if folders else 2
    try:
        png = loss_curves(folders)
    except TrainError as error:
        print(error, file=sys.stderr)
        return 1
    path = Path(folders[0]).parent / "losses.png"
    path.write_bytes(png)
    print(f"loss curves: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
