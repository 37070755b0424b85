"""What mmpose's arguments and mistyped ones are answered with."""
import inspect

import pytest
from mmpose.registry import KEYPOINT_CODECS

from mmpose_mspn import MSPN, MSPNHead
from tests.building import backbone, codec, head


@pytest.mark.parametrize('build, name, remedy', [
    (backbone, 'num_units', "omit it: .* the encoder's layers"),
    (backbone, 'num_blocks', 'depth=50'),
    (backbone, 'res_top_channels', 'omit it'),
    (backbone, 'unit_chanels', "did you mean 'unit_channels'"),
    (head, 'out_shape', 'heatmap_size'),
    (head, 'level_indices', 'coarse_to_fine'),
    (head, 'use_prm', 'RSN'),
    (head, 'ohkm_topkk', "did you mean 'ohkm_topk'"),
])
def test_models(build, name, remedy):
    with pytest.raises(ValueError, match=f'has no argument {name!r}.*{remedy}') as refused:
        build(**{name: 1})
    assert isinstance(refused.value, TypeError)


def test_codec():
    with pytest.raises(ValueError, match="has no argument 'kernel_size': .*kernel_sizes"):
        KEYPOINT_CODECS.build(codec(kernel_size=(15, 15)))


def test_signatures_are_kept():
    assert 'unit_channels' in inspect.signature(MSPN).parameters
    assert 'with_cp' in inspect.signature(MSPNHead).parameters
