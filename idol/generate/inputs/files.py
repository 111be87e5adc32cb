"""The files that the command line names: what is absent is told before anything slow is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from idol.config.generate import BETWEEN, GenerateConfig, is_clip, is_dataset
from idol.generate.errors import GenerationError
from shards.files.atomic import file_in_the_way
from shards.files.home import expanded

__all__ = ["check_given", "input_files"]

_MAYBE_CLIPS = ("photo", "driving")


def input_files(config: GenerateConfig) -> dict[str, Path]:
    """The files and folders that are given, by option; clips of shards are none."""
    given: dict[str, str | Path | None] = {
        "photo": config.photo,
        "driving": config.driving,
        "skeletons": config.skeletons,
        "person_mask": config.person_mask,
        "background": config.background,
        "background_mask": config.background_mask,
    }
    return {
        name: Path(value)
        for name, value in given.items()
        if value is not None and not (name in _MAYBE_CLIPS and is_clip(str(value)))
    }


def check_given(config: GenerateConfig) -> None:
    """Raise GenerationError naming all that is absent of what is given: files, local datasets, the
    model, those to sign with; what is none of these; and an --out that can be no folder."""
    if mistakes := [*_mistakes(config)]:
        raise GenerationError("; ".join(mistakes))


def _mistakes(config: GenerateConfig) -> Iterator[str]:
    files = input_files(config)
    for name, path in files.items():
        option = "" if name == "photo" else f"--{name.replace('_', '-')}: "
        if not path.exists():
            far = ", and URLs are not read: download what lies there" if ":/" in str(path) else ""
            yield f"{option}{path}: there is no such file{far}"
        elif name in _MAYBE_CLIPS and is_dataset(path):
            yield f"{option}{path} is a dataset: name a clip of it, as {path}{BETWEEN}KEY"
        elif path.is_dir() and name not in ("driving", "skeletons"):
            yield f"{option}{path} is a folder, and a file is asked for"
        elif path.is_dir() and not any(child.is_file() for child in path.iterdir()):
            yield f"{option}{path} is a folder without files: name the one of the images"
        elif not path.is_dir() and not path.is_file():
            yield f"{option}{path} is a pipe or a device, and a file is asked for"
    for given in dict.fromkeys((config.photo, config.driving)):
        dataset = given.rpartition(BETWEEN)[0] if given and is_clip(given) else ""
        if dataset and "://" not in dataset and not expanded(dataset).exists():
            yield f"{given}: there is no dataset {dataset}"
    if config.model is not None and not config.model.exists():
        yield f"--model: {config.model}: there is no such folder"
    for path in config.c2pa or ():
        if not path.is_file():
            yield f"--c2pa: {path}: there is no such file"
    if (file := file_in_the_way(config.out)) is not None:
        yield f"{file} is a file: give a folder as --out"
