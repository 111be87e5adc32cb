"""What the operating system says of a file, in words a user can act on."""

import errno

__all__ = ["explain"]

_ADVICE = {
    errno.EROFS: "the file system is read-only: choose a folder that can be written to",
    errno.EACCES: "permission denied: choose another folder, or change who may use this one",
    errno.ENOSPC: "the disk is full: free some space, then run the same command again",
    errno.EDQUOT: "the quota is used up: free some space, then run the same command again",
    errno.ENAMETOOLONG: "the name is too long for this file system: choose a shorter one",
}


def explain(error: BaseException, *, named: bool = False) -> str:
    """What an error says, without the system's number for it, and what to do where that is known.

    `named`: the file is named already, and not named again.
    """
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    why = _ADVICE.get(error.errno or 0, error.strerror)
    return why if named or error.filename is None else f"{error.filename}: {why}"
