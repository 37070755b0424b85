"""The class behind the ``type`` of a config."""
from typing import Optional, Union

from mmpose.registry import MODELS as MMPOSE_MODELS


def registered_class(type_of_config: Union[str, type]) -> Optional[type]:
    """The class that mmpose's ``MODELS`` would build; ``None`` for a name that is not registered."""
    if not isinstance(type_of_config, str):
        return type_of_config
    with MMPOSE_MODELS.switch_scope_and_registry(None) as registry:
        return registry.get(type_of_config)
