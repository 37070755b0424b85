"""Weights that others have published: their names and figures, and their download, once.

``configs/published.yml`` is the table. Files are kept where torch.hub keeps them, ``~/.cache/torch/hub/checkpoints``
unless ``TORCH_HOME`` says otherwise.
"""
import hashlib
import http.client
import re
import shutil
from functools import cache
from pathlib import Path
from typing import NamedTuple, Optional, Tuple
from urllib.error import HTTPError
from urllib.parse import unquote, urlparse
from urllib.request import Request, urlopen

import torch
import yaml
from filelock import FileLock
from mmengine.logging import print_log
from tqdm import tqdm

from mmpose_mspn.utils.arguments import near_matches
from mmpose_mspn.utils.errors import CheckpointError, DownloadError
from mmpose_mspn.utils.files import FilePath

TABLE = Path(__file__).parents[1] / '.mim' / 'configs' / 'published.yml'
SCHEME = 'mmpose_mspn://'
"""Prefix of a published model's name where a config expects a checkpoint, as in ``load_from``."""
ATTEMPTS = 5
"""Number of times that a download starts or goes on after its connection broke."""
TIMEOUT = 60
"""Seconds without a byte after which a connection counts as broken."""


class PublishedModel(NamedTuple):
    """Weights that others have published.

    Attributes:
        names: The config's name, then shorter names and the one that the publisher uses.
        file: Name of the file. mmpose's carry the first digits of their SHA-256.
        url: Address of the file, or ``None`` if it is downloaded by hand.
        page: The page for that.
        figures: The published figures with their sources.
        megabytes: Size of the weights, in units of 10⁶ bytes.
    """
    names: Tuple[str, ...]
    file: str
    url: Optional[str]
    page: Optional[str]
    figures: str
    megabytes: int

    @property
    def config(self) -> str:
        """Name of the package's config that the weights fill."""
        return self.names[0]


def describe_figures(entry: dict) -> str:
    """The figures of an entry of the table, with their sources; empty if there are none."""
    return '; '.join(f'{one["figure"]} {one["data"]} ({one["source"]})' for one in entry.get('published', []))


@cache
def published_models() -> Tuple[PublishedModel, ...]:
    """All published weights, in the order of the table."""
    entries = yaml.safe_load(TABLE.read_text(encoding='utf-8'))
    return tuple(
        PublishedModel((config, *entry['names']), entry.get('file') or file_name(entry['weights']),
                       entry.get('weights'), entry.get('page'), describe_figures(entry), entry['megabytes'])
        for config, entry in entries.items() if 'names' in entry)


def list_models() -> None:
    """Print the names of all published weights, the figures published for them with their sources, and their sizes."""
    models = published_models()
    width = max(len(model.config) for model in models)
    for model in models:
        print(f'{model.config:{width}}  {model.names[1]:15}  {model.figures}, {model.megabytes} MB'
              + ('' if model.url else f', by hand from {model.page}'))


def find_published(name: FilePath) -> Optional[PublishedModel]:
    """The published weights of a name, which may follow ``mmpose_mspn://``; ``None`` if there are none."""
    name = str(name)[len(SCHEME) * str(name).startswith(SCHEME):]
    return next((model for model in published_models() if name in model.names), None)


def published_config(checkpoint: FilePath) -> Optional[str]:
    """Name of the config of a file of published weights, which the file's name tells; ``None`` for other files."""
    return next((model.config for model in published_models() if model.file == Path(checkpoint).name), None)


def checkpoint_file(checkpoint: FilePath) -> Path:
    """The file of a checkpoint, downloaded if need be.

    Args:
        checkpoint: A file, a URL, or a name of published weights, which may follow ``mmpose_mspn://``. A file of that
            name comes first.

    Raises:
        FileNotFoundError: There is no such file, and no weights are published under that name.
        CheckpointError: The file cannot be downloaded. The message names its address and the place for it.
    """
    name = str(checkpoint)
    if Path(name).is_file():
        return Path(name)
    if name.startswith(('http://', 'https://')):
        return download(name)
    model = find_published(name)
    if model is None:
        known = [known for model in published_models() for known in model.names]
        hint = near_matches(name.split('://')[-1], known)
        raise FileNotFoundError(f'checkpoint {checkpoint} does not exist: name a file that does, or published weights '
                                f'(mmpose_mspn.list_models() prints their names){hint}')
    if model.url:
        return download(model.url)
    path = download_folder() / model.file
    if not path.is_file():
        raise CheckpointError(f'the weights {name} are not here: download {model.file} by hand from {model.page} and '
                              f'put it into {path.parent}')
    return path


def download_folder() -> Path:
    """The folder of torch.hub for downloaded checkpoints."""
    return Path(torch.hub.get_dir(), 'checkpoints')


def file_name(url: str) -> str:
    """Name of the file at a URL."""
    return Path(unquote(urlparse(url).path)).name


def download(url: str) -> Path:
    """The file at a URL, downloaded unless a file of its name is in torch.hub's folder already.

    Of several processes that ask for the same file, one downloads and the others wait. A file whose name carries a part
    of its SHA-256, as in ``mspn50-8fbfb5d0_20201123.pth`` or ``resnet50-11ad3fa6.pth``, is checked, and an interrupted
    download of such a file goes on where it stopped.

    Raises:
        DownloadError: The file cannot be downloaded.
        CheckpointError: It is not the one that its name says.
    """
    folder = download_folder()
    path = folder / file_name(url)
    if path == folder:
        raise CheckpointError(f'{url} names no file: give the address of a checkpoint')
    if path.is_file():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f'{path}.lock'):
            if not path.is_file():
                print_log(f'downloading {url} to {path}', 'current')
                _download_to(path, url)
    except (OSError, http.client.HTTPException) as error:  # also urllib's errors
        raise DownloadError(f'{url} cannot be downloaded ({error}): put the file {path.name} into {folder}, or run '
                            'this again with a connection') from error
    return path


def _download_to(path: Path, url: str) -> None:
    digits = hash_in_name(path.name)
    part = path.with_name(f'{path.name}.part')
    if not digits:
        part.unlink(missing_ok=True)  # nothing would tell whether it is a part of the same file
    for attempt in range(1, ATTEMPTS + 1):
        start = part.stat().st_size if part.exists() else 0
        try:
            _append(part, url, start)
        except (OSError, http.client.HTTPException) as error:
            past_the_end = getattr(error, 'code', None) == http.client.REQUESTED_RANGE_NOT_SATISFIABLE
            if past_the_end and start:
                part.unlink()
            elif isinstance(error, HTTPError) or not part.exists() or part.stat().st_size <= start:
                raise
            if attempt == ATTEMPTS:
                raise
            continue
        digest = _sha256(part) if digits else ''
        if digest.startswith(digits):
            part.replace(path)
            return
        part.unlink()
        if not start:
            break
    raise CheckpointError(f'{url} is not the file that its name says: its SHA-256 starts with {digest[:len(digits)]}, '
                          f'not {digits}; it is not kept. Run this again, or download it by hand and put it into '
                          f'{path.parent}')


def _append(part: Path, url: str, start: int) -> None:
    """Download the bytes of a file from ``start`` on, or all of them if the server does not serve parts."""
    resume = {'Range': f'bytes={start}-'} if start else {}
    with urlopen(Request(url, headers={'User-Agent': 'mmpose_mspn', **resume}), timeout=TIMEOUT) as answer:
        resumed = answer.status == http.client.PARTIAL_CONTENT
        start = start if resumed else 0
        length = answer.headers.get('Content-Length')
        size = start + int(length) if length else None
        with open(part, 'ab' if resumed else 'wb') as file, tqdm.wrapattr(
                file, 'write', total=size, initial=start, desc=part.stem, disable=None) as counted:
            shutil.copyfileobj(answer, counted)
    # http.client takes the end of a broken connection for the end of the file.
    if size is not None and part.stat().st_size < size:
        raise ConnectionError(f'the connection broke after {part.stat().st_size} of {size} bytes')


def hash_in_name(name: str) -> str:
    """The digits of its SHA-256 that a file's name carries before the date or the suffix; empty if there are none."""
    match = re.search(r'-(?!20\d{6})([0-9a-f]{8,64})(_\d{8})?\.\w+$', name)
    return match[1] if match else ''


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()
