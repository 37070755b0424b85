"""Names of the classes that configs give."""
import pytest
from mmpose.datasets.transforms import TopdownAffine

from mmpose_mspn.utils.config_types import type_name


@pytest.mark.parametrize('config, name', [
    (dict(type='TopdownAffine'), 'TopdownAffine'), (dict(type='mmpose_mspn.LoadImage'), 'LoadImage'),
    (dict(type=TopdownAffine), 'TopdownAffine'), (dict(), ''), (dict(type=None), '')])
def test_the_name_has_no_scope(config, name):
    assert type_name(config) == name
