"""The training pipeline of the written config."""
import pytest
from mmengine.config import Config

from mmpose_mspn.new_dataset.coco_file import Category
from mmpose_mspn.new_dataset.config_file import base_text, config_text
from mmpose_mspn.new_dataset.dataset import NewDataset, Options
from mmpose_mspn.new_dataset.metainfo import choose_sigmas
from mmpose_mspn.new_dataset.names import ChosenPairs
from mmpose_mspn.new_dataset.plan import make_plan
from mmpose_mspn.new_dataset.repair import RepairedFile

CROP, PACK = ['TopdownAffine'], ['GenerateTarget', 'PackPoseInputs']


@pytest.mark.parametrize('objects, steps', [
    (100, ['mmpose_mspn.LoadImage', 'mmpose_mspn.WidenBBox', 'mmpose_mspn.RandomScaleRotation', 'RandomFlip', *CROP,
           'PhotometricDistortion', *PACK]),
    (10**6, ['mmpose_mspn.LoadImage', 'mmpose_mspn.WidenBBox', 'RandomFlip', *CROP, *PACK]),
])
def test_objects_that_are_seen_often_are_varied_in_shape_and_color(objects, steps, tmp_path):
    names = ('left_a', 'right_a', 'b', 'c')
    no_objects = RepairedFile([], [])
    dataset = NewDataset(
        Options('train.json', 'images', tmp_path), Category(1, 'robot', names, (), 1), no_objects, no_objects,
        ChosenPairs((('left_a', 'right_a'), ), 1, ()), choose_sigmas(names), None, 'official', 1.,
        make_plan(objects, 4, '1:1', 'small'), None, tmp_path / 'config.py')
    (tmp_path / 'base.py').write_text(base_text())
    (tmp_path / 'metainfo.py').write_text('dataset_info = dict()')
    (tmp_path / 'config.py').write_text(config_text(dataset))
    pipeline = Config.fromfile(str(tmp_path / 'config.py')).train_dataloader.dataset.pipeline
    assert [step['type'] for step in pipeline] == steps
