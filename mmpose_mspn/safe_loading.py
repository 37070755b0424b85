"""What a checkpoint may hold, and its loading without running code from it, on every supported version of torch."""
import pickle
import threading
from collections import Counter
from contextlib import contextmanager
from types import SimpleNamespace
from typing import IO, Any, Callable, Dict, Iterator, Union

import numpy as np
import torch
from mmengine.utils import digit_version


def load_safely(file: Union[str, IO[bytes]], map_location: Any = None) -> Any:
    """``torch.load`` that runs no code from the file, on every supported version of torch.

    A file may hold weights, plain Python values and the classes of :func:`runner_classes`. Those are on torch's
    allow-list, which the whole process shares, only during the call.

    Args:
        file: Path or binary file object.
        map_location: As for ``torch.load``.

    Raises:
        pickle.UnpicklingError: The file holds anything else.
    """
    if not hasattr(torch.serialization, 'add_safe_globals'):
        # Before torch 2.4, weights_only=True has no allow-list, and Runner checkpoints could not be resumed.
        return torch.load(file, map_location, weights_only=False, pickle_module=restricted_pickle())
    with _allowed_in_checkpoints(runner_globals()):
        return torch.load(file, map_location, weights_only=True)


_ALLOW_LIST_LOCK = threading.RLock()


@contextmanager
def _allowed_in_checkpoints(entries: list) -> Iterator[None]:
    """Extend torch's allow-list for ``weights_only=True`` by ``entries`` for the duration of the block."""
    with _ALLOW_LIST_LOCK:  # or a thread that finishes would shorten the list of one that still loads
        added = set(entries) - set(torch.serialization.get_safe_globals())
        torch.serialization.add_safe_globals(list(added))
        try:
            yield
        finally:
            # Not the list from before: torch's own modules extend it when they are imported.
            kept = [entry for entry in torch.serialization.get_safe_globals() if entry not in added]
            torch.serialization.clear_safe_globals()
            torch.serialization.add_safe_globals(kept)


def runner_globals() -> list:
    """:func:`runner_classes` in the form that the installed torch's allow-list takes."""
    classes = runner_classes()
    if digit_version(torch.__version__) >= digit_version('2.6'):
        return [(found, name) for name, found in classes.items()]
    return list(dict.fromkeys(classes.values()))  # torch 2.4 and 2.5 read the name from the class


def runner_classes() -> Dict[str, Any]:
    """Classes and functions that a checkpoint of mmengine's Runner holds besides weights, by their names in the file.

    The Runner saves its message hub, history buffers and numpy scalars, which resuming needs, and the metainfo of the
    dataset with its arrays.
    """
    from mmengine.logging.history_buffer import HistoryBuffer
    # numpy 2 renamed the module, and the functions' names in a file are those of the numpy that wrote it.
    if np.lib.NumpyVersion(np.__version__) >= '2.0.0':
        from numpy._core.multiarray import _reconstruct, scalar
    else:
        from numpy.core.multiarray import _reconstruct, scalar
    # All types of numpy. The elements of an array of objects are read by the same unpickler.
    dtypes = {type(np.dtype(code)) for code in np.typecodes['All']}
    found = (HistoryBuffer, np.ndarray, np.dtype, *dtypes, history_method, empty_bytes)
    classes = {f'{one.__module__}.{one.__name__}': one for one in found}
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
    from mmengine.logging import HistoryBuffer
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
