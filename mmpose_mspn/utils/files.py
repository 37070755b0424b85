"""Files written whole or not at all, and JSON read with errors that name the file."""
import json
import os
from pathlib import Path
from typing import Tuple, Type, Union

FilePath = Union[str, Path]


def write_atomically(path: FilePath, content: bytes, sync: bool = True) -> None:
    """Write a file so that a crash at any moment leaves the old file or the new one, never a part of it.

    Args:
        path: The file; missing folders are made.
        content: What it holds.
        sync: Whether the file must survive a power cut too, which costs the time of writing to the disk.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, because renaming is atomic only within a file system. A crash leaves at most this file
    # behind, and the next attempt replaces it.
    part = path.with_name(f'.{path.name}.part')
    try:
        with open(part, 'wb') as file:
            file.write(content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if sync:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a renaming survive a power cut, where folders can be opened at all."""
    if not hasattr(os, 'O_DIRECTORY'):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: FilePath, content: Union[dict, list]) -> None:
    """Write a JSON file as :func:`write_atomically` does."""
    write_atomically(path, json.dumps(content).encode())


def read_json(name: str, path: FilePath, kinds: Union[Type, Tuple[Type, ...]] = (dict, list)) -> Union[dict, list]:
    """The content of a JSON file.

    Args:
        name: What messages call the file, such as the option that names it.
        path: The file.
        kinds: ``dict``, ``list`` or both: what the file may hold.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not JSON, or holds something else.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{name} {path} does not exist: name a file that does')
    try:
        # Bytes: json recognizes UTF-8, UTF-16 and UTF-32, with or without a byte order mark.
        content = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{name} {path} is not JSON ({error}): fetch or write it again') from error
    if not isinstance(content, kinds):
        wanted = ' or '.join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds, )))
        raise ValueError(f'{name} {path} must hold a {wanted}, got a {type(content).__name__}')
    return content
