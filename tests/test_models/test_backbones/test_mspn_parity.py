"""Network, gradients and training steps against recordings of the official code."""
import numpy as np
import pytest
import torch
from torch import nn

from mmpose_mspn.checkpoints import convert
from tests import reference
from tests.building import backbone, head

NETWORKS = ['coco_1stg', 'coco_2stg', 'coco_3stg', 'coco_4stg', 'coco_384_4stg', 'mpii_2stg', 'mpii_4stg']
RESNET50 = dict(type='ResNet', depth=50)


def official_network(num_stages: int, keypoints: int, input_size) -> nn.ModuleDict:
    """This package's network with the recordings' weights, converted."""
    network = nn.ModuleDict(dict(
        backbone=backbone(num_stages, encoder=RESNET50, unit_channels=256),
        head=head(num_stages, keypoints, input_size, unit_channels=256)))
    shapes = {name: value.shape for name, value in convert(network.state_dict(), 'official').items()}
    network.load_state_dict(convert(reference.weights(shapes)), strict=True)
    return network


def to_rgb(images: torch.Tensor) -> torch.Tensor:
    """The official network takes BGR, a network with converted weights RGB."""
    return images.flip(1)


@pytest.mark.parametrize('key', NETWORKS)
def test_outputs_and_parameters(key, device):
    facts = reference.record('network_state_dicts')[key]
    _, _, h, w = facts['input_shape']
    num_stages = int(key[-4])
    network = official_network(num_stages, facts['output_shape'][1], (w, h)).eval()
    official = convert(network.state_dict(), 'official')
    parameters = sum(v.numel() for name, v in official.items() if not name.endswith(('_mean', '_var', '_tracked')))
    assert parameters == facts['params']
    if 'state_dict' in facts:
        assert {name: list(value.shape) for name, value in official.items()} == dict(facts['state_dict'])

    with torch.no_grad():
        network.to(device)
        images = to_rgb(reference.image(key, facts['input_shape'])).to(device)
        outputs = [[unit.cpu() for unit in stage] for stage in network.head(network.backbone(images))]

    recorded = reference.recording(f'network_{key}')
    means = np.array([[unit[0].mean((1, 2)).numpy() for unit in stage] for stage in outputs])
    stds = np.array([[unit[0].std((1, 2), unbiased=False).numpy() for unit in stage] for stage in outputs])
    assert np.abs((means - recorded['per_output_mean']) / recorded['per_output_std']).max() < 1e-4
    assert np.abs(stds / recorded['per_output_std'] - 1).max() < 1e-4
    final = outputs[-1][-1].numpy()
    assert list(final.shape) == facts['output_shape']
    if 'final' in recorded:
        difference = np.abs(final - recorded['final'])
    else:
        difference = np.abs(final[:, :, 0] - recorded['final_row0'])
    assert difference.max() < 1e-3 * final.std()


def test_gradient_norms_of_the_first_training_step(device):
    """In float64: in float32 their rounding depends on the number of threads, and is as large as the limits."""
    recorded = reference.recording('trajectory')
    network = official_network(2, 17, (64, 96)).to(device).train().double()
    images = to_rgb(torch.from_numpy(recorded['images']).double()).to(device)
    outputs = network.head(network.backbone(images))
    targets, visible = (torch.from_numpy(recorded[name]).to(device) for name in ('heatmaps', 'visible'))
    sum(network.head.loss_module(outputs, targets, visible).values()).backward()
    norms = gradient_norms(network)
    assert set(recorded['grad_names']) <= set(norms)
    ratios = np.array([norms[name] / norm for name, norm in zip(recorded['grad_names'], recorded['grad_norms'])])
    assert np.median(np.abs(ratios - 1)) < 0.01
    assert np.abs(ratios - 1).max() < 0.1


def test_training_trajectory(device):
    """The losses of six Adam steps in train mode, in float64: see above. The recording is in float32."""
    recorded = reference.recording('trajectory')
    network = official_network(2, 17, (64, 96)).to(device).train().double()
    images = to_rgb(torch.from_numpy(recorded['images']).double()).to(device)
    targets = torch.from_numpy(recorded['heatmaps']).double().to(device)
    visible = torch.from_numpy(recorded['visible']).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, weight_decay=1e-5)
    losses = []
    for _ in range(len(recorded['loss'])):
        optimizer.zero_grad()
        loss = sum(network.head.loss_module(network.head(network.backbone(images)), targets, visible).values())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    assert abs(losses[0] / recorded['loss'][0] - 1) < 1e-5
    assert np.abs(np.array(losses) - recorded['loss']).max() < 6


def gradient_norms(network: nn.Module) -> dict:
    """Norms by official names: the converter gets the gradients in place of the weights."""
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    return {name: value.norm().item() for name, value in convert(gradients, 'official').items()}


