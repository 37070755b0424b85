"""Loaders for mmengine's checkpoint schemes that run no code from a file.

mmengine reads every checkpoint (``load_from``, ``resume``, ``init_cfg``, ``init_model``, …) with the loader that its
``CheckpointLoader`` has registered for the prefix of the path. Its own loaders call ``torch.load`` without
``weights_only``. The default of torch is unsafe for files before 2.6, and for downloads in all versions. These loaders
find the same files and read them with :func:`mmpose_mspn.safe_loading.load_safely`.

Each takes the path with its prefix and ``map_location`` as for ``torch.load``. mmengine's log shows the end of a
loader's name, ``load_from_…``.
"""
import io
import logging
import os
import pickle
import re
import sys
import zipfile
from collections import OrderedDict
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any, Dict, Iterator, Mapping
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, get_dist_info
from mmengine.fileio import get_file_backend
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from mmengine.runner import checkpoint as mmengine_checkpoint

from .safe_loading import load_safely
from .utils.errors import CheckpointError, UnsafeCheckpointError


def register_loaders() -> None:
    """Replace mmengine's loaders by those of this module."""
    for prefixes, loader in (
        ('', load_from_local),
        (('http://', 'https://'), load_from_http),
        (('torchvision://', 'modelzoo://'), load_from_torchvision),
        (('open-mmlab://', 'openmmlab://'), load_from_openmmlab),
        ('mmcls://', load_from_mmcls),
        ('pavi://', load_from_pavi),
        ((r'(\S+\:)?s3://', r'(\S+\:)?petrel://'), load_from_ceph),
    ):
        CheckpointLoader.register_scheme(prefixes, loader, force=True)


def load_from_local(path: str, map_location: Any = None) -> Any:
    """Load a file of this machine.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: It does not hold a dict whose weights have names, as all checkpoints do.
    """
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f'checkpoint {path} does not exist: name a file that does')
    with _errors_that_name(path):
        loaded = load_safely(path, map_location)
    if not isinstance(loaded, Mapping):
        raise CheckpointError(f'{path} holds a {type(loaded).__name__}, not the dict of a checkpoint: name a file that '
                              'does')
    for names in (loaded, loaded.get('state_dict'), loaded.get('model')):
        wrong = [name for name in names if not isinstance(name, str)] if isinstance(names, Mapping) else []
        if wrong:
            raise CheckpointError(f'{path} holds weights whose names are not strings, such as {wrong[0]!r}: name the '
                                  'checkpoint of a model')
    return loaded


@contextmanager
def _errors_that_name(path: str) -> Iterator[None]:
    """Turn the errors of loading a file into one line that names the file.

    Raises:
        UnsafeCheckpointError: The file holds objects that are not weights.
        CheckpointError: The file is truncated or is not a checkpoint.
    """
    try:
        yield
    except (CheckpointError, MemoryError):
        raise
    except Exception as error:
        # A damaged file raises RuntimeError, EOFError, KeyError, …, depending on where it is damaged.
        refused = re.search(r'GLOBAL ([\w.]+)', str(error))
        if isinstance(error, pickle.UnpicklingError) and refused:
            raise UnsafeCheckpointError(
                f'{path} holds more than weights ({refused[1]}), and loading that could run code: the file was not '
                'loaded. Save only the weights where the file was made') from error
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise CheckpointError(f'{path} is not a checkpoint, or is incomplete: {reason}') from error


def load_from_http(url: str, map_location: Any = None) -> Any:
    """Load a download, which is kept in torch.hub's folder of checkpoints. Of several processes rank 0 downloads."""
    rank, _ = get_dist_info()
    if rank == 0:
        _download(url)
    barrier()
    path = _download(url)  # only where rank 0 runs on another machine
    with _errors_that_name(path):
        return _load_download(path, map_location)


def _load_download(path: str, map_location: Any) -> Any:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if len(archive.namelist()) == 1:  # a zip archive around a checkpoint; torch's own format has more entries
                return load_safely(io.BytesIO(archive.read(archive.namelist()[0])), map_location)
    return load_safely(path, map_location)


def _download(url: str) -> str:
    """Path of the downloaded file. A file that is already there is not downloaded again."""
    folder = os.path.join(torch.hub.get_dir(), 'checkpoints')
    path = os.path.join(folder, os.path.basename(urlparse(url).path))
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        print_log(f'Downloading {url} to {path}', 'current')
        try:
            torch.hub.download_url_to_file(url, path, progress=sys.stderr.isatty())
        except OSError as error:  # also urllib's errors
            raise CheckpointError(
                f'{url} cannot be downloaded ({error}): put the file at {path}, or go without it, for ImageNet weights '
                'with --cfg-options model.backbone.init_cfg=None') from error
    return path


def load_from_torchvision(name: str, map_location: Any = None) -> Any:
    """Load weights of torchvision by the model's name."""
    if name.startswith('modelzoo://'):
        print_log('modelzoo:// is an old name of torchvision://: write that', 'current', logging.WARNING)
    return load_from_http(_look_up(name, mmengine_checkpoint.get_torchvision_models()), map_location)


def load_from_openmmlab(name: str, map_location: Any = None) -> Any:
    """Load a model of OpenMMLab's list, or of ``open_mmlab.json`` in mmengine's home folder.

    The latter may name a URL or a file in that folder.
    """
    scheme, model = name.split('://')
    renamed = mmengine_checkpoint.get_deprecated_model_names()
    if model in renamed:
        print_log(f'{name} is an old name of {scheme}://{renamed[model]}: write that', 'current', logging.WARNING)
        model = renamed[model]
    place = _look_up(f'{scheme}://{model}', mmengine_checkpoint.get_external_models())
    if place.startswith(('http://', 'https://')):
        return load_from_http(place, map_location)
    return load_from_local(os.path.join(mmengine_checkpoint._get_mmengine_home(), place), map_location)


def load_from_mmcls(name: str, map_location: Any = None) -> Any:
    """Load the backbone of one of mmcls's classifiers."""
    checkpoint = load_from_http(_look_up(name, mmengine_checkpoint.get_mmcls_models()), map_location)
    weights = checkpoint.get('state_dict', checkpoint)
    prefix = 'backbone.'
    return dict(state_dict=OrderedDict(
        (key[len(prefix):], value) for key, value in weights.items() if key.startswith(prefix)))


def _look_up(name: str, places: Dict[str, str]) -> str:
    scheme, model = name.split('://')
    if model not in places:
        raise KeyError(f'{name} is none of the {len(places)} models that mmengine knows for {scheme}://')
    return places[model]


def load_from_pavi(path: str, map_location: Any = None) -> Any:
    """Load a model of the pavi cloud.

    Raises:
        ImportError: pavi is not installed.
    """
    try:
        from pavi import modelcloud
    except ImportError as error:
        raise ImportError(f'{path} needs the package pavi, which is not installed: {error}') from error
    model = modelcloud.get(path[len('pavi://'):])
    with TemporaryDirectory() as folder:
        file = os.path.join(folder, model.name)
        model.download(file)
        with _errors_that_name(path):
            return load_safely(file, map_location)


def load_from_ceph(path: str, map_location: Any = None) -> Any:
    """Load an object of a Ceph cluster with mmengine's petrel backend."""
    backend = get_file_backend(path, backend_args=dict(backend='petrel'))
    with _errors_that_name(path):
        return load_safely(io.BytesIO(backend.get(path)), map_location)
