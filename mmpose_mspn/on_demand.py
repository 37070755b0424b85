"""Imports that wait until something of them is used.

Importing mmengine and mmpose imports large packages for functions that few processes call: sympy and torch's sharded
training, the statistics of scipy, pyplot, mmdet. Together this takes longer than torch itself. While
:func:`import_libraries` imports mmengine and mmpose, stand-ins give them an :class:`OnDemand` for each name that they
take from such a module. The first use of it imports the module, and puts the real object wherever the stand-in was.
Imports of these modules that come later, of users for example, are ordinary ones.
"""
import sys
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any, Dict, Iterator, Tuple

from mmengine import registry

WAITING: Dict[str, Tuple[str, ...]] = {
    # mmpose's augmentation calls truncnorm.rvs, and its MPII dataset reads a file of MATLAB.
    'scipy.stats': ('truncnorm', ),
    'scipy.io': ('loadmat', ),
    # xtcocotools draws annotations, mmpose skeletons in 3D.
    'matplotlib': ('pyplot', ),
    'matplotlib.pyplot': (),
    'matplotlib.collections': ('PatchCollection', ),
    'matplotlib.patches': ('Polygon', ),
    # RTMO's head: an alias in annotations, and a function of its loss.
    'mmdet.utils': ('ConfigType', 'reduce_mean'),
    # mmpose's visualizer in 3D; its package imports all inferencers, and these mmdet.
    'mmpose.apis': ('convert_keypoint_definition', ),
    # mmpose's pictures of SimCC's outputs.
    'torchvision.transforms': ('ToPILImage', ),
}
"""Names that mmengine and mmpose take from modules, and use in functions alone."""
REGISTERED = {
    'mmengine.model.wrappers.fully_sharded_distributed': ('MODEL_WRAPPERS', 'MMFullyShardedDataParallel'),
    'mmengine._strategy.fsdp': ('STRATEGIES', 'FSDPStrategy'),
    'mmengine.optim.optimizer.zero_optimizer': ('OPTIMIZERS', 'ZeroRedundancyOptimizer'),
}
"""Modules of mmengine for sharded training, with the class that each of them registers."""
LIBRARIES = ('mmengine.runner', 'mmpose.datasets', 'mmpose.evaluation', 'mmpose.models', 'mmpose.visualization')


def import_libraries() -> None:
    """Import what every use of this package needs of mmengine and mmpose."""
    try:
        with stand_ins({**WAITING, **{module: (name, ) for module, (_, name) in REGISTERED.items()}}):
            _import_all()
    except ImportError:  # of a version that imports other modules inside of these
        _import_all()
    for module, (where, name) in REGISTERED.items():
        given = getattr(sys.modules.get(module), 'given', {})
        if name in given:
            getattr(registry, where).module_dict[name] = given[name]


def _import_all() -> None:
    for module in LIBRARIES:
        import_module(module)


@contextmanager
def stand_ins(waiting: Dict[str, Tuple[str, ...]]) -> Iterator[None]:
    """Stand-ins for modules that are not imported yet, while the block runs.

    Args:
        waiting: Modules and the names that a stand-in gives as :class:`OnDemand`; any other name imports the module.
    """
    placed = [StandIn(module, names) for module, names in waiting.items() if module not in sys.modules]
    sys.modules.update({one.__name__: one for one in placed})
    try:
        yield
    finally:
        for one in placed:
            one.names = ()
            # What registers a class stays, or a second import of the module would register it twice.
            if sys.modules.get(one.__name__) is one and one.__name__ not in REGISTERED:
                del sys.modules[one.__name__]


class StandIn(ModuleType):
    """A module that is imported when it is asked for another name than those that wait.

    Attributes:
        names: The names that wait.
        given: What the module has given for them.
    """

    def __init__(self, module: str, names: Tuple[str, ...]) -> None:
        super().__init__(module)
        self.names, self.given = names, {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(name)
        if name in self.names:
            return self.given.setdefault(name, OnDemand(self.__name__, name))
        return real_object(self.__name__, name)


def real_object(module: str, name: str) -> Any:
    """An object of a module, or a module inside of it, which is imported in place of its stand-in."""
    found = import_really(module)
    return getattr(found, name) if hasattr(found, name) else import_module(f'{module}.{name}')


def import_really(module: str) -> ModuleType:
    """Import a module in place of its stand-in, if there is one, and put its objects where the stand-in's are."""
    stand_in = sys.modules.get(module)
    if not isinstance(stand_in, StandIn):
        return import_module(module)
    del sys.modules[module]
    if module in REGISTERED:
        where, registered = REGISTERED[module]
        getattr(registry, where).module_dict.pop(registered, None)  # the module registers the class itself
    real = import_module(module)
    for name, waiting in stand_in.given.items():
        replace(waiting, real_object(module, name))
    return real


def replace(waiting: 'OnDemand', found: Any) -> None:
    """Put an object where modules have the one that stands for it."""
    for module in list(sys.modules.values()):
        if getattr(module, '__dict__', {}).get(waiting.__name__) is waiting:
            setattr(module, waiting.__name__, found)


class OnDemand:
    """Stands for an object of a module that is imported when the object is used.

    It can be called, asked for attributes, pickled and subclassed. Until another part of the program has imported the
    module, nothing is an instance or a subclass of it, so isinstance and issubclass import nothing.

    Args:
        module: The module.
        name: Name of the object in it.
    """

    def __init__(self, module: str, name: str) -> None:
        self.__module__, self.__name__, self.__qualname__ = module, name, name

    def real(self) -> Any:
        """The object itself, which takes its place in the globals of all modules."""
        found = real_object(self.__module__, self.__name__)
        replace(self, found)
        return found

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.real()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):  # typing and copy look for methods of these names
            raise AttributeError(name)
        return getattr(self.real(), name)

    def __mro_entries__(self, bases: tuple) -> tuple:
        return (self.real(), )

    def _imported(self) -> bool:
        return not isinstance(sys.modules.get(self.__module__), (StandIn, type(None)))

    def __instancecheck__(self, instance: Any) -> bool:
        return self._imported() and isinstance(instance, self.real())

    def __subclasscheck__(self, subclass: type) -> bool:
        return self._imported() and issubclass(subclass, self.real())

    def __reduce__(self) -> tuple:
        return real_object, (self.__module__, self.__name__)

    def __repr__(self) -> str:
        return f'<{self.__module__}.{self.__name__}, imported on demand>'
