"""Every config: it builds, trains a step and tests a step on generated data."""
from pathlib import Path

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmpose.registry import DATASETS, MODELS

from mmpose_mspn.apis.config import load_config
from mmpose_mspn.datasets.synthetic import generate
from tests import reference

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts)


@pytest.fixture(scope='module')
def people(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('people')
    generate(root, train=3, val=2, workers=1, progress=False)
    return root


def without_weights(node: dict) -> None:
    """Drop the ImageNet weights, which no test downloads."""
    for key, value in list(node.items()):
        if key == 'init_cfg' and isinstance(value, dict) and value.get('type') == 'Pretrained':
            node[key] = None
        elif isinstance(value, dict):
            without_weights(value)


@pytest.mark.parametrize('path', CONFIGS)
def test_config_trains_and_tests_a_step(path, people):
    cfg = load_config(str(ROOT / path), data_root=str(people))
    without_weights(cfg.model)
    model = MODELS.build(cfg.model)
    model.init_weights()
    train = DATASETS.build(cfg.train_dataloader.dataset)
    batch = pseudo_collate([train[index] for index in range(2)])
    batch = model.data_preprocessor(batch, True)
    model.train()
    total, _ = model.parse_losses(model(**batch, mode='loss'))
    total.backward()
    silent = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert torch.isfinite(total) and silent == []

    test = DATASETS.build(cfg.test_dataloader.dataset)
    model.eval()
    with torch.no_grad():
        predicted = model.test_step(pseudo_collate([test[0]]))[0]
    keypoints = cfg.model.head.out_channels
    assert predicted.pred_instances.keypoints.shape == (1, keypoints, 2)


@pytest.mark.parametrize('path', CONFIGS)
def test_a_variant_states_only_what_differs(path):
    """No path but data_root, and no long copies."""
    text = (ROOT / path).read_text()
    assert len(text.splitlines()) <= 70
    assert "'/" not in text and 'data/' not in text


def test_the_official_schedule():
    """Learning rates of the recorded schedule, to rounding."""
    recorded = reference.record('lr_schedule')['coco']
    cfg = load_config(str(ROOT / 'configs/body_2d_keypoint/topdown_heatmap/coco/'
                          'td-hm_2xmspn50_8xb32-96k_coco-256x192.py'))
    assert (cfg.train_cfg.max_iters, cfg.optim_wrapper.optimizer.lr) == (96000, recorded['base_lr_8gpu'])
    assert cfg.optim_wrapper.optimizer.weight_decay == recorded['weight_decay']
    assert cfg.auto_scale_lr.base_batch_size == 8 * recorded['images_per_gpu']
    rates = learning_rates(cfg, stop=96001)
    for iteration, rate in recorded['lr_at_iter'].items():
        assert rates[int(iteration)] == pytest.approx(rate, rel=1e-6, abs=1e-12)


def learning_rates(cfg, stop: int) -> dict:
    """Rate at each iteration below ``stop``, by the schedulers that the Runner would build."""
    wrapper = build_optim_wrapper(torch.nn.Linear(1, 1), cfg.optim_wrapper)
    schedulers = [PARAM_SCHEDULERS.build(settings, default_args=dict(optimizer=wrapper))
                  for settings in cfg.param_scheduler]
    rates = {}
    for iteration in range(stop):
        rates[iteration] = wrapper.get_lr()['lr'][0]
        wrapper.optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return rates
