"""ImageNet weights by init_cfg: the stem and the encoder of every stage."""
import pytest
import torch
from mmpose.registry import MODELS

from tests.building import backbone


@pytest.fixture
def imagenet() -> dict:
    """A classifier's weights in torchvision's layout: mmpose's ResNet has the same names."""
    weights = MODELS.build(dict(type='mmpose.ResNet', depth=18)).state_dict()
    weights = {key: torch.rand_like(value) if value.is_floating_point() else value for key, value in weights.items()}
    return {**weights, 'fc.weight': torch.zeros(1000, 512), 'fc.bias': torch.zeros(1000)}


def build(path, **changes):
    network = backbone(3, init_cfg=dict(type='Pretrained', checkpoint=str(path)), **changes)
    network.init_weights()
    return network


@pytest.mark.parametrize('prefix', ('', 'backbone.'))
def test_stem_and_every_encoder_are_filled(tmp_path, imagenet, prefix):
    path = tmp_path / 'resnet18.pth'
    weights = {prefix + key: value for key, value in imagenet.items() if prefix == '' or not key.startswith('fc.')}
    torch.save(dict(state_dict=weights) if prefix else weights, path)
    network = build(path)
    assert torch.equal(network.stem.conv1.weight, imagenet['conv1.weight'])
    for stage in network.stages:
        assert torch.equal(stage.encoder.layer4[1].bn2.running_var, imagenet['layer4.1.bn2.running_var'])
        assert torch.equal(stage.encoder.layer2[0].downsample[0].weight, imagenet['layer2.0.downsample.0.weight'])
    # Layers that a classifier does not have are initialized.
    assert network.stages[0].units[0].lateral.conv.weight.std() > 0


@pytest.mark.parametrize('change, message', [
    (lambda w: w.pop('layer3.0.conv1.weight'), r'stages.0.encoder: missing layer3.0.conv1.weight'),
    (lambda w: w.update({'layer5.weight': torch.zeros(1)}), 'stem: unexpected layer5.weight'),
    (lambda w: w.update({'conv1.weight': torch.zeros(64, 3, 3, 3)}),
     r'of another shape conv1.weight \(64, 3, 3, 3\) for \(64, 3, 7, 7\)'),
])
def test_a_checkpoint_that_does_not_fit_is_refused_with_its_keys(tmp_path, imagenet, change, message):
    change(imagenet)
    torch.save(imagenet, tmp_path / 'wrong.pth')
    with pytest.raises(ValueError, match=message):
        build(tmp_path / 'wrong.pth')


def test_old_files_without_the_norms_counter_load(tmp_path, imagenet):
    torch.save({k: v for k, v in imagenet.items() if 'num_batches_tracked' not in k}, tmp_path / 'old.pth')
    assert torch.equal(build(tmp_path / 'old.pth').stem.conv1.weight, imagenet['conv1.weight'])
