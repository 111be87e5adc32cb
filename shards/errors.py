"""What can go wrong with a dataset; each message names the file or key and what to do."""

__all__ = [
    "BadManifest",
    "BadSample",
    "BadTar",
    "DamagedSample",
    "LatentsMissing",
    "NotADataset",
    "OldSchema",
    "RecipeMismatch",
    "ShardsError",
    "StorageError",
    "UnknownKey",
    "UnsafeMember",
]


class ShardsError(Exception):
    """Base of the errors meant for a user: the message is one clear line or a short list."""


class BadSample(ShardsError):
    """A sample's members are missing, damaged, or disagree with its json."""


class BadTar(ShardsError):
    """A tar, or a range of one, is truncated or not a tar."""


class DamagedSample(ShardsError):
    """A sample that a command needs is damaged: its shard, its key, and where to read more."""


class UnsafeMember(BadTar):
    """A tar holds a member that must not be written to disk: absolute, `..`, a link, a device."""


class BadManifest(ShardsError):
    """A manifest is absent, unreadable, or disagrees with its tar: the shard does not exist."""


class NotADataset(ShardsError):
    """A path holds no dataset of ours, or one written by a newer version."""


class OldSchema(NotADataset):
    """A dataset, or a shard of one, was written by an older version: it has to be built again."""


class RecipeMismatch(ShardsError):
    """A directory was made with another recipe; the message lists each field that differs."""


class UnknownKey(ShardsError):
    """No sample, or more than one, has the key asked for."""


class StorageError(ShardsError):
    """A file or object could not be read or written."""


class LatentsMissing(ShardsError):
    """A dataset has no cached latents, or not those asked for, or outdated ones."""
