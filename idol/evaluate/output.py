"""A result's folder: one process at a time writes there, and not over another result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from idol.config.evaluate import ScoreConfig
from idol.evaluate.compare import read_scores
from idol.evaluate.errors import EvaluationError
from idol.evaluate.report import SCORES, TABLES
from idol.evaluate.video_features import FEATURES, SIDES
from shards.files.atomic import atomic_folder
from shards.files.digest import parse_json
from shards.files.locks import Taken, alone_in

__all__ = ["OutInUse", "check_replaceable", "features_folder"]


class OutInUse(EvaluationError):
    """Another process scores into the folder."""


@contextmanager
def features_folder(config: ScoreConfig) -> Iterator[Path]:
    """Hold --out, and give a folder to fill that becomes its `features/`, whole or not at all.

    Raises:
        OutInUse: another holds it.
        EvaluationError: it is a file, or has scores of other sets or another protocol and is not to
            be overwritten, or files of the results' names that are no results.
    """
    with ExitStack() as held:
        try:
            held.enter_context(alone_in(config.out))
        except (FileExistsError, NotADirectoryError) as error:
            raise EvaluationError(
                f"{config.out} is a file, or lies in one: give a folder"
            ) from error
        except Taken as error:
            raise OutInUse(
                f"{config.out} is in use by another idol-eval: wait for it, or give another --out"
            ) from error
        check_replaceable(config.out)
        if not config.overwrite:
            _check_same_sets(config)
        yield held.enter_context(atomic_folder(config.out / FEATURES))


def check_replaceable(out: Path) -> None:
    """Raise EvaluationError where features and tables would be replaced that nothing says are of
    scores."""
    if _is_result(out / SCORES):
        return
    features, tables = out / FEATURES, [out / name for name in TABLES]
    theirs = [path for path in tables if path.exists()]
    if features.exists() and not _of_scores(features):
        theirs.insert(0, features)
    if theirs:
        raise EvaluationError(
            f"{', '.join(map(str, theirs))}: there already, and no {SCORES} beside it says that "
            "idol-eval wrote it: move it, or give another --out"
        )


def _is_result(file: Path) -> bool:
    """Whether it is a `scores.json`, of any version."""
    try:
        said = parse_json(file.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(said, dict) and {"schema", "protocol"} <= said.keys()


def _of_scores(features: Path) -> bool:
    """Whether all that is there are features, as a command that was killed leaves them."""
    ends = tuple(f".{side}.f32" for side in SIDES)
    return features.is_dir() and all(entry.name.endswith(ends) for entry in features.iterdir())


def _check_same_sets(config: ScoreConfig) -> None:
    if not (config.out / SCORES).is_file():
        return
    try:
        there = read_scores(config.out)
        pairs = {
            "--generated": (str(there["generated"]["path"]), config.generated),
            "--reference": (str(there["reference"]["path"]), config.reference),
            "--protocol": (str(there["protocol"]["name"]), config.protocol),
        }
        before = {name: there.get("settings", {}).get(name) for name in ("split", "limit")}
    except (EvaluationError, KeyError, TypeError, AttributeError) as error:
        raise EvaluationError(
            f"{config.out / SCORES} is damaged, or no result of this version: give another --out, "
            "or --overwrite to replace it"
        ) from error
    differs = [
        f"of {option} {was}"
        for option, (was, now) in pairs.items()
        if was != now and Path(was).resolve() != Path(now).resolve()
    ]
    differs += [
        f"without --{name}" if was is None else f"of --{name} {was}"
        for name, was in before.items()
        if was != getattr(config, name)
    ]
    if differs:
        raise EvaluationError(
            f"{config.out} has the scores {differs[0]}: give another --out, or --overwrite to "
            "replace them"
        )
