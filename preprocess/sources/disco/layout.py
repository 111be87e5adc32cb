"""Which files of a TSV distribution are pictures, masks and `vid2line`, and which go together."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from preprocess.errors import InputError
from preprocess.sources.base import Split, find_files
from preprocess.sources.disco.tsv import index_tsv

__all__ = ["PictureSet", "find_sets"]

Role = Literal["images", "masks", "vid2line", "other"]

_ROLES: dict[str, Role] = {
    **dict.fromkeys(("image", "images", "img", "imgs", "frames"), "images"),
    **dict.fromkeys(("mask", "masks"), "masks"),
    "vid2line": "vid2line",
    **dict.fromkeys(
        ("pose", "poses", "caption", "captions", "label", "labels", "linelist"), "other"
    ),
}
_YAML_NAMES = {"images": ("img", "images", "image"), "masks": ("masks", "mask")}
_WORD = re.compile(r"[^/_.\s-]+")
_TRAIN = re.compile(r"train(ing|val)?\d*")
_VAL = re.compile(r"(new)?\d*val(id|idation)?\d*|test\d*|eval\d*")


@dataclass(frozen=True)
class PictureSet:
    """A TSV file of pictures and what belongs to it. `name` is its path, less what is common."""

    name: str
    images: Path
    masks: Path | None
    vid2line: Path | None
    split: Split | None


def find_sets(source: Path) -> list[PictureSet]:
    """The sets of a distribution, in the order of their names. Raises InputError for bad yaml."""
    files = find_files(source, (".tsv", ".json"))
    roles = {path: _role(source, path) for path in files}
    images = [path for path in files if roles[path][0] == "images" and path.suffix == ".tsv"]
    if not images:  # one file under a name of its own
        images = [path for path in files if roles[path][0] is None and _has_pictures(path)]
    by_yaml = _read_yamls(source)
    sets = []
    for path in images + [p for p in by_yaml if p not in images]:
        _, name = roles.get(path) or _role(source, path)
        named = by_yaml.get(path, {})
        sets.append(
            PictureSet(
                name or path.stem,
                path,
                named.get("masks") or _companion(path, name, "masks", roles),
                named.get("vid2line") or _companion(path, name, "vid2line", roles),
                _split(name) or (_split(named["yaml"].stem) if named else None),
            )
        )
    return sets


def _companion(
    images: Path, name: str, role: Role, roles: dict[Path, tuple[Role | None, str]]
) -> Path | None:
    """The file of this role with the same name otherwise; or the only one of the same split in the
    folder; or, for masks, which belong to pictures by key, the only one there is for all splits."""
    alike = {path: rest for path, (other, rest) in roles.items() if other == role}
    exact = [path for path, rest in alike.items() if rest == name]
    same = [
        path
        for path, rest in alike.items()
        if path.parent == images.parent and _split(rest) == _split(name)
    ]
    for choice in (exact, same, list(alike) if role == "masks" else []):
        if len(choice) == 1 and _split(alike[choice[0]]) in (None, _split(name)):
            return choice[0]
    return None


def _role(source: Path, path: Path) -> tuple[Role | None, str]:
    """What a file is by the last telling word in its path, and the path without that word."""
    relative = path.relative_to(source).with_suffix("").as_posix()
    for word in reversed(list(_WORD.finditer(relative))):
        role = _ROLES.get(word[0].lower())
        if role and (path.suffix == ".tsv" or role == "vid2line"):
            parts = (
                relative[: word.start()].rstrip("/_.- "),
                relative[word.end() :].lstrip("/_.- "),
            )
            return role, "/".join(part for part in parts if part)
    return None, relative


def _split(name: str) -> Split | None:
    for token in reversed(_WORD.findall(name)):
        if _TRAIN.fullmatch(token.lower()):
            return "train"
        if _VAL.fullmatch(token.lower()):
            return "val"
    return None


def _has_pictures(path: Path) -> bool:
    return path.suffix == ".tsv" and bool(index_tsv(path).rows)


def _read_yamls(source: Path) -> dict[Path, dict[str, Path]]:
    """For each picture file that a yaml file names: its masks, vid2line, and the yaml file."""
    named: dict[Path, dict[str, Path]] = {}
    for path in find_files(source, (".yaml", ".yml")):
        content = _load_yaml(path)
        if not isinstance(content, dict):
            continue
        images = list(_listed(source, path, content, _YAML_NAMES["images"]))
        others = {
            "masks": list(_listed(source, path, content, _YAML_NAMES["masks"])),
            "vid2line": list(_listed(source, path, content, ("vid2line",))),
        }
        for at, image in enumerate(images):
            if image is None:
                continue
            entry = named.setdefault(image, {"yaml": path})
            for role, paths in others.items():
                if at < len(paths) and (other := paths[at]):
                    entry.setdefault(role, other)
    return named


def _load_yaml(path: Path) -> Any:
    import yaml

    try:
        with open(path, encoding="utf-8") as opened:
            return yaml.safe_load(opened)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as yaml: {error}") from error


def _listed(
    source: Path, yaml_path: Path, content: dict[str, Any], names: tuple[str, ...]
) -> Iterator[Path | None]:
    """The files that a yaml file lists under one of the names; None for one that is not there.

    Published yaml files name some files that do not exist: then names in the folder decide.
    """
    value: Any = next((content[name] for name in names if content.get(name)), [])
    for name in value if isinstance(value, list) else [value]:
        candidates = (yaml_path.parent / str(name), source / str(name))
        found = next((c for c in candidates if c.is_file()), None)
        relative = os.path.relpath(found, source) if found else ".."
        yield None if relative.startswith("..") else source / relative
