"""What S3 has that fsspec's other stores have not: uploads in parts that can be given up, and
writes that depend on what is there."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

__all__ = ["PART_BYTES", "Object", "abort_uploads", "is_s3", "put_if", "read_object", "upload"]

# Parts of an upload: S3 takes 10,000 at most, and 5 MB at least but for the last.
PART_BYTES = 1 << 25
_MOST_PARTS = 10_000
_AT_A_TIME = 4
# Before a write is tried again that met another one of the same object.
_CONFLICT_SECONDS = (0.1, 0.3, 1.0, 3.0)

_log = logging.getLogger(__name__)


def is_s3(fs: Any) -> bool:
    """Whether an fsspec file system is s3fs."""
    protocols = fs.protocol if isinstance(fs.protocol, tuple | list) else (fs.protocol,)
    return "s3" in protocols and hasattr(fs, "call_s3")


def upload(fs: Any, file: Path, path: str) -> None:
    """Copy a local file to `bucket/key`. What is large goes in parts, a few at a time; where one
    fails, or Ctrl-C comes, the upload is aborted, so that nobody pays for what lies there unseen.

    Raises the client's errors.
    """
    size = file.stat().st_size
    if size <= PART_BYTES:
        fs.pipe_file(path, file.read_bytes())
        return
    bucket, key, _ = fs.split_path(path)
    part_bytes = max(PART_BYTES, -(-size // _MOST_PARTS))
    at = {"Bucket": bucket, "Key": key}
    at["UploadId"] = fs.call_s3("create_multipart_upload", **at)["UploadId"]

    def send(number: int) -> dict[str, Any]:
        with file.open("rb") as opened:
            opened.seek((number - 1) * part_bytes)
            body = opened.read(part_bytes)
        done = fs.call_s3("upload_part", **at, PartNumber=number, Body=body)
        return {"PartNumber": number, "ETag": done["ETag"]}

    pool = ThreadPoolExecutor(_AT_A_TIME)
    try:
        parts = list(pool.map(send, range(1, -(-size // part_bytes) + 1)))
        fs.call_s3("complete_multipart_upload", **at, MultipartUpload={"Parts": parts})
    except BaseException:
        # No part may arrive after the end.
        pool.shutdown(cancel_futures=True)
        _abort(fs, at)
        raise
    finally:
        pool.shutdown()
        fs.invalidate_cache(path)


def abort_uploads(fs: Any, folder: str) -> int:
    """Abort what killed processes were uploading into a folder; the number of uploads.

    Where that may not be listed, there is nothing that could be done.
    """
    bucket, key, _ = fs.split_path(folder)
    prefix = f"{key}/" if key else ""
    aborted = 0
    markers: dict[str, str] = {}
    try:
        while True:
            page = fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix, **markers)
            for left in page.get("Uploads") or ():
                if "/" not in left["Key"].removeprefix(prefix):
                    at = {"Bucket": bucket, "Key": left["Key"], "UploadId": left["UploadId"]}
                    aborted += _abort(fs, at)
            if not page.get("IsTruncated"):
                return aborted
            markers = {
                "KeyMarker": page["NextKeyMarker"],
                "UploadIdMarker": page["NextUploadIdMarker"],
            }
    except OSError as error:
        _log.debug("uploads into %s are not listed: %s", folder, error)
        return aborted


def _abort(fs: Any, at: dict[str, Any]) -> bool:
    try:
        fs.call_s3("abort_multipart_upload", **at)
    except OSError as error:
        _log.warning(
            "s3://%s/%s: its upload could not be aborted, and its parts lie there until the bucket "
            "is swept: %s",
            *(at["Bucket"], at["Key"], error),
        )
        return False
    return True


@dataclass(frozen=True)
class Object:
    """A small object: its bytes, its version, and how old it is at least by the store's clock,
    which tells whole seconds."""

    data: bytes
    etag: str
    age_seconds: float


def read_object(fs: Any, path: str) -> Object | None:
    """None where there is none. Raises the client's errors."""
    bucket, key, _ = fs.split_path(path)

    async def get() -> Any:
        answer = await fs._call_s3("get_object", Bucket=bucket, Key=key)
        return answer, await answer["Body"].read()

    from fsspec.asyn import sync

    try:
        answer, data = sync(fs.loop, get)
    except FileNotFoundError:
        return None
    changed: datetime = answer["LastModified"]
    now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    return Object(data, answer["ETag"], max((now - changed).total_seconds() - 1, 0.0))


def put_if(fs: Any, path: str, data: bytes | None, etag: str | None) -> str | None:
    """Write an object, or remove it for no data, only while it has this version; for None, only
    while there is none. The new version; None where another is there. Raises the client's errors.
    """
    for seconds in _CONFLICT_SECONDS:
        try:
            return _put_if(fs, path, data, etag)
        except OSError as error:
            if _code(error) not in ("ConditionalRequestConflict", "409"):
                raise
        time.sleep(seconds)
    return _put_if(fs, path, data, etag)


def _put_if(fs: Any, path: str, data: bytes | None, etag: str | None) -> str | None:
    bucket, key, _ = fs.split_path(path)
    condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
    try:
        if data is None:
            fs.call_s3("delete_object", Bucket=bucket, Key=key, **condition)
            return ""
        return str(fs.call_s3("put_object", Bucket=bucket, Key=key, Body=data, **condition)["ETag"])
    except FileExistsError:
        return None
    except FileNotFoundError:
        if etag is None:  # no such bucket
            raise
        return None
    except OSError as error:
        if _code(error) in ("PreconditionFailed", "412"):
            return None
        raise


def _code(error: BaseException) -> str:
    """What S3 calls an error; "" where it is another's."""
    return str(getattr(error.__cause__, "response", {}).get("Error", {}).get("Code", ""))
