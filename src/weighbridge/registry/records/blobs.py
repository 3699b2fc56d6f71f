"""Knows where bytes lie: by their SHA-256, written once, in a folder or an object store, never half."""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING, Final, Protocol

from weighbridge.schema import SourceError, UsageError, VerificationFailed
from weighbridge.source.blob import unreadable
from weighbridge.source.whole import Unfinished

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PIECE: Final = 1 << 20
_PART: Final = 16 << 20


class Blobs(Protocol):
    """Bytes by digest (SHA-256 in hexadecimal)."""

    def put(self, pieces: Iterable[bytes], *, sha256: str = "", size: int = -1) -> tuple[str, int]:
        """(digest, size) of what was stored.

        Raises VerificationFailed where digest or size are not those given, and SourceError where it cannot be kept; in
        both cases nothing is kept.
        """
        ...

    def size(self, sha256: str) -> int:
        """The size of a blob, or -1 where there is none."""
        ...

    def read(self, sha256: str, start: int = 0, stop: int = -1) -> Iterator[bytes]:
        """The bytes from `start` to `stop` (-1: the end). Raises SourceError."""
        ...

    def path(self, sha256: str) -> str:
        """A file with these bytes, or nothing where they lie elsewhere."""
        ...

    def delete(self, sha256: str) -> None:
        """Forget a blob; one that is not there is no fault."""
        ...

    def check(self) -> None:
        """Raises SourceError where nothing could be written now."""
        ...


def open_blobs(address: str) -> Blobs:
    """A folder, or s3://, gs:// or az:// for an object store. Raises UsageError, SourceError."""
    scheme, marker, _ = address.partition("://")
    if not marker:
        return FolderBlobs(address)
    if scheme not in {"s3", "gs", "az"}:
        raise UsageError(f"{scheme}://: not a store that is known", hint="a folder, s3://, gs:// or az://")
    return ObjectBlobs(address)


class _Measured:
    """Hashes and counts what goes through."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces, self._hash, self.size = pieces, hashlib.sha256(), 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._hash.update(piece)
            self.size += len(piece)
            yield piece

    def agreed(self, sha256: str, size: int) -> str:
        """The digest. Raises VerificationFailed where something else was expected."""
        found = self._hash.hexdigest()
        if sha256 and found != sha256:
            raise VerificationFailed(
                f"the bytes have the SHA-256 {found[:16]}…, and {sha256[:16]}… was announced", hint="send them again"
            )
        if size >= 0 and self.size != size:
            raise VerificationFailed(f"{self.size} bytes came, and {size} were announced", hint="send them again")
        return found


class FolderBlobs:
    """Blobs in a folder of this machine: `ab/cd/<digest>`, read-only, with their name only once they are complete."""

    def __init__(self, folder: str) -> None:
        """Raises SourceError where the folder cannot be made."""
        self.folder = os.path.abspath(folder)
        try:
            os.makedirs(self.folder, exist_ok=True)
        except OSError as error:
            raise unreadable(self.folder, error) from error

    def path(self, sha256: str) -> str:
        """See `Blobs.path`."""
        return os.path.join(self.folder, sha256[:2], sha256[2:4], sha256)

    def put(self, pieces: Iterable[bytes], *, sha256: str = "", size: int = -1) -> tuple[str, int]:
        """See `Blobs.put`."""
        measured = _Measured(pieces)
        try:
            with Unfinished(os.path.join(self.folder, "incoming")) as file:
                for piece in measured:
                    file.append(piece)
                digest = measured.agreed(sha256, size)
                os.fchmod(file.descriptor, 0o444)
                os.fsync(file.descriptor)
                target = self.path(digest)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                file.publish(target)
                _keep_name(os.path.dirname(target))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise SourceError(f"{self.folder}: {reason}", hint="make room, or let it be written") from error
        return digest, measured.size

    def size(self, sha256: str) -> int:
        """See `Blobs.size`."""
        try:
            return os.stat(self.path(sha256)).st_size
        except OSError:
            return -1

    def read(self, sha256: str, start: int = 0, stop: int = -1) -> Iterator[bytes]:
        """See `Blobs.read`."""
        path = self.path(sha256)
        try:
            with open(path, "rb", buffering=0) as file:
                left = (os.fstat(file.fileno()).st_size if stop < 0 else stop) - start
                file.seek(start)
                while left > 0:
                    piece = file.read(min(_PIECE, left))
                    if not piece:
                        raise SourceError(f"{sha256[:16]}…: the blob is cut off", hint="weighbridge registry audit")
                    left -= len(piece)
                    yield piece
        except OSError as error:
            raise unreadable(path, error) from error

    def delete(self, sha256: str) -> None:
        """See `Blobs.delete`."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path(sha256))

    def check(self) -> None:
        """See `Blobs.check`."""
        try:
            with Unfinished(os.path.join(self.folder, "incoming")) as file:
                file.append(b"weighbridge")
        except OSError as error:
            raise unreadable(self.folder, error) from error


def _keep_name(folder: str) -> None:
    """A name survives a power cut once its folder is written."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class ObjectBlobs:
    """Blobs in an object store: S3, Google Cloud Storage or Azure, with the credentials of the environment."""

    def __init__(self, address: str) -> None:
        """Raises Unavailable without the library, and UsageError for an address that is none."""
        from weighbridge.source.object_store import store_of  # noqa: PLC0415  # an extra

        self._store = store_of(address)
        self._address = address

    def _name(self, sha256: str) -> str:
        return f"{sha256[:2]}/{sha256[2:4]}/{sha256}"

    def path(self, sha256: str) -> str:
        """See `Blobs.path`."""
        del sha256
        return ""

    def put(self, pieces: Iterable[bytes], *, sha256: str = "", size: int = -1) -> tuple[str, int]:
        """See `Blobs.put`. The digest is known only at the end, so bytes wait in a file without a name."""
        import tempfile  # noqa: PLC0415  # only here

        import obstore  # noqa: PLC0415  # an extra

        measured = _Measured(pieces)
        try:
            with tempfile.TemporaryFile() as file:
                for piece in measured:
                    file.write(piece)
                digest = measured.agreed(sha256, size)
                if self.size(digest) < 0:
                    file.seek(0)
                    obstore.put(self._store, self._name(digest), file, chunk_size=_PART)
        except OSError as error:
            raise SourceError(f"{self._address}: {error}", hint="make room, or check the store") from error
        except obstore.exceptions.BaseError as error:
            raise SourceError(f"{self._address}: the store refuses", hint=str(error).splitlines()[0][:200]) from error
        return digest, measured.size

    def size(self, sha256: str) -> int:
        """See `Blobs.size`."""
        import obstore  # noqa: PLC0415  # an extra

        try:
            return obstore.head(self._store, self._name(sha256))["size"]
        except FileNotFoundError:
            return -1
        except obstore.exceptions.BaseError as error:
            raise SourceError(f"{self._address}: no answer", hint=str(error).splitlines()[0][:200]) from error

    def read(self, sha256: str, start: int = 0, stop: int = -1) -> Iterator[bytes]:
        """See `Blobs.read`."""
        import obstore  # noqa: PLC0415  # an extra

        stop = self.size(sha256) if stop < 0 else stop
        try:
            while start < stop:
                end = min(stop, start + _PART)
                yield bytes(obstore.get_range(self._store, self._name(sha256), start=start, end=end))
                start = end
        except (FileNotFoundError, obstore.exceptions.BaseError) as error:
            raise SourceError(
                f"{sha256[:16]}…: the store does not give it", hint="weighbridge registry audit"
            ) from error

    def delete(self, sha256: str) -> None:
        """See `Blobs.delete`."""
        import obstore  # noqa: PLC0415  # an extra

        with contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store, self._name(sha256))

    def check(self) -> None:
        """See `Blobs.check`."""
        import obstore  # noqa: PLC0415  # an extra

        try:
            obstore.put(self._store, "incoming", b"weighbridge")
        except (OSError, obstore.exceptions.BaseError) as error:
            raise SourceError(f"{self._address}: cannot be written", hint=str(error).splitlines()[0][:200]) from error
