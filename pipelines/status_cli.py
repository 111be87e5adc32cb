"""`idol-prep status`: what a build's files say, for people and as JSON."""

import json as _json
from dataclasses import asdict
from typing import Annotated

import tyro

__all__ = ["status"]

DOES_NOT_ADD_UP = 1


def status(
    out: Annotated[
        tyro.conf.Positional[str],
        tyro.conf.arg(metavar="OUT", help="Folder or URL (s3://...) of a dataset or a mixture."),
    ],
    json: Annotated[
        bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help="Print JSON for machines.")
    ] = False,
) -> int:
    """Say how far a build is and who builds, from its files, while it runs or after it died.

    Exit code 1 when planned clips are not committed and quarantined ones together.
    """
    from pipelines.status import statuses

    found = statuses(out)
    if json:
        plain = [asdict(each) for each in found]
        print(_json.dumps(plain[0] if len(plain) == 1 else plain, indent=1))
    else:
        from pipelines.show_status import show_status

        for each in found:
            show_status(each)
    return 0 if all(each.adds_up for each in found) else DOES_NOT_ADD_UP
