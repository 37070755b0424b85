"""Classes that configs name, datasets inside of datasets, and what is said of a part that cannot be built."""
import re

import pytest
from mmpose.datasets.transforms import TopdownAffine
from mmpose.registry import MODELS

from mmpose_mspn.utils.config_types import building, inner_datasets, type_name
from mmpose_mspn.utils.errors import ConfigError, DataError


@pytest.mark.parametrize('config, name', [
    (dict(type='TopdownAffine'), 'TopdownAffine'), (dict(type='mmpose_mspn.LoadImage'), 'LoadImage'),
    (dict(type=TopdownAffine), 'TopdownAffine'), (dict(), ''), (dict(type=None), '')])
def test_the_name_has_no_scope(config, name):
    assert type_name(config) == name


def test_datasets_inside_of_others_with_the_steps_that_their_samples_pass():
    load, flip, pack, convert = (dict(type=name) for name in ('LoadImage', 'RandomFlip', 'Pack', 'KeypointConverter'))
    first, second = dict(type='A', pipeline=[load, convert]), dict(type='B', pipeline=[load])
    nested = dict(type='RepeatDataset', dataset=dict(type='ConcatDataset', datasets=[second, dict(type='C')]))
    blur = dict(type='Albumentation', transforms=[dict(type='Blur')])
    chosen = dict(type='RandomChoice', transforms=[[flip], [blur]])
    combined = dict(type='CombinedDataset', datasets=[first, nested], pipeline=[chosen, pack])
    entries = list(inner_datasets(combined, 'set'))
    assert [(entry.name, entry.config) for entry in entries] == [
        ('set.datasets.0', first), ('set.datasets.1.dataset.datasets.0', second),
        ('set.datasets.1.dataset.datasets.1', dict(type='C'))]
    later = ['RandomChoice', 'RandomFlip', 'Albumentation', 'Pack']
    assert [[type_name(step) for _, step in entry.steps] for entry in entries] == [
        ['LoadImage', 'KeypointConverter', *later], ['LoadImage', *later], later]
    assert entries[0].steps[:4] == [
        ('set.datasets.0.pipeline.0', load), ('set.datasets.0.pipeline.1', convert), ('set.pipeline.0', chosen),
        ('set.pipeline.0.transforms.0.0', flip)]


def test_no_dataset():
    assert not list(inner_datasets(None, 'set')) and not list(inner_datasets({}, 'set'))


@pytest.mark.parametrize('part, message', [
    (dict(type='mmpose_mspn.MSPM'), "model: there is no class 'mmpose_mspn.MSPM'; did you mean 'mmpose_mspn.MSPN'"),
    (dict(type='ResNet', depht=18), "model: ResNet has no argument 'depht'; did you mean 'depth'"),
    (dict(type='ResNet', depth=19), 'model cannot be built: KeyError: invalid depth 19 for resnet')])
def test_a_part_that_cannot_be_built(part, message):
    with pytest.raises(ConfigError, match=re.escape(message)), building('model', part):
        MODELS.build(part)


@pytest.mark.parametrize('error', [DataError('annotation 3'), FileNotFoundError('a.json'), MemoryError()])
def test_errors_of_data_files_and_memory_stay(error):
    with pytest.raises(type(error)) as raised, building('model', {}):
        raise error
    assert raised.value is error
