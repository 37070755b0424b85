"""Atomic writing of files, and reading of JSON with errors that name the file."""
import errno
import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Callable, Iterator, List, Optional, Tuple, Type, Union

from mmpose_mspn.utils.errors import DataError, OutputError

FilePath = Union[str, Path]
FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
"""Errors of a full disk, of a limit on the size of files, and of a quota."""


def prepare_output_folder(option: str, folder: FilePath) -> Path:
    """Create a folder if it is missing, and check that files can be written to it.

    Args:
        option: Name of the option that gives it, for the message.
        folder: The folder, which is returned.

    Raises:
        OutputError: Files cannot be written to it.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return Path(folder)
    except OSError as error:
        raise OutputError(f'{option}: {folder} cannot be written to ({error.strerror or error}): choose another '
                          'folder, or change its permissions') from error


def write_atomically(path: FilePath, content: bytes, sync: bool = True) -> None:
    """Write a file atomically: after a crash at any moment, the file has its old content or all of its new content.

    Args:
        path: The file. Missing folders are created.
        sync: Whether the guarantee covers power failures too, which requires waiting for the disk.

    Raises:
        OSError: The file cannot be written; ``filename`` names it.
    """
    with open_atomically(path, sync) as file:
        file.write(content)


@contextmanager
def open_atomically(path: FilePath, sync: bool = True,
                    before: Optional[Callable[[Path], None]] = None) -> Iterator[BinaryIO]:
    """A binary file to write to in a ``with`` block, which replaces ``path`` as in :func:`write_atomically` at its end.

    If the block raises, ``path`` stays as it was.

    Args:
        path: The file. Missing folders are created.
        sync: As for :func:`write_atomically`.
        before: Called with the complete file before it gets its name.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, because renaming is atomic only within a file system. A crash can leave this file behind, and
    # the next call replaces it.
    part = path.with_name(f'.{path.name}.part')
    try:
        with open(part, 'wb') as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        if before is not None:
            before(part)
        os.replace(part, path)
    except OSError as error:  # a full disk's message would not say which file it is about
        part.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise type(error)(error.errno, f'{reason}: it is not written; free space there, or choose another folder',
                          str(path)) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if sync:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Wait until a renamed file's folder is on the disk. On systems that cannot open folders this does nothing."""
    if not hasattr(os, 'O_DIRECTORY'):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: FilePath, content: Union[dict, list], indent: Optional[int] = None) -> None:
    """Write a JSON file as :func:`write_atomically` does.

    Args:
        path: The file. Missing folders are created.
        indent: Spaces per level of nesting. The default is a single line.
    """
    write_atomically(path, json.dumps(content, indent=indent).encode())


def read_json(name: str, path: FilePath, kinds: Union[Type, Tuple[Type, ...]] = (dict, list)) -> Union[dict, list]:
    """Return the content of a JSON file.

    Args:
        name: Name of the file in error messages, such as the option that gives the path.
        kinds: Types that the content may have: ``dict``, ``list`` or both.

    Raises:
        FileNotFoundError: The file does not exist.
        DataError: The file is not JSON, or its content has another type.
    """
    content = _parse(name, path, _object)
    if not isinstance(content, kinds):
        wanted = ' or '.join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds, )))
        raise DataError(f'{name} {path} must hold a {wanted}, got {type(content).__name__}')
    return content


def check_json_keys(name: str, path: FilePath) -> None:
    """Check that a file is JSON whose objects have each key once, without keeping its content in memory.

    Raises:
        FileNotFoundError: The file does not exist.
        DataError: The file is not JSON, or a key stands twice in an object.
    """
    _parse(name, path, lambda pairs: _object(pairs) and None)


class _RepeatedKey(ValueError):
    """A key stands twice in an object, and JSON does not say which one counts."""


def _object(pairs: List[Tuple[str, object]]) -> dict:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKey(next(key for key in keys if keys.count(key) > 1))
    return content


def _parse(name: str, path: FilePath, make: Callable[[list], object]) -> object:
    if os.path.isdir(path):
        raise DataError(f'{name} {path} is a folder: name a file')
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{name} {path} does not exist: name a file that does')
    try:
        # Bytes: json recognizes UTF-8, UTF-16 and UTF-32, with or without a byte order mark.
        return json.loads(Path(path).read_bytes(), object_pairs_hook=make)
    except _RepeatedKey as error:
        raise DataError(f'{name} {path} has the key {str(error)!r} twice in one object, and all but one of them would '
                        'be lost: write it once') from error
    except (ValueError, RecursionError) as error:
        raise DataError(f'{name} {path} is not JSON ({error}): {_remedy(path)}') from error


def _remedy(path: FilePath) -> str:
    """What to do about a file that is not JSON, by its suffix."""
    suffix = Path(path).suffix.lower()
    if suffix in ('.csv', '.tsv', '.txt'):
        return f'a {suffix} file holds a table: export the labels as JSON, in COCO\'s format'
    if suffix in ('.xml', '.zip', '.jsonl', '.gz'):
        return (f'a {suffix} file is of another format: tools/convert_annotations.py reads those of CVAT, Label Studio '
                'and labelme')
    return 'download it or write it again'


def below_root(path: str, data_root: Optional[str]) -> str:
    """Where a file of a config lies: below ``data_root``, whether or not the path already begins with that folder.

    mmpose's own configs write ``bbox_file`` with the folder, and ``ann_file`` without it.
    """
    if not data_root or os.path.isabs(path):
        return path
    joined = os.path.join(data_root, path)
    inside = os.path.normpath(path).startswith(os.path.join(os.path.normpath(data_root), ''))
    return path if inside and not os.path.exists(joined) else joined
