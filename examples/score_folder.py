"""Score a folder of frames: python examples/score_folder.py GENERATED REFERENCE [PROTOCOL]

Both hold a folder of .png frames for each clip, named alike; REFERENCE may be shards.
"""

import sys
from pathlib import Path

from idol.config.evaluate import ScoreConfig
from idol.errors import IdolError
from idol.evaluate.report import print_scores
from idol.evaluate.score import score
from shards.errors import ShardsError

if len(sys.argv) < 3:
    sys.exit(__doc__)
generated, reference, *protocol = sys.argv[1:]
config = ScoreConfig(
    generated=generated,
    reference=reference,
    protocol=protocol[0] if protocol else "clean-8",
    out=Path("scores"),
    pose="none",  # "lite" finds key points: a second a frame on a CPU
)
try:
    print_scores(score(config))
except (IdolError, ShardsError) as error:
    sys.exit(str(error))
