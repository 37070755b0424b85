"""Predictions on the disk: a line per image during a run, one JSON file at its end.

During a run, its part file grows: ``predictions.jsonl``, or ``predictions-2-of-8.jsonl`` for the second of eight
shards. Its first line describes the run, every further line is an image, and the last line says that the part is
complete. A killed run leaves whole lines behind, from which it is resumed. The complete parts are merged into
``predictions.json``, whose content does not depend on how often a run was killed or how it was divided.
"""
import json
import logging
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Dict, Iterator, NamedTuple, Optional, Sequence, Union

from mmengine.logging import print_log

from mmpose_mspn.utils.errors import DataError, OutputError, UserError
from mmpose_mspn.utils.outputs import check_outputs, open_output

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

PREDICTIONS = 'predictions.json'
KIND = 'infer'
FORMAT = 1
COMPLETE = dict(complete=True)
START = b'{"format": '
"""How a part file starts, by which it is told from files of others."""


class Shard(NamedTuple):
    """The part ``index`` (from 1) of ``count`` parts of a run."""
    index: int = 1
    count: int = 1

    def of(self, items: list) -> list:
        """This shard's share of a list: neighbors, so that the shares of all shards, one after the other, are the list.
        """
        return items[(self.index - 1) * len(items) // self.count:self.index * len(items) // self.count]

    @property
    def file_name(self) -> str:
        return 'predictions.jsonl' if self.count == 1 else f'predictions-{self.index}-of-{self.count}.jsonl'


def parse_shard(text: Optional[str]) -> Shard:
    """The shard that ``i/n`` names, the whole for ``None``.

    Raises:
        UserError: It is not two integers with 1 <= i <= n.
    """
    if text is None:
        return Shard()
    match = re.fullmatch(r'(\d+)/(\d+)', str(text))
    shard = Shard(int(match[1]), int(match[2])) if match else Shard(0, 0)
    if not 1 <= shard.index <= shard.count:
        raise UserError(f'shard must be i/n with 1 <= i <= n, such as 2/8, got {text!r}')
    return shard


class PartFile:
    """The file that a run's predictions are written to as they come.

    Args:
        about: What makes the run's predictions and drawings what they are: all of it must be equal in a run that is
            resumed, in the parts that are merged, and in those in the same folder. Plain values.
        labels: ``keypoint_names`` and ``skeleton`` of the result.
        resume: Whether to continue after the last image of an existing file.

    Attributes:
        path: The file.
        done: Number of images that an earlier run has left in it.
        written: Number of images that this run has written.
        complete: Whether the earlier run came to its end.

    Raises:
        UserError: The file, or another part in the folder, is of another run; or the file is unfinished and
            ``resume`` is not set; or another process writes it.
    """

    def __init__(self, folder: Path, shard: Shard, about: dict, labels: dict, resume: bool) -> None:
        self.path = folder / shard.file_name
        self.done, self.written, self.complete = 0, 0, False
        header = dict(format=FORMAT, about=about, **labels)
        _refuse_parts_of_other_runs(folder, header, self.path)
        existed = self.path.exists()
        self._file: BinaryIO = open(self.path, 'r+b' if existed else 'w+b')  # noqa: SIM115  closed by close()
        try:
            self._lock()
            if existed:
                self._take_over(header, resume)
        except BaseException:
            self._file.close()
            raise
        if not self._file.tell():
            self._write(header)

    def _lock(self) -> None:
        """Reserve the file until it is closed. Where the file system has no locks, nothing happens."""
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(f'another process writes {self.path}: wait for its end, or choose another --out or '
                              '--shard') from error
        except OSError:
            return

    def _take_over(self, header: dict, resume: bool) -> None:
        """Leave the file at its end, after its last whole line, or empty."""
        size, old = 0, None
        start = self._file.peek(len(START))[:len(START)]
        if not START.startswith(start):
            raise OutputError(f'{self.path} stands in the way: no run has written it, so it is not replaced: move it, '
                              'or choose another --out')
        for line in self._file:
            content = parsed_line(line)
            if content is None:  # a line that a killed run has not finished, and nothing after it
                break
            size += len(line)
            if old is None:
                old = content
            elif content == COMPLETE:
                self.complete = True
                break
            else:
                self.done += 1
        if not resume:
            if self.done and not self.complete:
                raise OutputError(f'{self.path} holds {self.done} images of a run that was not finished: continue with '
                                  '--resume, choose another --out, or remove the file')
            self.done, self.complete, size = 0, False, 0
        elif old is not None:
            refuse_other_run(old, header, self.path)
        self._file.truncate(size)
        self._file.seek(size)

    def records(self) -> Iterator[dict]:
        """The lines of the images in the file, see :meth:`write`."""
        with open(self.path, 'rb') as file:
            file.readline()
            for _ in range(self.images):
                yield json.loads(file.readline())

    @property
    def images(self) -> int:
        """Number of images in the file."""
        return self.done + self.written

    def counts(self) -> Dict[str, int]:
        """``images``, ``instances`` and ``skipped_boxes`` of the file."""
        counts = dict(images=0, instances=0, skipped_boxes=0)
        for line in self.records():
            counts['images'] += 1
            counts['instances'] += len(line['image']['instances'])
            counts['skipped_boxes'] += line['skipped_boxes']
        return counts

    def write(self, image: dict, skipped_boxes: int) -> None:
        """Append an image. After this the line survives the end of the process.

        Args:
            image: Its entry in ``predictions.json``.
            skipped_boxes: Number of its boxes that were skipped.
        """
        self._write(dict(image=image, skipped_boxes=skipped_boxes))
        self.written += 1

    def finish(self) -> None:
        """Say that the part is complete."""
        self._write(COMPLETE)
        os.fsync(self._file.fileno())
        self.complete = True

    def _write(self, content: dict) -> None:
        try:
            self._file.write(json.dumps(content).encode() + b'\n')
            self._file.flush()
        except OSError as error:  # the message of a full disk would not say which file it is about
            raise OSError(error.errno, f'{error.strerror}: free space there, and continue with --resume',
                          str(self.path)) from error

    def close(self, remove: bool = False) -> None:
        """Close the file, and remove it if asked."""
        if remove:
            self.path.unlink(missing_ok=True)
        with suppress(OSError):  # of a line that could not be written, which has been said
            self._file.close()


def _refuse_parts_of_other_runs(folder: Path, header: dict, part: Path) -> None:
    """Check that the other parts in a folder are of this run, because all of them draw into the folder."""
    for path in sorted(folder.glob('predictions*.jsonl')):
        if path == part or not path.is_file():
            continue
        with open(path, 'rb') as file:
            first = parsed_line(file.readline())
        if first is not None and 'about' in first:  # merge_parts refuses files that are not parts
            refuse_other_run(first, header, path)


def warn_of_earlier_run(folder: Path, part: PartFile) -> None:
    """Log that a folder holds the results of a run that has ended, among which those of a new run will lie."""
    if not part.done and not part.complete and (folder / PREDICTIONS).exists():
        print_log(f'{folder} holds the results of an earlier run: those of images with the same names are replaced, '
                  'and the other drawings stay', 'current', logging.WARNING)


def parsed_line(line: bytes) -> Optional[dict]:
    """Content of a line of a part file; ``None`` if it is not whole."""
    try:
        content = json.loads(line) if line.endswith(b'\n') else None
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def refuse_other_run(old: dict, new: dict, path: Path) -> None:
    """Check that a part file's first line is that of this run.

    Raises:
        UserError: It is not. The message names what differs.
    """
    differs = sorted(name for name in {*old.get('about', {}), *new['about']}
                     if old.get('about', {}).get(name) != new['about'].get(name))
    if old.get('format') != new['format'] or differs or old != new:
        raise OutputError(f'{path} is of another run (different: {", ".join(differs) or "format"}): choose another '
                          '--out, give the same arguments, or remove the file')


HEADER = {'format', 'about', 'keypoint_names', 'skeleton'}
"""What the first line of a part holds."""
IMAGE = {'image', 'skipped_boxes'}
"""What the line of an image holds."""


def merge_parts(folders: Sequence[Union[str, Path]], out_dir: Union[str, Path]) -> Dict[str, int]:
    """Merge the complete parts of a run into ``predictions.json``. The parts are left in place.

    Args:
        folders: Folders in which the parts lie.

    Returns:
        Counts: ``parts``, ``images``, ``instances`` and ``skipped_boxes``.

    Raises:
        FileNotFoundError: There are no parts, or some are missing. The message names them.
        UserError: A part is not complete, lies in two folders, or is of another run.
    """
    parts: Dict[Shard, Path] = {}
    for folder in dict.fromkeys(Path(name).resolve() for name in folders):
        if not folder.is_dir():
            raise FileNotFoundError(f'{folder} is not a folder: name the --out of the shards')
        for path in sorted(folder.glob('predictions-*-of-*.jsonl')):
            match = re.fullmatch(r'predictions-(\d+)-of-(\d+)', path.stem)
            shard = Shard(int(match[1]), int(match[2])) if match else None
            if shard in parts:
                raise DataError(f'{path} and {parts[shard]} are the same part: name only one of the folders')
            if shard:
                parts[shard] = path
    counts = {shard.count for shard in parts}
    if len(counts) != 1:
        what = f'parts of runs of {" and ".join(map(str, sorted(counts)))} shards' if counts else 'no parts'
        raise FileNotFoundError(f'{", ".join(map(str, folders))}: {what} (predictions-1-of-8.jsonl, …): name the '
                                '--out of one run with --shard')
    count, = counts
    wanted = [Shard(index, count) for index in range(1, count + 1)]
    missing = [shard.file_name for shard in wanted if shard not in parts]
    if missing:
        raise FileNotFoundError(f'{len(missing)} of {len(wanted)} parts are missing: {", ".join(missing[:5])}: run '
                                'their shards first')
    return dict(parts=len(wanted), **write_predictions([parts[shard] for shard in wanted], Path(out_dir)))


def write_predictions(parts: Sequence[Path], out_dir: Path) -> Dict[str, int]:
    """Write ``predictions.json`` from complete part files, atomically and without holding the images in memory.

    Returns:
        Counts: ``images``, ``instances`` and ``skipped_boxes``.

    Raises:
        UserError: A part is not complete, or the parts are of different runs.
    """
    counts = dict(images=0, instances=0, skipped_boxes=0)
    first: Optional[dict] = None
    check_outputs('out_dir', [out_dir / PREDICTIONS], KIND)
    with open_output(out_dir / PREDICTIONS, KIND) as out:
        for path in parts:
            with open(path, 'rb') as lines:
                header = parsed_line(lines.readline())
                if header is None or not set(header) >= HEADER:
                    raise DataError(f'{path} is not part of a run: run its shard again')
                if first is None:
                    first = header
                    labels = json.dumps(dict(keypoint_names=header['keypoint_names'], skeleton=header['skeleton']))
                    out.write(labels[:-1].encode() + b', "images": [')
                refuse_other_run(header, first, path)
                _copy_images(path, lines, out, counts)
        out.write(b']}')
    return counts


def _copy_images(path: Path, lines: BinaryIO, out: BinaryIO, counts: Dict[str, int]) -> None:
    for number, line in enumerate(lines, 2):
        content = parsed_line(line)
        if content == COMPLETE:
            return
        if content is None:
            break
        if not set(content) >= IMAGE:
            raise DataError(f'{path} is not part of a run, as its line {number} is not an image: run its '
                            'shard again')
        out.write((', ' if counts['images'] else '').encode() + json.dumps(content['image']).encode())
        counts['images'] += 1
        counts['instances'] += len(content['image']['instances'])
        counts['skipped_boxes'] += content['skipped_boxes']
    raise DataError(f'{path} is not complete: finish its shard with --resume')
