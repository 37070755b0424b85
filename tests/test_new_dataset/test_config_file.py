"""The training pipeline of the written config."""
from pathlib import Path

import pytest
from mmengine.config import Config

from mmpose_mspn.new_dataset.config_file import ConfigFacts, base_text, config_text
from mmpose_mspn.new_dataset.plan import make_plan

CROP, PACK = ['TopdownAffine'], ['GenerateTarget', 'PackPoseInputs']


@pytest.mark.parametrize('objects, steps', [
    (100, ['mmpose_mspn.LoadImage', 'mmpose_mspn.WidenBBox', 'mmpose_mspn.RandomScaleRotation', 'RandomFlip', *CROP,
           'PhotometricDistortion', *PACK]),
    (10**6, ['mmpose_mspn.LoadImage', 'mmpose_mspn.WidenBBox', 'RandomFlip', *CROP, *PACK]),
])
def test_objects_that_are_seen_often_are_varied_in_shape_and_color(objects, steps, tmp_path):
    facts = ConfigFacts('A title.', dict(name='robot', id=1), make_plan(objects, 4, '1:1', 'small'), tmp_path,
                        Path('train'), Path('val'), 4, True, None, 'official', 'PCK')
    (tmp_path / 'base.py').write_text(base_text())
    (tmp_path / 'metainfo.py').write_text('dataset_info = dict()')
    (tmp_path / 'config.py').write_text(config_text(facts))
    pipeline = Config.fromfile(str(tmp_path / 'config.py')).train_dataloader.dataset.pipeline
    assert [step['type'] for step in pipeline] == steps
