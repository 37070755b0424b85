"""Child registries of OpenMMLab's, scope ``mmpose_mspn``.

mmengine imports this file by itself when a config says ``type='mmpose_mspn.X'``, and each registry's
``locations`` when ``X`` is looked up, so no config needs ``custom_imports``.
"""
from mmengine import registry as mmengine_registry
from mmengine.registry import Registry
from mmpose import registry as mmpose_registry


def _child(parent: Registry, room: str) -> Registry:
    return Registry(
        parent.name, parent=parent, scope='mmpose_mspn', locations=[f'mmpose_mspn.{room}'])


MODELS = _child(mmengine_registry.MODELS, 'models')
DATASETS = _child(mmengine_registry.DATASETS, 'datasets')
TRANSFORMS = _child(mmengine_registry.TRANSFORMS, 'datasets')
MODEL_WRAPPERS = _child(mmengine_registry.MODEL_WRAPPERS, 'engine')
HOOKS = _child(mmengine_registry.HOOKS, 'engine')
METRICS = _child(mmengine_registry.METRICS, 'evaluation')
OPTIM_WRAPPERS = _child(mmengine_registry.OPTIM_WRAPPERS, 'engine')
# mmengine knows no codecs: mmpose's registry is their root.
KEYPOINT_CODECS = _child(mmpose_registry.KEYPOINT_CODECS, 'codecs')
