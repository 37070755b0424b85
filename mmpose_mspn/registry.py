"""Registries with the scope ``mmpose_mspn``, children of those of mmengine and mmpose.

mmengine imports this module for a config with ``type='mmpose_mspn.X'``, and the registry's ``locations`` when it looks
up ``X``. Configs therefore need no ``custom_imports``.

mmengine builds the parts of a config that come from ``_base_ = 'mmpose_mspn::…'`` within this scope. There is a
registry of each kind that mmpose has, in which a bare name means what it means in every other config: mmpose's class.
"""
from typing import Optional

from mmengine import registry as mmengine_registry
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import DefaultScope, Registry
from mmpose import registry as mmpose_registry


class _Child(Registry):
    """A registry in whose own scope bare names are mmpose's, if mmpose has them.

    Args:
        of_mmpose: mmpose's registry of the same kind, or mmengine's where mmpose has none.
        subpackage: Where the registered classes are; most kinds have none of their own.
    """

    def __init__(self, of_mmpose: Registry, subpackage: str = 'registry') -> None:
        parent = of_mmpose if of_mmpose.parent is None else of_mmpose.parent  # an empty registry is false
        super().__init__(
            of_mmpose.name, parent=parent, scope='mmpose_mspn', locations=[f'mmpose_mspn.{subpackage}'])
        self._of_mmpose = of_mmpose

    def get(self, key: str) -> Optional[type]:
        # From another scope, mmengine asks for the X of 'mmpose_mspn.X' here, without the prefix.
        scope = DefaultScope.get_current_instance()
        is_bare = '.' not in key and scope is not None and scope.scope_name == self.scope
        return (self._of_mmpose.get(key) if is_bare else None) or super().get(key)


MODELS = _Child(mmpose_registry.MODELS, 'models')
DATASETS = _Child(mmpose_registry.DATASETS, 'datasets')
FUNCTIONS = _Child(mmengine_registry.FUNCTIONS, 'datasets')  # mmpose has none
TRANSFORMS = _Child(mmpose_registry.TRANSFORMS, 'datasets')
MODEL_WRAPPERS = _Child(mmpose_registry.MODEL_WRAPPERS, 'engine')
HOOKS = _Child(mmpose_registry.HOOKS, 'engine')
METRICS = _Child(mmpose_registry.METRICS, 'evaluation')
OPTIM_WRAPPERS = _Child(mmpose_registry.OPTIM_WRAPPERS, 'engine')
KEYPOINT_CODECS = _Child(mmpose_registry.KEYPOINT_CODECS, 'codecs')  # mmengine has no registry of codecs
for _name, _registry in list(vars(mmpose_registry).items()):
    if isinstance(_registry, Registry) and _registry.scope == 'mmpose' and _name not in globals():
        globals()[_name] = _Child(_registry)

# For `_base_ = 'mmpose_mspn::…'`. mmengine finds a package's folder by its distribution, which for an editable
# installation is not where the package is, or by a module in that folder, such as this one.
MODULE2PACKAGE.setdefault('mmpose_mspn', __name__)
