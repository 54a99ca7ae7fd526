"""Bags of files: text and Avro, compressed or not, on this cluster's disks or anywhere fsspec reaches."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from millstream._delayed import Delayed
from millstream._functions import carry
from millstream._options import byte_size, current_options
from millstream._task import Task, new_key
from millstream.bag import _files as files
from millstream.bag._base import Partitioned
from millstream.bag.core import Bag

carry(files)


def read_text(
    urlpath: str | Path | Sequence[str | Path],
    blocksize: int | str | None = None,
    compression: str | None = "infer",
    encoding: str = "utf-8",
    errors: str = "strict",
    linedelimiter: str | None = None,
    collection: bool = True,
    storage_options: dict[str, Any] | None = None,
    files_per_partition: int | None = None,
    include_path: bool = False,
) -> Any:
    r"""Read lines of text files.

    Parameters
    ----------
    urlpath : str, path or sequence of them
        Files, with ``*`` for any part of a name. Paths without a scheme are paths on the cluster; others, such as
        ``s3://…``, are read by fsspec.
    blocksize : int or str, optional
        Size of the blocks that large uncompressed files are cut into, such as ``"64MB"``; a file is one partition by
        default. Lines are never cut.
    compression : str, optional
        ``"gzip"``, ``"bz2"``, ``"xz"`` or ``None``; by default as the file's name says.
    encoding, errors : str
        As for `bytes.decode`.
    linedelimiter : str, optional
        What ends a line; by default any of ``\n``, ``\r`` and ``\r\n``.
    collection : bool
        Whether to return a bag, or a list of delayed lists.
    storage_options : dict, optional
        Options for fsspec.
    files_per_partition : int, optional
        Files that make one partition.
    include_path : bool
        Whether items are pairs of line and path.

    Examples
    --------
    >>> import pathlib, tempfile, millstream.bag as mb
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in "ab":
    ...     _ = (folder / f"{name}.txt").write_text(f"{name}1\n{name}2\n")
    >>> mb.read_text(folder / "*.txt").str.strip().compute()
    ['a1', 'a2', 'b1', 'b2']
    """
    if blocksize is not None and files_per_partition is not None:
        raise ValueError("give either blocksize or files_per_partition")
    reader = files.TextReader(compression, encoding, errors, linedelimiter, storage_options or {}, include_path)
    paths = _expand(urlpath, storage_options)
    if blocksize is None:
        step = files_per_partition or 1
        groups: list[list[files.Block]] = [
            [(path, 0, None) for path in paths[at : at + step]] for at in range(0, len(paths), step)
        ]
    else:
        size = byte_size(blocksize, "blocksize")
        groups = [[block] for path in paths for block in _blocks(path, size, reader)]
    bag = _read(reader, groups, "read_text")
    return bag if collection else bag.to_delayed()


def _blocks(path: str, size: int, reader: files.TextReader) -> list[files.Block]:
    if reader.compression_of(path) is not None:
        raise ValueError(f"{path} is compressed and cannot be cut into blocks: leave blocksize out")
    length = reader.size_of(path)
    starts = range(0, max(length, 1), size)
    return [(path, start, min(start + size, length)) for start in starts]


def _read(reader: Callable[..., list[Any]], arguments: Sequence[Any], name: str) -> Bag:
    prefix = new_key(name)
    tasks = [
        Task(reader, (argument,), key=f"{prefix}-{number}", options=current_options(), pure=True)
        for number, argument in enumerate(arguments)
    ]
    return Bag(tasks, name)


def _expand(urlpath: str | Path | Sequence[str | Path], storage_options: dict[str, Any] | None) -> list[str]:
    """Return the files that names and patterns mean, in order."""
    names = [urlpath] if isinstance(urlpath, str | os.PathLike) else list(urlpath)
    if not names:
        raise ValueError("no path is given")
    paths = [path for name in names for path in _matches(os.fspath(name), storage_options)]
    if not paths:
        raise FileNotFoundError(f"no file is called {', '.join(map(str, names))}")
    return paths


def _matches(name: str, storage_options: dict[str, Any] | None) -> list[str]:
    if "://" in name:
        import fsspec

        filesystem, _, paths = fsspec.get_fs_token_paths(name, storage_options=storage_options or {})
        return [filesystem.unstrip_protocol(path) for path in sorted(paths)]
    name = os.path.abspath(os.path.expanduser(name))
    if not glob.has_magic(name):
        return [name]
    return sorted(glob.glob(name)) or _matches_on_cluster(name)


def _matches_on_cluster(pattern: str) -> list[str]:
    """Look for files where the tasks will: a cluster elsewhere has other disks than this machine."""
    from millstream._client import get_client

    client = get_client()
    if client.cluster is not None:
        return []
    found: list[str] = client.submit(files.matching, pattern).result()
    return found


def from_url(urls: str | Sequence[str]) -> Bag:
    """Make a bag of the lines, as bytes, of what URLs give; a partition each.

    Parameters
    ----------
    urls : str or sequence of str
        HTTP addresses.
    """
    return _read(files.lines_of_url, [urls] if isinstance(urls, str) else list(urls), "from_url")


def to_textfiles(
    b: Partitioned,
    path: str | Path | Sequence[str | Path],
    name_function: Callable[[int], str] | None = None,
    compression: str | None = "infer",
    encoding: str = "utf-8",
    compute: bool = True,
    storage_options: dict[str, Any] | None = None,
    last_endline: bool = False,
    **options: Any,
) -> Any:
    """Write each partition of texts, or of bytes, to a file of its own, an item a line.

    Parameters
    ----------
    b : Bag
        The items.
    path : str, path or sequence of them
        A folder, a name with ``*`` for the partition's number, or a name for each partition.
    name_function : callable, optional
        Gives what stands for the ``*``.
    compression : str, optional
        ``"gzip"``, ``"bz2"``, ``"xz"`` or ``None``; by default as the file's name says.
    encoding : str
        Encoding of texts.
    compute : bool
        Whether to write now and return the names of the files, or return delayed writes.
    storage_options : dict, optional
        Options for fsspec.
    last_endline : bool
        Whether the last line ends with a line end.
    **options
        Options of :func:`millstream.compute`.

    Examples
    --------
    >>> import pathlib, tempfile, millstream.bag as mb
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> written = mb.from_sequence("abc", npartitions=2).to_textfiles(folder / "*.txt")
    >>> [pathlib.Path(path).name for path in written]
    ['0.txt', '1.txt']
    """
    writer = files.TextWriter(compression, encoding, storage_options or {}, last_endline)
    return _write(b, path, "part", name_function, writer, compute=compute, options=options)


def _write(
    bag: Partitioned,
    path: str | Path | Sequence[str | Path],
    suffix: str,
    name_function: Callable[[int], str] | None,
    writer: Callable[..., str],
    *,
    compute: bool,
    options: dict[str, Any],
) -> Any:
    names = _names(path, bag.npartitions, suffix, name_function)
    prefix = new_key("write")
    writes = [
        Delayed(Task(writer, (name, Delayed(partition)), key=f"{prefix}-{number}", options=current_options()))
        for number, (name, partition) in enumerate(zip(names, bag._parts, strict=True))
    ]
    if not compute:
        return writes
    from millstream._compute import compute as compute_all

    return list(compute_all(*writes, **options))


def _names(
    path: str | Path | Sequence[str | Path], count: int, suffix: str, name_function: Callable[[int], str] | None
) -> list[str]:
    if not isinstance(path, str | os.PathLike):
        if len(path) != count:
            raise ValueError(f"{len(path)} paths for {count} partitions")
        return [_absolute(os.fspath(each)) for each in path]
    pattern = os.fspath(path)
    if "*" not in os.path.basename(pattern):
        pattern = os.path.join(pattern, f"*.{suffix}")
    width = len(str(count - 1))
    name_of = name_function or (lambda number: str(number).zfill(width))
    return [_absolute(pattern.replace("*", name_of(number))) for number in range(count)]


def _absolute(name: str) -> str:
    return name if "://" in name else os.path.abspath(os.path.expanduser(name))


def read_avro(
    urlpath: str | Path | Sequence[str | Path],
    blocksize: None = None,
    storage_options: dict[str, Any] | None = None,
    compression: None = None,
) -> Bag:
    """Read records of Avro files, a partition each; needs fastavro.

    Parameters
    ----------
    urlpath : str, path or sequence of them
        Files, as for :func:`read_text`.
    blocksize, compression : None
        Avro files are read whole, and know their compression.
    storage_options : dict, optional
        Options for fsspec.
    """
    if blocksize is not None or compression is not None:
        raise ValueError("Avro files are read whole and know their compression: leave blocksize and compression out")
    reader = partial(files.read_avro, storage_options or {})
    return _read(reader, _expand(urlpath, storage_options), "read_avro")


def to_avro(
    b: Partitioned,
    filename: str | Path | Sequence[str | Path],
    schema: dict[str, Any],
    name_function: Callable[[int], str] | None = None,
    storage_options: dict[str, Any] | None = None,
    codec: str = "null",
    sync_interval: int = 16000,
    metadata: dict[str, Any] | None = None,
    compute: bool = True,
    **options: Any,
) -> Any:
    """Write each partition of records to an Avro file of its own; needs fastavro.

    Parameters
    ----------
    b : Bag
        The records, dicts.
    filename : str, path or sequence of them
        As for :func:`to_textfiles`.
    schema : dict
        The records' Avro schema.
    codec, sync_interval, metadata
        As for fastavro's writer.
    compute : bool
        Whether to write now and return the names of the files, or return delayed writes.
    """
    settings = {"codec": codec, "sync_interval": sync_interval, "metadata": metadata}
    writer = partial(files.write_avro, schema, settings, storage_options or {})
    return _write(b, filename, "avro", name_function, writer, compute=compute, options=options)
