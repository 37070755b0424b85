"""Every config builds, trains a step and tests a step on generated data."""
import re
from pathlib import Path
from typing import Dict

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmpose.registry import DATASETS, METRICS, MODELS
from torch import nn

from mmpose_mspn.apis.config import load_config
from tests import reference
from tests.generated import make_datasets
from tests.places import ROOT
from tests.tools import load_tool

config_paths = load_tool('make_model_table').config_paths
CONFIGS = [str(path.relative_to(ROOT)) for path in config_paths(ROOT)]


@pytest.fixture(scope='module')
def folders(tmp_path_factory) -> Dict[str, Path]:
    return make_datasets(tmp_path_factory.mktemp('people'))


def load(path: str, folders: Dict[str, Path]) -> Config:
    """Load a config with generated data in its format."""
    home = Path(Config.fromfile(str(ROOT / path)).data_root).name
    return load_config(str(ROOT / path), data_root=str(folders[home]))


def without_weights(node: dict) -> None:
    """Remove the ImageNet weights, because tests download nothing."""
    for key, value in list(node.items()):
        if key == 'init_cfg' and isinstance(value, dict) and value.get('type') == 'Pretrained':
            node[key] = None
        elif isinstance(value, dict):
            without_weights(value)


def build(cfg: Config, folder: Path) -> nn.Module:
    without_weights(cfg.model)
    for number, member in enumerate(cfg.model.get('members', [])):
        checkpoint = folder / f'{number}.pth'
        torch.save(MODELS.build(Config.fromfile(member.config).model).state_dict(), str(checkpoint))
        member.checkpoint = str(checkpoint)
    model = MODELS.build(cfg.model)
    if 'members' not in cfg.model:
        model.init_weights()
    return model


@pytest.mark.parametrize('path', CONFIGS)
def test_config_trains_and_tests_a_step(path, folders, tmp_path):
    cfg = load(path, folders)
    model = build(cfg, tmp_path)
    if cfg.train_dataloader is not None:
        train_a_step(cfg, model)
    predict_and_evaluate(cfg, model, tmp_path)


def train_a_step(cfg: Config, model: nn.Module) -> None:
    """Check that the losses of two people are finite and give every parameter a gradient."""
    people = DATASETS.build(cfg.train_dataloader.dataset)
    # The first and the last person are from different sets if the dataset combines several.
    batch = model.data_preprocessor(pseudo_collate([people[0], people[len(people) - 1]]), True)
    model.train()
    total, _ = model.parse_losses(model(**batch, mode='loss'))
    total.backward()
    silent = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert torch.isfinite(total) and silent == []
    model.zero_grad()


def predict_and_evaluate(cfg: Config, model: nn.Module, folder: Path) -> None:
    """Predict one person and evaluate the prediction."""
    people = DATASETS.build(cfg.test_dataloader.dataset)
    model.eval()
    with torch.no_grad():
        sample = model.test_step(pseudo_collate([people[0]]))[0]
    assert sample.pred_instances.keypoints.shape == (1, people.metainfo['num_keypoints'], 2)
    evaluator = cfg.test_evaluator
    if evaluator.get('format_only'):
        evaluator.outfile_prefix = str(folder / 'result')
    if evaluator.type == 'mmpose_mspn.MpiiSubmission':
        evaluator.outfile = str(folder / 'result.mat')
    metric = METRICS.build(evaluator)
    metric.dataset_meta = people.metainfo
    metric.process([], [sample.to_dict()])
    measured = metric.evaluate(1)
    if evaluator.get('format_only'):
        assert (folder / 'result.keypoints.json').exists()
        return
    assert measured
    best = cfg.get('default_hooks', {}).get('checkpoint', {}).get('save_best')
    assert best is None or best in measured or cfg.test_evaluator != cfg.val_evaluator


@pytest.mark.parametrize('path', CONFIGS)
def test_a_variant_states_only_what_differs(path):
    """A config has no path besides data_root, and is not a copy of another."""
    text = re.sub("^data_root = '.*'$", '', (ROOT / path).read_text(), flags=re.M)
    assert len(text.splitlines()) <= 70
    assert "'/" not in text and 'data/' not in text


@pytest.mark.parametrize('name, path, iterations', [
    ('coco', 'coco/td-hm_2xmspn50_8xb32-96k_coco-256x192.py', 96000),
    ('mpii', 'mpii/td-hm_2xmspn50_8xb32-29k_mpii-256x256.py', 28800),
])
def test_the_official_schedule(name, path, iterations):
    """The learning rates are those of the recorded schedule, up to rounding."""
    recorded = reference.record('lr_schedule')[name]
    cfg = load_config(str(ROOT / 'configs/body_2d_keypoint/topdown_heatmap' / path))
    assert (cfg.train_cfg.max_iters, cfg.optim_wrapper.optimizer.lr) == (iterations, recorded['base_lr_8gpu'])
    assert cfg.optim_wrapper.optimizer.weight_decay == recorded['weight_decay']
    assert cfg.auto_scale_lr.base_batch_size == 8 * recorded['images_per_gpu']
    rates = learning_rates(cfg, stop=iterations + 1)
    for iteration, rate in recorded['lr_at_iter'].items():
        assert rates[int(iteration)] == pytest.approx(rate, rel=1e-6, abs=1e-12)


def test_cpn_halves_the_rate_every_sixty_epochs_of_60000_images():
    cfg = load_config(str(ROOT / 'configs/body_2d_keypoint/topdown_heatmap/coco/'
                          'td-hm_cpn50_1xb32-656k_coco-256x192.py'))
    assert cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == 32
    last = 60 * 60000 // 32
    rates = learning_rates(cfg, stop=last + 1)
    assert (rates[0], rates[last - 1], rates[last]) == (5e-4, 5e-4, 2.5e-4)


def learning_rates(cfg, stop: int) -> dict:
    """Return the learning rate of each iteration below ``stop``, from the schedulers that the Runner would build."""
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
