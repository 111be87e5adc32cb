"""How often the intervals of `idol.evaluate.bootstrap` cover the truth, by simulation.

    python bench/coverage.py [--draws 400] [--write]

`--write` replaces `idol/evaluate/coverage.json`, from which what is printed beside an interval is
read. Means: values of several shapes, one a video. Frechet distances: features whose variances fall
as 1 / n, videos with an effect of their own, a generator that is a little or much off; the truth is
the distance expected at that number of videos.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from idol.evaluate.bootstrap import frechet_difference, frechet_interval, mean_interval
from idol.evaluate.features import VideoRows
from idol.evaluate.frechet import frechet_distance_of

SHAPES: dict[str, tuple[Callable[[np.random.Generator, int], np.ndarray], float]] = {
    "normal": (lambda rng, n: rng.standard_normal(n), 0.0),
    "uniform": (lambda rng, n: rng.random(n), 0.5),
    "lognormal, sigma 0.5": (lambda rng, n: rng.lognormal(0, 0.5, n), float(np.exp(0.125))),
    "exponential": (lambda rng, n: rng.exponential(size=n), 1.0),
}
COUNTS = (2, 3, 4, 5, 10, 20, 30, 100)
FRECHET_COUNTS = (2, 3, 10, 30)
FEATURES, FRAMES = 32, 4
TRUTH_DRAWS = 1000
OUT = Path(__file__).parents[1] / "idol" / "evaluate" / "coverage.json"


def means(draws: int) -> dict[str, dict[str, float]]:
    shares: dict[str, dict[str, float]] = {}
    for count in COUNTS:
        rng = np.random.default_rng(count)
        shares[str(count)] = {}
        for shape, (draw, truth) in SHAPES.items():
            hits = 0
            for seed in range(draws):
                found = mean_interval(draw(rng, count), seed=seed)
                assert found.low is not None
                assert found.high is not None
                hits += found.low <= truth <= found.high
            shares[str(count)][shape] = round(hits / draws, 3)
    return shares


def draw_features(rng: np.random.Generator, videos: int, off: float) -> list[VideoRows]:
    """Two generators, the second a little worse, and the reference; of the same videos."""
    scale = 1 / np.sqrt(1 + np.arange(FEATURES))

    def side() -> np.ndarray:
        video = rng.standard_normal((videos, 1, FEATURES))
        return (0.8 * video + 0.6 * rng.standard_normal((videos, FRAMES, FEATURES))) * scale

    reference = side()
    first = (0.5 * reference + 0.5 * side()) * (1 + 0.3 * off) + off * scale
    second = 0.7 * first + 0.3 * side() + 1.2 * off * scale
    sides = (first, second, reference)
    return [VideoRows.of(rows.reshape(-1, FEATURES), [FRAMES] * videos) for rows in sides]


def distances(draws: int) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    alone: dict[str, dict[str, float]] = {}
    between: dict[str, dict[str, float]] = {}
    for count in FRECHET_COUNTS:
        alone[str(count)], between[str(count)] = {}, {}
        for what, off in (("a little off", 0.3), ("much off", 1.0)):
            rng = np.random.default_rng(count)
            truths = []
            for _ in range(TRUTH_DRAWS):
                first, second, reference = (s.rows for s in draw_features(rng, count, off))
                truths.append([frechet_distance_of(s, reference) for s in (first, second)])
            truth, other = np.mean(truths, axis=0)
            hits = np.zeros(2)
            for seed in range(draws):
                a, b, reference_rows = draw_features(rng, count, off)
                one = frechet_interval(a, reference_rows, seed=seed)
                two = frechet_difference((a, reference_rows), (b, reference_rows), seed=seed)
                for place, (found, target) in enumerate(((one, truth), (two, other - truth))):
                    assert found.low is not None
                    assert found.high is not None
                    hits[place] += found.low <= target <= found.high
            alone[str(count)][what] = round(hits[0] / draws, 3)
            between[str(count)][what] = round(hits[1] / draws, 3)
            print(f"{count} videos, {what}: {hits / draws}", flush=True)
    return alone, between


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    mean_shares = means(options.draws)
    print(json.dumps(mean_shares, indent=1), flush=True)
    alone, between = distances(options.draws)
    found = {
        "draws": options.draws,
        "level": 0.95,
        "shares": {"mean": mean_shares, "frechet": alone, "frechet difference": between},
    }
    print(json.dumps(found, indent=1))
    if options.write:
        OUT.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
