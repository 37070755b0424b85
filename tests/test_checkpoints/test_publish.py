"""Published checkpoints: only weights, averages computed by hand, norms measured on data, the file's name."""
import hashlib
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmpose_mspn.checkpoints import CheckpointError, read_checkpoint
from mmpose_mspn.checkpoints.publish import publish
from mmpose_mspn.synthetic_people import generate
from tests.launching import python
from tests.places import DEMO
from tests.planted import plant


def training(path: Path, scale: float, steps: int) -> Path:
    """Write a Runner's checkpoint of a norm whose weights are all ``scale``."""
    weights = {'bn.weight': torch.full((3, ), scale), 'bn.running_var': torch.full((3, ), 2 * scale, dtype=torch.half),
               'bn.num_batches_tracked': torch.tensor(steps)}
    meta = dict(iter=steps, seed=7, time='now', dataset_meta=dict(dataset_name='coco'), cfg='model = dict()')
    torch.save(dict(meta=meta, state_dict=weights, ema_state_dict=weights, message_hub=dict(a=1), optimizer=dict(b=2),
                    param_schedulers=[dict(c=3)]), path)
    return path


def test_only_weights_in_a_file_named_by_its_hash(tmp_path):
    path = publish(training(tmp_path / 'iter_9.pth', 4., 9), str(tmp_path / 'out' / 'model'))
    assert path.name == f'model-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth'
    published = torch.load(path, weights_only=True)
    assert published.keys() == {'meta', 'state_dict'}
    assert published['meta'] == dict(iter=9, dataset_meta=dict(dataset_name='coco'))
    assert published['state_dict']['bn.weight'].tolist() == [4, 4, 4]
    with pytest.raises(FileExistsError, match='--force'):
        publish(tmp_path / 'iter_9.pth', str(tmp_path / 'out' / 'model.pth'))
    assert publish(tmp_path / 'iter_9.pth', str(tmp_path / 'out' / 'model.pth'), force=True) == path


def test_average_of_the_last_checkpoints(tmp_path):
    for steps, scale in ((2, 100.), (9, 1.), (10, 2.), (11, 6.)):  # ordered by number, not by name
        training(tmp_path / f'iter_{steps}.pth', scale, steps)
    training(tmp_path / 'best_coco_AP_iter_2.pth', 1000., 2)
    published = read_checkpoint(publish(tmp_path, str(tmp_path / 'model'), average=3))
    weights = published['state_dict']
    assert weights['bn.weight'].tolist() == [3, 3, 3] and weights['bn.running_var'].tolist() == [6, 6, 6]
    assert weights['bn.running_var'].dtype == torch.half and weights['bn.num_batches_tracked'] == 11
    assert published['meta']['averaged'] == ['iter_9.pth', 'iter_10.pth', 'iter_11.pth']
    assert published['meta']['iter'] == 11


def test_refused_sources(tmp_path):
    training(tmp_path / 'iter_1.pth', 1., 1)
    with pytest.raises(CheckpointError, match='holds 1 checkpoints, but average is 2: .* higher max_keep_ckpts'):
        publish(tmp_path, str(tmp_path / 'out'), average=2)
    torch.save(dict(state_dict={'other': torch.zeros(1)}), tmp_path / 'iter_2.pth')
    with pytest.raises(CheckpointError, match='iter_2.pth is not of the same model .*missing bn.weight'):
        publish(tmp_path, str(tmp_path / 'out'), average=2)
    training(tmp_path / 'epoch_1.pth', 1., 1)
    with pytest.raises(CheckpointError, match=r'both iter_\*.pth and epoch_\*.pth'):
        publish(tmp_path, str(tmp_path / 'out'), average=2)
    with pytest.raises(ValueError, match='average must be 0 .* or >= 2, got 1'):
        publish(tmp_path, str(tmp_path / 'out'), average=1)
    with pytest.raises(ValueError, match='batches must be >= 1, got 0'):
        publish(tmp_path, str(tmp_path / 'out'), batches=0)
    with pytest.raises(CheckpointError, match='is a folder'):
        publish(tmp_path, str(tmp_path / 'out'))
    folder = plant(tmp_path / 'planted.pth', {})
    with pytest.raises(CheckpointError, match='more than weights'):
        publish(tmp_path / 'planted.pth', str(tmp_path / 'out'))
    assert not folder.exists()


@pytest.fixture
def config(tmp_path) -> Config:
    generate(tmp_path / 'people', train=3, val=1, workers=1, progress=False)
    cfg = Config.fromfile(DEMO)
    cfg.train_dataloader.update(batch_size=2, num_workers=0, persistent_workers=False)
    cfg.train_dataloader.dataset.data_root = str(tmp_path / 'people')
    cfg.train_dataloader.dataset.pipeline = [
        step for step in cfg.train_dataloader.dataset.pipeline if step['type'] != 'RandomFlip']
    return cfg


def test_norms_are_measured_on_the_training_data(tmp_path, config):
    """The statistics of the stem's norm are those of its convolution's output for the same crops."""
    from mmengine.runner import Runner
    from mmpose.registry import MODELS
    torch.manual_seed(3)
    model = MODELS.build(config.model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'iter_1.pth')
    path = publish(tmp_path / 'iter_1.pth', str(tmp_path / 'model'), recompute_bn=config, batches=1)
    found = read_checkpoint(path)['state_dict']
    batch = next(iter(Runner.build_dataloader(config.train_dataloader, seed=0)))
    with torch.no_grad():
        maps = model.backbone.stem.conv1(model.data_preprocessor(batch, True)['inputs'])
    torch.testing.assert_close(found['backbone.stem.bn1.running_mean'], maps.mean((0, 2, 3)), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found['backbone.stem.bn1.running_var'], maps.var((0, 2, 3)), rtol=1e-3, atol=1e-4)
    untouched = 'head.predictors.0.0.0.conv.weight'
    assert torch.equal(found[untouched], model.state_dict()[untouched])
    torch.save(dict(state_dict=nn.Linear(1, 1).state_dict()), tmp_path / 'iter_2.pth')
    with pytest.raises(CheckpointError, match='do not fit the config.s model: missing backbone'):
        publish(tmp_path / 'iter_2.pth', str(tmp_path / 'model'), recompute_bn=config)


def test_the_tool(tmp_path):
    training(tmp_path / 'iter_1.pth', 1., 1)
    training(tmp_path / 'iter_2.pth', 3., 2)

    def run(*arguments):
        return python('tools/publish_model.py', *arguments)

    done = run(tmp_path, tmp_path / 'model', '--average', 2)
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip().splitlines()[-1])
    assert torch.load(path, weights_only=True)['state_dict']['bn.weight'].tolist() == [2, 2, 2]
    failed = run(tmp_path / 'nothing.pth', tmp_path / 'model')
    assert failed.returncode == 1 and failed.stderr.startswith('error: ') and failed.stderr.count('\n') == 1
