"""Batches of few tensors, with the same content as mmengine's."""
import io
import pickle

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import FUNCTIONS
from mmengine.structures import InstanceData, PixelData
from mmpose.models.data_preprocessors import PoseDataPreprocessor as MmposePoseDataPreprocessor
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from torch import Tensor
from torch.utils.data import DataLoader

from mmpose_mspn.datasets import StackedSamples, stack_samples
from mmpose_mspn.models import PoseDataPreprocessor
from tests.building import backbone, codec, head, samples
from tests.test_fake_cuda.fake_cuda import FakeCuda, needs_marks

PIXELS = dict(mean=[100., 110., 120.], std=[50., 60., 70.], bgr_to_rgb=True)


def items(count: int = 4, **changes) -> list:
    generator = torch.Generator().manual_seed(0)
    return [dict(inputs=torch.randint(0, 256, (3, 64, 48), dtype=torch.uint8, generator=generator), data_samples=sample)
            for sample in samples(count, **changes)]


def assert_same(one: PoseDataSample, other: PoseDataSample) -> None:
    assert one.metainfo.keys() == other.metainfo.keys() and set(one.keys()) == set(other.keys())
    for name in set(one.keys()):
        assert set(one.get(name).keys()) == set(other.get(name).keys())
        for field, value in one.get(name).items():
            np.testing.assert_array_equal(value, other.get(name).get(field))


def number_of_tensors(batch: dict) -> int:
    """How many tensors a worker would send."""
    sent = []

    class Pickler(pickle.Pickler):

        def reducer_override(self, value):
            if isinstance(value, Tensor):
                sent.append(value)
                return int, ()
            return NotImplemented

    Pickler(io.BytesIO()).dump(batch)
    return len(sent)


def test_a_batch_of_32_people_is_three_tensors():
    assert number_of_tensors(pseudo_collate(items(32))) == 96
    assert number_of_tensors(stack_samples(items(32))) == 3


@pytest.mark.parametrize('preprocessor', [PoseDataPreprocessor(**PIXELS), MmposePoseDataPreprocessor(**PIXELS)])
def test_the_model_gets_what_it_gets_from_pseudo_collate(preprocessor):
    expected = MmposePoseDataPreprocessor(**PIXELS)(pseudo_collate(items()), True)
    found = preprocessor(stack_samples(items()), True)
    assert torch.equal(found['inputs'], expected['inputs'])
    assert len(found['data_samples']) == 4
    for one, other in zip(found['data_samples'], expected['data_samples']):
        assert_same(one, other)
    pseudo = preprocessor(pseudo_collate(items()), True)
    assert torch.equal(pseudo['inputs'], expected['inputs'])


def test_a_batch_from_a_worker():
    """Labels arrive as views of one tensor per kind, and the samples that the worker stacked are as they were."""
    people = items()
    batch = next(iter(DataLoader(people, 4, num_workers=1, collate_fn=stack_samples)))
    assert batch['inputs'].shape == (4, 3, 64, 48) and len(batch['data_samples']) == 4
    received = batch['data_samples'].to('cpu')
    for one, item in zip(received, people):
        assert_same(one, item['data_samples'])
    assert len({sample.gt_instance_labels.keypoint_labels.untyped_storage().data_ptr() for sample in received}) == 1
    assert [sample.metainfo['id'] for sample in batch['data_samples']] == [0, 1, 2, 3]
    assert batch['data_samples'][2].metainfo['id'] == 2


def test_images_of_several_sizes_and_labels_of_some_samples():
    people = items(3)
    people[1]['inputs'] = torch.zeros(3, 32, 48, dtype=torch.uint8)
    del people[2]['data_samples'].gt_instance_labels.keypoints_visible
    batch = stack_samples(people)
    assert isinstance(batch['inputs'], list) and len(batch['inputs']) == 3
    for one, item in zip(batch['data_samples'].to('cpu'), people):
        assert_same(one, item['data_samples'])


def test_samples_without_labels():
    people = items(2)
    for item in people:
        item['data_samples'].gt_instance_labels = InstanceData()
    for one, item in zip(stack_samples(people)['data_samples'].to('cpu'), people):
        assert_same(one, item['data_samples'])


def test_configs_find_it():
    assert FUNCTIONS.get('mmpose_mspn.stack_samples') is stack_samples


@needs_marks
def test_a_batch_reaches_the_device_in_three_copies_that_do_not_block():
    """And the data preprocessor does not index by a list."""
    with FakeCuda() as gpu:
        preprocessor = PoseDataPreprocessor(**PIXELS).to('cuda')
        gpu.waits.clear()
        batch = stack_samples(items(32))
        preprocessor(batch, True)
        assert gpu.waits == {'a blocking copy to cuda:0': 3}  # from memory that is not pinned
        gpu.waits.clear()
        pinned = dict(inputs=batch['inputs'].pin_memory(), data_samples=batch['data_samples'].pin_memory())
        found = preprocessor(pinned, True)
        assert not gpu.waits
        assert found['inputs'].is_cuda
        for sample in found['data_samples']:
            assert all(value.is_cuda for value in sample.gt_instance_labels.values())


def test_torch_pins_it(monkeypatch):
    """torch's data loader calls ``pin_memory`` of this class rather than going through its samples."""
    from torch.utils.data._utils.pin_memory import pin_memory
    pinned = []
    monkeypatch.setattr(StackedSamples, 'pin_memory', lambda self: pinned.append(self) or self)
    samples_of_batch = stack_samples(items())['data_samples']
    assert pin_memory(dict(data_samples=samples_of_batch))['data_samples'] is samples_of_batch
    assert pinned == [samples_of_batch]


@pytest.mark.parametrize('stock', [False, True])
def test_heads_train_with_it(stock):
    """This package's head and a head of mmpose have the losses that they have with pseudo_collate."""
    if stock:
        people = items(2)
        heads_codec = codec(kernel_sizes=(7, ), encode_as='heatmaps')
        draw = torch.Generator().manual_seed(1)
        for item in people:
            item['data_samples'].gt_fields = PixelData(heatmaps=torch.rand(17, 16, 12, generator=draw))
            item['data_samples'].gt_instance_labels.keypoint_weights = torch.ones(1, 17)
        network = backbone(output='final')
        predictor = MODELS.build(dict(
            type='HeatmapHead', in_channels=16, out_channels=17, deconv_out_channels=None,
            loss=dict(type='KeypointMSELoss', use_target_weight=True), decoder=heads_codec))
    else:
        people, network, predictor = items(2), backbone(), head()
    preprocessor = PoseDataPreprocessor(**PIXELS)
    losses = []
    for collate in (pseudo_collate, stack_samples):
        batch = preprocessor(collate(people), True)
        network.eval()
        found = predictor.eval().loss(network(batch['inputs']), batch['data_samples'])
        losses.append({name: value.item() for name, value in found.items()})
    assert losses[0] == losses[1]
