"""Reading and writing files inside tasks.

Pickled by value, because workers need not have this package: nothing here may use any other part of it.
"""

from __future__ import annotations

import codecs
import contextlib
import glob
import io
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any, cast

Block = tuple[str, int, int | None]

_EXTENSIONS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".lzma": "xz"}
_LINE_ENDS = (None, "", "\n", "\r", "\r\n")


def compression_of(path: str, asked: str | None) -> str | None:
    """Return a file's compression: what was asked for, or what its name says.

    Examples
    --------
    >>> compression_of("a.txt.gz", "infer"), compression_of("a.txt", "infer")
    ('gzip', None)
    """
    if asked != "infer":
        return asked
    return _EXTENSIONS.get(os.path.splitext(path)[1].lower())


def open_file(path: str, mode: str, storage_options: dict[str, Any]) -> IO[bytes]:
    """Open a file, by fsspec if it has a scheme."""
    if "://" not in path:
        return open(path, mode)
    import fsspec

    opened: IO[bytes] = fsspec.open(path, mode, **storage_options).open()
    return opened


def decompressed(file: IO[bytes], compression: str | None, mode: str = "rb") -> IO[bytes]:
    """Return a file that compresses or decompresses on the way."""
    if compression is None:
        return file
    if compression == "gzip":
        import gzip

        return cast("IO[bytes]", gzip.GzipFile(fileobj=file, mode=mode, mtime=0))
    if compression == "bz2":
        import bz2

        return cast("IO[bytes]", bz2.open(file, mode))
    if compression in ("xz", "lzma"):
        import lzma

        return cast("IO[bytes]", lzma.open(file, mode))
    try:
        from fsspec.compression import compr

        made: IO[bytes] = compr[compression](file, mode=mode)
    except (ImportError, KeyError):
        raise ValueError(f"unknown compression {compression!r}: use 'gzip', 'bz2', 'xz' or None") from None
    return made


class TextReader:
    """Reads blocks of text files as lists of lines, line ends kept."""

    def __init__(
        self,
        compression: str | None,
        encoding: str,
        errors: str,
        delimiter: str | None,
        storage_options: dict[str, Any],
        include_path: bool,
    ) -> None:
        self._compression = compression
        self._encoding, self._errors = encoding, errors
        self._delimiter = delimiter
        self._storage_options = storage_options
        self._include_path = include_path

    def compression_of(self, path: str) -> str | None:
        """Return a file's compression."""
        return compression_of(path, self._compression)

    def size_of(self, path: str) -> int:
        """Return a file's size."""
        if "://" not in path:
            return os.path.getsize(path)
        import fsspec

        filesystem, name = fsspec.core.url_to_fs(path, **self._storage_options)
        return int(filesystem.size(name))

    def __call__(self, blocks: Sequence[Block]) -> list[Any]:
        """Return the lines of blocks."""
        lines: list[Any] = []
        for path, start, end in blocks:
            read = self._whole(path) if end is None else self._block(path, start, end)
            lines += [(line, path) for line in read] if self._include_path else read
        return lines

    def _whole(self, path: str) -> list[str]:
        with open_file(path, "rb", self._storage_options) as file:
            content = decompressed(file, self.compression_of(path))
            if self._delimiter not in _LINE_ENDS:
                return self._split(content.read().decode(self._encoding, self._errors))
            text = io.TextIOWrapper(content, self._encoding, self._errors, newline=self._delimiter)
            lines = list(text)
            text.detach()
            return lines

    def _block(self, path: str, start: int, end: int) -> list[str]:
        """Return the lines that begin within a block: a line that crosses its end is read to the line's end."""
        ending = (self._delimiter or "\n").encode(self._encoding_of_ends())
        with open_file(path, "rb", self._storage_options) as file:
            first = _after_line_end(file, start, ending)
            last = _after_line_end(file, end, ending)
            file.seek(first)
            content = file.read(max(0, last - first))
        if self._delimiter not in _LINE_ENDS:
            return self._split(content.decode(self._encoding, self._errors))
        return list(io.TextIOWrapper(io.BytesIO(content), self._encoding, self._errors, newline=self._delimiter))

    def _encoding_of_ends(self) -> str:
        # The byte order mark belongs to the file's begin, not to each line's end.
        return {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(self._encoding.lower(), self._encoding)

    def _split(self, text: str) -> list[str]:
        delimiter = self._delimiter or "\n"
        *ended, rest = text.split(delimiter)
        return [line + delimiter for line in ended] + ([rest] if rest else [])


def _after_line_end(file: IO[bytes], position: int, ending: bytes) -> int:
    """Return where the first line that begins at or after `position` begins."""
    if position == 0:
        return 0
    # From where an end that lies just before the position would begin.
    at = max(0, position - len(ending))
    file.seek(at)
    before = b""
    while chunk := file.read(1 << 16):
        found = (before + chunk).find(ending)
        if found >= 0:
            return at - len(before) + found + len(ending)
        at += len(chunk)
        before = (before + chunk)[-(len(ending) - 1) :] if len(ending) > 1 else b""
    return at


@contextlib.contextmanager
def replacing(path: str, storage_options: dict[str, Any]) -> Iterator[IO[bytes]]:
    """Open a file for writing that takes its place only when it is whole."""
    if "://" in path:
        with open_file(path, "wb", storage_options) as file:
            yield file
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    draft = f"{path}.{uuid.uuid4().hex}.tmp"
    try:
        with open(draft, "wb") as file:
            yield file
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
        raise


class TextWriter:
    """Writes items to a file, one a line."""

    def __init__(
        self, compression: str | None, encoding: str, storage_options: dict[str, Any], last_endline: bool
    ) -> None:
        self._compression = compression
        self._encoding = encoding
        self._storage_options = storage_options
        self._last_endline = last_endline

    def __call__(self, path: str, items: Iterable[Any]) -> str:
        """Write a file; return its name."""
        with replacing(path, self._storage_options) as file:
            writer = decompressed(file, compression_of(path, self._compression), "wb")
            # One encoder for all: some encodings begin with a mark, which stands in a file once.
            encode = codecs.getincrementalencoder(self._encoding)().encode
            is_first = True
            for item in items:
                if not is_first:
                    writer.write(encode("\n"))
                writer.write(item if isinstance(item, bytes) else encode(str(item)))
                is_first = False
            if self._last_endline and not is_first:
                writer.write(encode("\n"))
            if writer is not file:
                writer.close()
        return path


def matching(pattern: str) -> list[str]:
    """Return the files that match a pattern, in order."""
    return sorted(glob.glob(pattern))


def lines_of_url(url: str) -> list[bytes]:
    """Return the lines of what a URL gives."""
    import urllib.request

    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is no HTTP address")
    with urllib.request.urlopen(url) as response:
        return list(response)


def read_avro(storage_options: dict[str, Any], path: str) -> list[Any]:
    """Return the records of an Avro file."""
    import fastavro

    with open_file(path, "rb", storage_options) as file:
        return list(fastavro.reader(file))


def write_avro(
    schema: dict[str, Any], settings: dict[str, Any], storage_options: dict[str, Any], path: str, items: Iterable[Any]
) -> str:
    """Write records to an Avro file; return its name."""
    import fastavro

    with replacing(path, storage_options) as file:
        fastavro.writer(file, fastavro.parse_schema(schema), items, **settings)
    return path
