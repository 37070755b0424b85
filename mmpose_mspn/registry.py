"""Registries with the scope ``mmpose_mspn``, children of those of mmengine and mmpose.

mmengine imports this module for a config with ``type='mmpose_mspn.X'``, and the registry's ``locations`` when it looks
up ``X``. Configs therefore need no ``custom_imports``.
"""
from mmengine import registry as mmengine_registry
from mmengine.registry import Registry
from mmpose import registry as mmpose_registry


def _child(parent: Registry, subpackage: str) -> Registry:
    return Registry(parent.name, parent=parent, scope='mmpose_mspn', locations=[f'mmpose_mspn.{subpackage}'])


MODELS = _child(mmengine_registry.MODELS, 'models')
DATASETS = _child(mmengine_registry.DATASETS, 'datasets')
FUNCTIONS = _child(mmengine_registry.FUNCTIONS, 'datasets')
TRANSFORMS = _child(mmengine_registry.TRANSFORMS, 'datasets')
MODEL_WRAPPERS = _child(mmengine_registry.MODEL_WRAPPERS, 'engine')
HOOKS = _child(mmengine_registry.HOOKS, 'engine')
METRICS = _child(mmengine_registry.METRICS, 'evaluation')
OPTIM_WRAPPERS = _child(mmengine_registry.OPTIM_WRAPPERS, 'engine')
# mmengine has no registry of codecs, mmpose does.
KEYPOINT_CODECS = _child(mmpose_registry.KEYPOINT_CODECS, 'codecs')
