"""The parts of a run as one file, ``predictions.json``."""
import json
import re
from pathlib import Path
from typing import BinaryIO, Dict, Optional, Sequence, Union

from mmpose_mspn.utils.files import open_atomically

from .prediction_files import COMPLETE, PREDICTIONS, Shard, parsed_line, refuse_other_run

HEADER = {'format', 'about', 'keypoint_names', 'skeleton'}
"""What the first line of a part holds."""
IMAGE = {'image', 'skipped_boxes'}
"""What the line of an image holds."""


def merge_parts(folders: Sequence[Union[str, Path]], out_dir: Union[str, Path]) -> Dict[str, int]:
    """Merge the complete parts of a run into ``predictions.json``. The parts are left in place.

    Args:
        folders: Folders in which the parts lie.
        out_dir: Folder of the new file.

    Returns:
        Counts: ``parts``, ``images``, ``instances`` and ``skipped_boxes``.

    Raises:
        FileNotFoundError: There are no parts, or some are missing. The message names them.
        ValueError: A part is not complete, lies in two folders, or is of another run.
    """
    found: Dict[Shard, Path] = {}
    for folder in dict.fromkeys(Path(one).resolve() for one in folders):
        if not folder.is_dir():
            raise FileNotFoundError(f'{folder} is not a folder: name the --out of the shards')
        for path in sorted(folder.glob('predictions-*-of-*.jsonl')):
            match = re.fullmatch(r'predictions-(\d+)-of-(\d+)', path.stem)
            shard = Shard(int(match[1]), int(match[2])) if match else None
            if shard in found:
                raise ValueError(f'{path} and {found[shard]} are the same part: name only one of the folders')
            if shard:
                found[shard] = path
    counts = {shard.count for shard in found}
    if len(counts) != 1:
        what = f'parts of runs of {" and ".join(map(str, sorted(counts)))} shards' if counts else 'no parts'
        raise FileNotFoundError(f'{", ".join(map(str, folders))}: {what} (predictions-1-of-8.jsonl, …): name the '
                                '--out of one run with --shard')
    count, = counts
    wanted = [Shard(index, count) for index in range(1, count + 1)]
    missing = [shard.file_name for shard in wanted if shard not in found]
    if missing:
        raise FileNotFoundError(f'{len(missing)} of {len(wanted)} parts are missing: {", ".join(missing[:5])}: run '
                                'their shards first')
    return dict(parts=len(wanted), **write_predictions([found[shard] for shard in wanted], Path(out_dir)))


def write_predictions(parts: Sequence[Path], out_dir: Path) -> Dict[str, int]:
    """Write ``predictions.json`` from complete part files, atomically and without holding the images in memory.

    Returns:
        Counts: ``images``, ``instances`` and ``skipped_boxes``.

    Raises:
        ValueError: A part is not complete, or the parts are of different runs.
    """
    counts = dict(images=0, instances=0, skipped_boxes=0)
    first: Optional[dict] = None
    with open_atomically(out_dir / PREDICTIONS) as out:
        for path in parts:
            with open(path, 'rb') as lines:
                header = parsed_line(lines.readline())
                if header is None or not set(header) >= HEADER:
                    raise ValueError(f'{path} is not part of a run: run its shard again')
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
            raise ValueError(f'{path} is not part of a run, as its line {number} is not an image: run its '
                             'shard again')
        out.write((', ' if counts['images'] else '').encode() + json.dumps(content['image']).encode())
        counts['images'] += 1
        counts['instances'] += len(content['image']['instances'])
        counts['skipped_boxes'] += content['skipped_boxes']
    raise ValueError(f'{path} is not complete: finish its shard with --resume')
