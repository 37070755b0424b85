"""The rule of all outputs: a run replaces only what the same kind of run has written, as it has written it.

Each folder with outputs has a hidden file :data:`RECORD`, with a line for every file that was written: its name, the
kind of run and the hash of its content. The line is written before the file, and files are written atomically, so
that a crash at any moment leaves no file of ours without a line. A file without one, or whose content is another by now
because somebody has edited it, stands in the way of a new run, which is refused before it starts.
"""
import hashlib
import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Dict, Iterable, Iterator, Optional, Set, Tuple, Union

from mmpose_mspn.utils.arguments import first_few
from mmpose_mspn.utils.errors import OutputError
from mmpose_mspn.utils.files import FilePath, open_atomically

RECORD = '.mmpose_mspn-outputs.jsonl'
"""The file that says what was written to its folder, and by which kind of run."""
BLOCK = 1 << 20
"""Bytes of a file that are read at once."""
Written = Tuple[str, str, Optional[str]]
"""Name of a file, the kind of run, and the hash of the content; ``None`` for a folder with all that is in it."""


def refuse_empty(option: str, path: Optional[FilePath]) -> None:
    """Raise OutputError for an empty name, which Python takes for the working directory."""
    if path is not None and not str(path).strip():
        raise OutputError(f'{option} is empty: name where the results shall go, or omit the option')


def check_outputs(option: str, paths: Iterable[FilePath], kind: str, sources: Iterable[FilePath] = ()) -> None:
    """Check before a run that it may write files.

    Args:
        option: Name of the option that gives them, for the message.
        paths: The files that the run writes.
        kind: The kind of run, such as ``'export'``.
        sources: Files that the run reads, of which none is replaced whoever has written it.

    Raises:
        OutputError: A file stands in the way: one of ``sources``, one that no run of this kind has written or that has
            changed since, or something that is not a file. The message names the files.
    """
    records: Dict[Path, Set[Written]] = {}
    foreign = []
    sources = [source for source in sources if os.path.exists(source)]
    for path in map(Path, paths):
        if not os.path.lexists(path):
            continue
        if any(os.path.exists(path) and os.path.samefile(path, source) for source in sources):
            raise OutputError(f'{option}: {path} is read by this run and is not replaced: choose another name')
        if path.parent not in records:
            records[path.parent] = set(_recorded(path.parent))
        if not _is_ours(path, kind, records[path.parent]):
            foreign.append(path)
    if foreign:
        others = '' if len(foreign) == 1 else f' ({len(foreign)} in all: {first_few(path.name for path in foreign)})'
        raise OutputError(f'{option}: {foreign[0]} stands in the way{others}: no earlier run of this kind has written '
                          'it as it is, so it is not replaced: move it, or choose another name or folder')


def may_replace(path: FilePath, kind: str) -> bool:
    """Whether a file is missing, or was written as it is by a run of this kind."""
    path = Path(path)
    return not os.path.lexists(path) or _is_ours(path, kind, set(_recorded(path.parent)))


def write_json_output(path: FilePath, content: Union[dict, list], kind: str, indent: Optional[int] = None) -> None:
    """:func:`write_output` of a JSON file."""
    write_output(path, json.dumps(content, indent=indent).encode(), kind)


def write_output(path: FilePath, content: bytes, kind: str, sync: bool = True) -> None:
    """Record a file that :func:`check_outputs` has allowed, and write it atomically.

    Args:
        path: The file. Missing folders are created.
        content: Its content.
        kind: The kind of run.
        sync: As for :func:`mmpose_mspn.utils.files.write_atomically`.
    """
    with open_output(path, kind, sync) as file:
        file.write(content)


@contextmanager
def open_output(path: FilePath, kind: str, sync: bool = True) -> Iterator[BinaryIO]:
    """A binary file to write to in a ``with`` block, which is recorded and gets its name at the end of it."""
    with open_atomically(path, sync, lambda complete: record_output(path, kind, complete)) as file:
        yield file


def move_output(made: FilePath, path: FilePath, kind: str) -> None:
    """Record a file that :func:`check_outputs` has allowed, and give it its name.

    Args:
        made: A complete file in the same file system.
        path: Its new name. Missing folders are created.
        kind: The kind of run.
    """
    record_output(path, kind, made)
    os.replace(made, path)


def record_output(path: FilePath, kind: str, content: Optional[FilePath] = None) -> None:
    """Record a file by the file that holds its content, or without that a folder with all that will be in it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    content_hash = None if content is None else _hash(Path(content))
    line = json.dumps(dict(file=path.name, by=kind, sha256=content_hash)) + '\n'
    with open(path.parent / RECORD, 'ab') as file:  # one short write, so that parallel runs do not mix their lines
        file.write(line.encode())


def _recorded(folder: Path) -> Iterator[Written]:
    try:
        lines = (folder / RECORD).read_bytes().splitlines()
    except OSError:  # there is none
        return
    for line in lines:
        try:
            entry = json.loads(line)
            yield entry['file'], entry['by'], entry['sha256']
        except (ValueError, KeyError, TypeError):  # the line of a run that was killed, or a file of somebody else
            continue


def _is_ours(path: Path, kind: str, recorded: Set[Written]) -> bool:
    if path.is_dir():
        return (path.name, kind, None) in recorded or not any(path.iterdir())
    if not path.is_file() or not any(entry[:2] == (path.name, kind) for entry in recorded):
        return False  # not a file: a link to nothing, a device, a pipe
    return (path.name, kind, _hash(path)) in recorded


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()

