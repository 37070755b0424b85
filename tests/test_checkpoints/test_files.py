"""Checkpoint files: safe reading, completeness checks, atomic writing, exact round trips."""
import os

import pytest
import torch
from mmpose.registry import MODELS
from torch import nn

from mmpose_mspn.checkpoints import CheckpointError, convert, convert_file, read_checkpoint, recognize, save_checkpoint
from mmpose_mspn.checkpoints.publish import write_atomically
from tests.building import backbone, codec, head
from tests.planted import plant

CONFIG = 'configs/body_2d_keypoint/topdown_heatmap/coco/td-hm_2xmspn18_8xb32-96k_coco-256x192.py'


def random_weights(network: nn.Module) -> dict:
    """Random weights, because initial values of norms hide errors."""
    return {key: torch.rand_like(value) if value.is_floating_point() else value
            for key, value in network.state_dict().items()}


@pytest.fixture(scope='module')
def ours() -> dict:
    return random_weights(nn.ModuleDict(dict(backbone=backbone(2), head=head(2, out_channels=16))))


@pytest.fixture(scope='module')
def rsn() -> dict:
    """mmpose's own RSN, in mmpose's layout."""
    network = MODELS.build(dict(type='mmpose.RSN', unit_channels=16, num_stages=2, num_blocks=[1, 1, 2, 1]))
    predictors = MODELS.build(dict(
        type='mmpose.MSPNHead', num_stages=2, unit_channels=16, out_channels=17, out_shape=(64, 48),
        level_indices=[0] * 8))
    return random_weights(nn.ModuleDict(dict(backbone=network, head=predictors)))


def saved(path, weights, **others):
    torch.save(dict(state_dict=weights, **others), path)
    return path


def same(left: dict, right: dict) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


@pytest.mark.parametrize('layout, held', [('official', 'model'), ('mmpose', 'state_dict')])
def test_round_trip_is_exact(tmp_path, ours, layout, held):
    meta = dict(dataset_meta=dict(dataset_name='mpii'), time='now', cfg='/home/someone')
    source = saved(tmp_path / 'ours.pth', ours, meta=meta, optimizer=dict(state={}))
    count = convert_file(source, tmp_path / 'other.pth', layout)
    other = read_checkpoint(tmp_path / 'other.pth')
    assert recognize(other[held]) == layout and len(other[held]) == count
    assert same(other[held], convert(ours, layout))
    convert_file(tmp_path / 'other.pth', tmp_path / 'back.pth')
    assert same(read_checkpoint(tmp_path / 'back.pth')['state_dict'], ours)
    convert_file(source, tmp_path / 'again.pth')
    assert read_checkpoint(tmp_path / 'again.pth')['meta'] == dict(dataset_meta=dict(dataset_name='mpii'))


def test_rsns_head_is_converted_and_its_backbone_kept(tmp_path, rsn):
    convert_file(saved(tmp_path / 'rsn.pth', rsn), tmp_path / 'ours.pth')
    ours = read_checkpoint(tmp_path / 'ours.pth')['state_dict']
    model = nn.ModuleDict(dict(
        backbone=MODELS.build(dict(type='mmpose.RSN', unit_channels=16, num_stages=2, num_blocks=[1, 1, 2, 1])),
        head=head(2)))
    model.load_state_dict(ours, strict=True)
    # Stage 1, unit 2 is mmpose's seventh predictor.
    assert torch.equal(model.head.predictors[1][2][0].conv.weight,
                       rsn['head.predict_layers.6.conv_layers.0.conv.weight'])
    convert_file(tmp_path / 'ours.pth', tmp_path / 'back.pth', 'mmpose')
    assert same(read_checkpoint(tmp_path / 'back.pth')['state_dict'], rsn)
    with pytest.raises(CheckpointError, match="to='official' is a layout of MSPN"):
        convert_file(tmp_path / 'rsn.pth', tmp_path / 'official.pth', 'official')


def test_rsn_checkpoints_load_into_the_estimator(rsn):
    model = MODELS.build(dict(
        type='mmpose_mspn.TopdownPoseEstimator',
        backbone=dict(type='RSN', unit_channels=16, num_stages=2, num_blocks=[1, 1, 2, 1]),
        head=dict(type='mmpose_mspn.MSPNHead', num_stages=2, out_channels=17, unit_channels=16, decoder=codec())))
    model.load_state_dict(rsn)  # strict
    assert torch.equal(model.head.predictors[1][3][1].conv.weight,
                       rsn['head.predict_layers.7.conv_layers.1.conv.weight'])
    model.load_state_dict(model.state_dict())


@pytest.mark.parametrize('layout', ['mmpose_mspn', 'official', 'mmpose'])
def test_missing_unexpected_and_misshapen_weights_are_named(tmp_path, ours, layout):
    gone = ['backbone.stages.1.units.2.up.conv.weight', 'head.predictors.0.3.0.bn.running_var',
            'backbone.stages.0.encoder.layer3.1.conv2.weight']
    odd = 'backbone.stages.1.encoder.layer2.0.bn2.weight'
    damaged = {key: value[:7] if key == odd else value for key, value in ours.items() if key not in gone}
    source = saved(tmp_path / 'damaged.pth', convert(damaged, layout))
    with pytest.raises(CheckpointError) as error:
        convert_file(source, tmp_path / 'out.pth')
    assert all(f' {key}' in str(error.value) for key in gone)
    assert f'of another shape {odd} (7,) for (128,)' in str(error.value)
    assert not (tmp_path / 'out.pth').exists()
    convert_file(saved(tmp_path / 'whole.pth', convert(ours, layout)), tmp_path / 'out.pth')


def test_a_missing_stage_or_block_is_found(tmp_path, ours):
    middle = {key: value for key, value in ours.items() if '.stages.0.' not in key}
    with pytest.raises(CheckpointError, match='missing backbone.stages.0.encoder'):
        convert_file(saved(tmp_path / 'stage.pth', middle), tmp_path / 'out.pth')
    blocks = {key: value for key, value in ours.items() if '.layer4.1.' not in key}
    with pytest.raises(CheckpointError, match=r'no ResNet has layers of \[2, 2, 2, 1\] blocks.*--config'):
        convert_file(saved(tmp_path / 'block.pth', blocks), tmp_path / 'out.pth')
    headless = {key: value for key, value in ours.items() if not key.startswith('head.')}
    with pytest.raises(CheckpointError, match='missing head.predictors.0.0.0.conv.weight'):
        convert_file(saved(tmp_path / 'head.pth', headless), tmp_path / 'out.pth')


def test_weights_are_compared_with_a_config(tmp_path):
    """That the last stage is missing does not show in the keys, only in the comparison with the config."""
    model = nn.ModuleDict(dict(backbone=backbone(1, unit_channels=256), head=head(1, unit_channels=256)))
    source = saved(tmp_path / 'one.pth', model.state_dict())
    convert_file(source, tmp_path / 'out.pth')
    with pytest.raises(CheckpointError, match=f'do not fit {CONFIG}: missing .*backbone.stages.1.encoder'):
        convert_file(source, tmp_path / 'two.pth', config=CONFIG)
    whole = nn.ModuleDict(dict(backbone=backbone(2, unit_channels=256), head=head(2, unit_channels=256)))
    convert_file(saved(tmp_path / 'two_stages.pth', whole.state_dict()), tmp_path / 'two.pth', config=CONFIG)
    with pytest.raises(FileNotFoundError, match='config nowhere.py does not exist'):
        convert_file(source, tmp_path / 'three.pth', config='nowhere.py')


def test_an_existing_file_is_kept_unless_forced(tmp_path, ours):
    source = saved(tmp_path / 'ours.pth', ours)
    target = tmp_path / 'there.pth'
    target.write_text('precious')
    with pytest.raises(FileExistsError, match='there.pth exists: .* --force'):
        convert_file(source, target)
    assert target.read_text() == 'precious'
    convert_file(source, target, force=True)
    assert same(read_checkpoint(target)['state_dict'], ours)


@pytest.mark.parametrize('share', (0., 0.3, 0.999))
def test_a_truncated_file(tmp_path, ours, share):
    content = saved(tmp_path / 'ours.pth', ours).read_bytes()
    (tmp_path / 'part.pth').write_bytes(content[:int(share * len(content))])
    with pytest.raises(CheckpointError, match='part.pth is not a checkpoint, or is incomplete') as error:
        read_checkpoint(tmp_path / 'part.pth')
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('content, message', [
    (b'PK\x03\x04 and no more', 'not a checkpoint'),
    (b'{"a": 1}', 'not a checkpoint'),
    ([1, 2], 'holds a list'),
    ({}, 'no weights'),
    ({'state_dict': {'a': 'text', 'b': torch.zeros(1)}}, 'values that are not tensors among the weights: a$'),
    ({'conv1.weight': torch.zeros(1)}, 'layout is not recognized'),
])
def test_files_that_are_not_checkpoints(tmp_path, content, message):
    path = tmp_path / 'odd.pth'
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(CheckpointError, match=f'odd.pth.*{message}') as error:
        convert_file(path, tmp_path / 'out.pth')
    assert '\n' not in str(error.value) and os.listdir(tmp_path) == ['odd.pth']


def test_code_in_a_file_is_not_run(tmp_path, ours):
    folder = plant(tmp_path / 'planted.pth', ours)
    with pytest.raises(CheckpointError, match=r'holds more than weights \(\w+.mkdir\)'):
        convert_file(tmp_path / 'planted.pth', tmp_path / 'out.pth')
    assert not folder.exists() and not (tmp_path / 'out.pth').exists()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'sub' / 'file.pth'
    save_checkpoint(dict(step=1), path)

    def crash(descriptor):
        raise OSError('no space left')

    monkeypatch.setattr(os, 'fsync', crash)
    with pytest.raises(OSError, match='no space'):
        write_atomically(path, b'half')
    assert read_checkpoint(path) == dict(step=1) and os.listdir(path.parent) == ['file.pth']
