"""Knows every compression that wraps a model: one interface, pieces out, never more than asked for."""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

from weighbridge.schema import Unavailable
from weighbridge.source.blob import chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from weighbridge.source.blob import Blob

PIECE = 1 << 20
_LZMA_MEMORY = 256 << 20


class Decoder(Protocol):
    """The shape that `bz2`, `lzma` and our wrappers share."""

    @property
    def eof(self) -> bool:
        """Whether the end of the stream was reached."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes out without more bytes."""
        ...

    @property
    def unused_data(self) -> bytes:
        """Bytes behind the end of the stream."""
        ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """At most `max_length` bytes."""
        ...


class _Zlib:
    """zlib's decompressor with the interface of the others."""

    def __init__(self, window: int) -> None:
        self._inner = zlib.decompressobj(window)
        self._needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return self._needs_input

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        produced = self._inner.decompress(self._inner.unconsumed_tail + data, max(0, max_length))
        self._needs_input = not self._inner.unconsumed_tail
        return produced


class _Lz4:
    """lz4 frames."""

    def __init__(self) -> None:
        try:
            from lz4 import frame  # noqa: PLC0415  # loaded only for files that need it
        except ImportError as error:  # pragma: no cover - part of the base install
            raise Unavailable("lz4 is not installed", hint="pip install lz4") from error
        self._inner: Any = frame.LZ4FrameDecompressor()

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    @property
    def needs_input(self) -> bool:
        return bool(self._inner.needs_input)

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data or b""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return bytes(self._inner.decompress(data, max_length))


def _zstd_pieces(blob: Blob, start: int, end: int | None) -> Iterator[tuple[bytes, int]]:
    import zstandard  # noqa: PLC0415  # loaded only for files that need it

    consumed = 0

    class Source:
        def __init__(self) -> None:
            self.pieces = chunks(blob, start, end)

        def read(self, _size: int) -> bytes:
            nonlocal consumed
            piece = next(self.pieces, b"")
            consumed += len(piece)
            return piece

    decoder = zstandard.ZstdDecompressor(max_window_size=_LZMA_MEMORY)
    with decoder.stream_reader(cast("IO[bytes]", Source()), read_across_frames=True) as reader:
        while piece := reader.read(PIECE):
            yield piece, consumed


_DECODERS: dict[str, Callable[[], Decoder]] = {
    "gzip": lambda: _Zlib(31),
    "zlib": lambda: _Zlib(15),
    "deflate": lambda: _Zlib(-15),
    "bz2": lambda: cast("Decoder", bz2.BZ2Decompressor()),
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LZMA_MEMORY),
    "lzma": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_LZMA_MEMORY),
    "lz4": _Lz4,
}
_CONCATENATES = {"gzip", "bz2", "xz", "lz4"}


def damaged(error: Exception) -> bool:
    """Whether an error of a decoder means that the stream is damaged or cut off, and not that a bound was hit."""
    known = (OSError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError)
    return isinstance(error, known) or type(error).__name__ == "ZstdError"


class Trailing(Exception):  # a fact about the stream, not a failure
    """Bytes follow the compressed stream; `at` is their offset in the blob."""

    def __init__(self, at: int) -> None:
        super().__init__(f"bytes after the compressed stream, from offset {at}")
        self.at = at


def decompressed(codec: str, blob: Blob, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int]]:
    """(piece, compressed bytes consumed so far) of the stream in `blob[start:end]`.

    Members that follow one another are read as the codec's own tool does. Raises the decoder's error on
    damage, EOFError where the stream is cut off, and Trailing where other bytes follow it.
    """
    if codec == "zstd":
        yield from _zstd_pieces(blob, start, end)
        return
    yield from _stream(codec, _DECODERS[codec](), blob, start, end)


def _stream(  # one loop over pieces, members and the end
    codec: str, decoder: Decoder, blob: Blob, start: int, end: int | None
) -> Iterator[tuple[bytes, int]]:
    consumed = 0
    for read in chunks(blob, start, end):
        consumed += len(read)
        pending = read
        while True:
            piece = decoder.decompress(pending, PIECE)
            pending = b""
            if piece:
                yield piece, consumed
            if decoder.eof:
                rest = decoder.unused_data
                if not rest:
                    break
                if codec not in _CONCATENATES or not rest.startswith(_MAGIC.get(codec, b"\0")):
                    raise Trailing(start + consumed - len(rest))
                decoder, pending = _DECODERS[codec](), rest
            elif decoder.needs_input or not piece:
                break
        if decoder.eof:
            following = blob.read(start + consumed, 4) if end is None or start + consumed < end else b""
            if not following:
                return
            if codec not in _CONCATENATES or not following.startswith(_MAGIC[codec]):
                raise Trailing(start + consumed)
            decoder = _DECODERS[codec]()
    if not decoder.eof:
        raise EOFError("the compressed stream is cut off")


_MAGIC = {"gzip": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ", "lz4": b"\x04\x22\x4d\x18"}
