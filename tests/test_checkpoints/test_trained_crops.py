"""Checkpoints of trainings on crops of another size."""
import pytest
from torch import nn

from mmpose_mspn.checkpoints.embedded_config import other_crops
from tests.building import head

TEXT = "model = dict(head=dict(decoder=dict(input_size=({}, {}))))\nx = run(1)"


@pytest.fixture(scope='module')
def model():
    made = nn.Module()
    made.head = head()
    return made


def test_other_crops_are_told(model):
    width, height = model.head.decoder.input_size
    said = other_crops(dict(meta=dict(cfg=TEXT.format(999, 888))), model, 'a.pth')
    assert 'a.pth was trained on crops of 999 x 888 px' in said and f'input_size {width} x {height}' in said
    assert other_crops(dict(meta=dict(cfg=TEXT.format(width, height))), model, 'a.pth') is None


@pytest.mark.parametrize('checkpoint', [
    {}, dict(meta=None), dict(meta=dict(cfg='')), dict(meta=dict(cfg='model = [')), dict(meta=dict(cfg='model = 3')),
    dict(meta=dict(cfg='model = dict(head=dict(decoder=dict(input_size=3)))')),
    dict(meta=dict(cfg="model = dict(head=dict(decoder=dict(input_size=('a', 'b'))))")), dict(meta=dict(cfg=3))])
def test_without_a_size_nothing_is_told(model, checkpoint):
    assert other_crops(checkpoint, model, 'a.pth') is None
