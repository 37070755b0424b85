"""Reading checkpoints without running code from them, on every supported version of torch.

A checkpoint of mmengine's Runner holds its message hub, numpy scalars and arrays besides weights. From 2.6 torch
refuses them, so importing this package puts them on torch's allow-list (:func:`allow_runner_classes`). That only adds:
every loader goes on as before. This package's own API reads with :func:`read_checkpoint`. A process in which mmengine
shall read as safely calls :func:`use_safe_loading`, as the tools do.
"""
import io
import logging
import os
import pickle
import re
import zipfile
from collections import Counter
from contextlib import contextmanager
from types import SimpleNamespace
from typing import IO, Any, Callable, Dict, Iterator, Mapping, Union

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, print_log
from mmengine.utils import digit_version

from mmpose_mspn.utils.errors import CheckpointError, UnsafeCheckpointError
from mmpose_mspn.utils.files import FilePath


def read_checkpoint(path: FilePath, map_location: Any = 'cpu') -> Mapping:
    """Return the content of a checkpoint without running code from it.

    Args:
        path: A file, a URL, or a name with a scheme, such as ``torchvision://resnet50`` of mmengine or
            ``mmpose_mspn://4xmspn50`` of this package. A scheme that the user has registered with mmengine is read by
            the user's loader.
        map_location: As for ``torch.load``.

    Raises:
        FileNotFoundError: There is no such file.
        UnsafeCheckpointError: It holds objects that are not weights or plain values.
        CheckpointError: It is truncated, cannot be downloaded, or is no dict whose weights have names.
    """
    from mmengine.runner.checkpoint import CheckpointLoader
    register_scheme()
    loader = CheckpointLoader._get_checkpoint_loader(str(path))
    loaded = _safe_form(loader)(str(path), map_location)
    if not isinstance(loaded, Mapping):
        raise CheckpointError(f'{path} holds a {type(loaded).__name__}, not the dict of a checkpoint: name a file that '
                              'does')
    for names in (loaded, loaded.get('state_dict'), loaded.get('model')):
        wrong = [name for name in names if not isinstance(name, str)] if isinstance(names, Mapping) else []
        if wrong:
            raise CheckpointError(f'{path} holds weights whose names are not strings, such as {wrong[0]!r}: name the '
                                  'checkpoint of a model')
    return loaded


def use_safe_loading() -> None:
    """Let mmengine read files, downloads, ``torchvision://`` and ``openmmlab://`` in this process without running code.

    mmengine's own loaders call ``torch.load`` with torch's default, which runs code from files before torch 2.6, and
    from downloads in all versions. This replaces them for all that mmengine reads (``load_from``, ``resume``,
    ``init_cfg``, ``init_model``, …). Loaders that the user has registered stay.
    """
    from mmengine.runner.checkpoint import CheckpointLoader
    for prefix, loader in list(CheckpointLoader._schemes.items()):
        if _safe_form(loader) is not loader:
            CheckpointLoader.register_scheme(prefix, _safe_form(loader), force=True)


def _safe_form(loader: Callable) -> Callable:
    """The loader of this module for the same places as one of mmengine's; others are returned as they are."""
    of_mmengine = loader.__module__ == 'mmengine.runner.checkpoint'
    return LOADERS.get(loader.__name__, loader) if of_mmengine else loader


# ---------------------------------------------------------------- places


def load_from_local(path: str, map_location: Any = None) -> Any:
    """Load a file of this machine.

    Raises:
        FileNotFoundError: There is no such file.
    """
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f'checkpoint {path} does not exist: name a file that does')
    with _errors_that_name(path):
        return within_limits(load_safely(path, map_location))


def load_from_http(url: str, map_location: Any = None) -> Any:
    """Load a download, which is kept in torch.hub's folder of checkpoints."""
    from .published import download
    path = str(download(url))
    with _errors_that_name(path):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if len(archive.namelist()) == 1:  # an archive around a checkpoint; torch's own format has more entries
                    return within_limits(load_safely(io.BytesIO(archive.read(archive.namelist()[0])), map_location))
        return within_limits(load_safely(path, map_location))


def load_from_torchvision(name: str, map_location: Any = None) -> Any:
    """Load weights of torchvision by the model's name."""
    from mmengine.runner.checkpoint import get_torchvision_models
    return load_from_http(_look_up(name, get_torchvision_models()), map_location)


def load_from_mmpose_mspn(name: str, map_location: Any = None) -> Any:
    """Load published weights by their name, ``mmpose_mspn://4xmspn50``."""
    from .published import checkpoint_file
    return load_from_local(str(checkpoint_file(name)), map_location)


def register_scheme() -> None:
    """Let mmengine read published weights by name: ``load_from = 'mmpose_mspn://4xmspn50'``.

    Importing the module of mmengine's loaders takes as long as torch. So this is called where the module has been
    imported already, and beside our models, which import it.
    """
    from mmengine.runner.checkpoint import CheckpointLoader
    CheckpointLoader.register_scheme('mmpose_mspn://', load_from_mmpose_mspn, force=True)


def load_from_openmmlab(name: str, map_location: Any = None) -> Any:
    """Load a model of OpenMMLab's list, or of ``open_mmlab.json`` in mmengine's home folder.

    The latter may name a URL or a file in that folder.
    """
    from mmengine.runner import checkpoint as of_mmengine
    scheme, model = name.split('://')
    renamed = of_mmengine.get_deprecated_model_names()
    if model in renamed:
        print_log(f'{name} is an old name of {scheme}://{renamed[model]}: write that', 'current', logging.WARNING)
        model = renamed[model]
    place = _look_up(f'{scheme}://{model}', of_mmengine.get_external_models())
    if place.startswith(('http://', 'https://')):
        return load_from_http(place, map_location)
    return load_from_local(os.path.join(of_mmengine._get_mmengine_home(), place), map_location)


def _look_up(name: str, places: Dict[str, str]) -> str:
    scheme, model = name.split('://')
    if model not in places:
        raise CheckpointError(f'{name} is none of the {len(places)} models that mmengine knows for {scheme}://')
    return places[model]


LOADERS = {loader.__name__: loader
           for loader in (load_from_local, load_from_http, load_from_torchvision, load_from_openmmlab)}
"""By the names of mmengine's loaders for the same places."""


@contextmanager
def _errors_that_name(path: str) -> Iterator[None]:
    """Turn the errors of loading a file into one line that names the file."""
    try:
        yield
    except UnsafeCheckpointError:
        raise
    except CheckpointError as error:  # of a limit, whose message does not say which file it is about
        raise CheckpointError(f'{path} is not used: {error}') from error
    except MemoryError:
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


# ---------------------------------------------------------------- limits

MOST_VALUES = 2_000_000
"""Values that a checkpoint holds beside the elements of arrays, a list counting wherever it occurs again."""
DEEPEST = 100
"""Lists within lists."""
EXPANDED = 1 << 20
"""Bytes that a tensor may take beyond those that the file holds for it: views that repeat their elements."""
MOST_ITERATIONS = 10**7
"""Iterations, or epochs, after which a checkpoint may have been written; a resumed training counts up to them."""
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
OF_FLOATS = ('weight', 'bias', 'running_mean', 'running_var')
"""Last parts of the names of what is a weight in every network; other entries, such as counters, may be integers."""


def within_limits(content: Any) -> Any:
    """The content of a file, unless it is built to take all time or memory, or has weights that no network computes by.

    Raises:
        CheckpointError: A limit of this section is exceeded. The message names the value.
    """
    _check_size(content)
    if not isinstance(content, Mapping):
        return content
    meta = content.get('meta')
    for name in ('iter', 'epoch'):
        count = meta.get(name, 0) if isinstance(meta, Mapping) else 0
        if isinstance(count, (int, float)) and count > MOST_ITERATIONS:  # the rest counts when it is resumed
            raise CheckpointError(f'its meta.{name} is {count!r}, more than {MOST_ITERATIONS}')
    for weights in (content, content.get('state_dict'), content.get('model')):
        for name, value in weights.items() if isinstance(weights, Mapping) else ():
            if isinstance(value, torch.Tensor) and isinstance(name, str):
                _check_weight(name, value)
    return content


def _check_size(content: Any) -> None:
    waiting, values = [(content, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        values += 1
        if values > MOST_VALUES or depth > DEEPEST:
            raise CheckpointError(f'it holds more than {MOST_VALUES} values, or lists within {DEEPEST} lists: save '
                                  'only the weights where the file was made')
        if isinstance(value, Mapping):
            waiting += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, (list, tuple, set, frozenset)):
            waiting += [(item, depth + 1) for item in value]
        elif isinstance(value, torch.Tensor) and value.layout == torch.strided and not value.is_meta:
            stored = value.untyped_storage().nbytes()
            if value.numel() * value.element_size() > stored + EXPANDED:
                raise CheckpointError(f'it holds a tensor of shape {tuple(value.shape)} that repeats {stored} bytes: '
                                      'save it with .contiguous()')


def _check_weight(name: str, value: torch.Tensor) -> None:
    kind = ('on the meta device, without values' if value.is_meta else 'sparse' if value.layout != torch.strided else
            'quantized' if value.is_quantized else f'of type {str(value.dtype).split(".")[-1]}'
            if name.split('.')[-1] in OF_FLOATS and value.dtype not in FLOATS else '')
    if kind:
        raise CheckpointError(f'its weight {name} is {kind}: take a checkpoint with weights in float32, float16 or '
                              'bfloat16')


# ---------------------------------------------------------------- what a file may hold


def load_safely(file: Union[str, IO[bytes]], map_location: Any = None) -> Any:
    """``torch.load`` of weights, plain Python values and the classes of :func:`runner_classes`.

    Args:
        file: Path or binary file object.
        map_location: As for ``torch.load``.

    Raises:
        pickle.UnpicklingError: The file holds anything else.
    """
    if hasattr(torch.serialization, 'add_safe_globals'):
        return torch.load(file, map_location, weights_only=True)
    # Before torch 2.4, weights_only=True has no allow-list, and Runner checkpoints could not be resumed.
    return torch.load(file, map_location, weights_only=False, pickle_module=restricted_pickle())


def allow_runner_classes() -> None:
    """Put :func:`runner_classes` on torch's allow-list, so that ``torch.load`` takes checkpoints of mmengine's Runner.

    Names that are on the list already stay as they are. Before torch 2.4 there is no such list.
    """
    if not hasattr(torch.serialization, 'add_safe_globals'):
        return
    listed = {_listed_name(entry) for entry in torch.serialization.get_safe_globals()}
    torch.serialization.add_safe_globals([entry for entry in runner_globals() if _listed_name(entry) not in listed])


def _listed_name(entry: Any) -> str:
    return entry[1] if isinstance(entry, tuple) else f'{entry.__module__}.{entry.__name__}'


def runner_globals() -> list:
    """:func:`runner_classes` in the form that the installed torch's allow-list takes."""
    classes = runner_classes()
    if digit_version(torch.__version__) >= digit_version('2.6'):
        return [(value, name) for name, value in classes.items()]
    return list(dict.fromkeys(classes.values()))  # torch 2.4 and 2.5 read the name from the class


def runner_classes() -> Dict[str, Any]:
    """Classes and functions that a checkpoint of mmengine's Runner holds besides weights, by their names in the file.

    The Runner saves its message hub, history buffers and numpy scalars, which resuming needs, and the metainfo of the
    dataset with its arrays.
    """
    # numpy 2 renamed the module, and the functions' names in a file are those of the numpy that wrote it.
    if np.lib.NumpyVersion(np.__version__) >= '2.0.0':
        from numpy._core.multiarray import _reconstruct, scalar
    else:
        from numpy.core.multiarray import _reconstruct, scalar
    # All types of numpy. The elements of an array of objects are read by the same unpickler.
    dtypes = {type(np.dtype(code)) for code in np.typecodes['All']}
    allowed = (HistoryBuffer, np.ndarray, np.dtype, *dtypes, history_method, empty_bytes)
    classes = {f'{entry.__module__}.{entry.__name__}': entry for entry in allowed}
    # The names of builtins.getattr and builtins.bytes in pickle's protocol 2, which torch writes.
    classes['__builtin__.getattr'] = history_method
    classes['__builtin__.bytes'] = empty_bytes
    classes.update({f'numpy.{module}.multiarray.{function.__name__}': function
                    for function in (_reconstruct, scalar) for module in ('core', '_core')})
    return classes


def history_method(owner: type, name: str) -> Callable:
    """Stand-in for ``getattr`` in checkpoints, limited to the public methods of a history buffer.

    A pickled history buffer refers to its own methods (``min``, ``mean``, …) by ``getattr``. The real ``getattr``
    would give a file access to any object.
    """
    if owner is not HistoryBuffer or name.startswith('_'):
        raise pickle.UnpicklingError(f'GLOBAL builtins.getattr of {name!r} is not one of HistoryBuffer\'s methods')
    return getattr(HistoryBuffer, name)


history_method.__module__, history_method.__qualname__, history_method.__name__ = 'builtins', 'getattr', 'getattr'


def empty_bytes(*arguments: object) -> bytes:
    """Stand-in for ``bytes`` in checkpoints, which protocol 2 calls without arguments for the data of empty arrays.

    The real ``bytes`` would let a file of a few bytes ask for any amount of memory.
    """
    if arguments:
        raise pickle.UnpicklingError('GLOBAL builtins.bytes with arguments is not on the allow-list')
    return b''


empty_bytes.__module__, empty_bytes.__qualname__, empty_bytes.__name__ = 'builtins', 'bytes', 'bytes'


def latin1(text: str, encoding: str) -> bytes:
    """Stand-in for ``_codecs.encode``, by which pickle's protocol 2 writes bytes, such as those of a numpy scalar."""
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'GLOBAL _codecs.encode with {encoding!r} is not on the allow-list')
    return text.encode('latin1')


def restricted_pickle() -> SimpleNamespace:
    """Replacement for the :mod:`pickle` module whose unpickler finds only weights and :func:`runner_classes`."""
    # The list of torch 2.1 lacks these, of which every Runner checkpoint has the first, schedules by steps the second,
    # and some metainfo the others.
    allowed = {**torch._weights_only_unpickler._get_allowed_globals(), **runner_classes(), '_codecs.encode': latin1,
               'collections.Counter': Counter, '__builtin__.set': set, '__builtin__.complex': complex}

    class Unpickler(pickle.Unpickler):

        def find_class(self, module: str, name: str) -> Any:
            if f'{module}.{name}' not in allowed:
                raise pickle.UnpicklingError(f'GLOBAL {module}.{name} is not on the allow-list')
            return allowed[f'{module}.{name}']

    return SimpleNamespace(
        Unpickler=Unpickler, UnpicklingError=pickle.UnpicklingError, __name__='restricted_pickle',
        load=lambda file, **arguments: Unpickler(file, **arguments).load())
