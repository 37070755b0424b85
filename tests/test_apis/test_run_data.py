"""What a run's data say about its validation."""
import pytest

from mmpose_mspn.apis import run_data
from mmpose_mspn.apis.config import load_config
from mmpose_mspn.apis.run_check import check_run
from tests.test_apis.test_run_check import MSPN

SPLITS = ('train', 'val')


@pytest.fixture
def warned(monkeypatch):
    """What is logged."""
    said = []
    monkeypatch.setattr(run_data, 'print_log', lambda text, *_: said.append(text))
    return said


def test_a_validation_on_the_people_of_the_training(warned):
    cfg = load_config(str(MSPN))
    check_run(cfg, SPLITS)
    assert not warned
    cfg.val_dataloader.dataset.ann_file = './' + cfg.train_dataloader.dataset.ann_file
    check_run(cfg, SPLITS)
    assert len(warned) == 1 and 'person_keypoints_train2017.json: the validation measures people' in warned[0]
    cfg.val_dataloader.dataset.data_root = 'elsewhere'
    check_run(cfg, SPLITS)
    assert len(warned) == 1


def test_a_test_that_changes_samples_by_chance(warned):
    cfg = load_config(str(MSPN), {'test_dataloader.dataset.pipeline.1.type': 'RandomFlip'})
    check_run(cfg, ('test', ))
    assert len(warned) == 1 and 'changes samples by chance (RandomFlip)' in warned[0]


@pytest.mark.parametrize('options, message', [
    ({'model.test_cfg.flip_test': 'no'}, "model.test_cfg.flip_test must be True or False, got 'no'"),
    ({'model.data_preprocessor.std': [0, 1, 1]}, r'std \[0, 1, 1\] must be of the same number, each std > 0'),
    ({'model.data_preprocessor.mean': None}, 'mean None and std .* must be three numbers each'),
    ({'model.data_preprocessor.mean': [float('nan'), 1, 1]}, 'mean .*nan.* must be three numbers each'),
    ({'optim_wrapper.optimizer.weight_decay': float('nan')}, 'weight_decay must be a finite number >= 0, got nan'),
    ({'optim_wrapper.optimizer.lr': float('inf')}, 'lr must be a finite number >= 0, got inf'),
    ({'optim_wrapper.clip_grad': dict(max_norm=float('nan'))}, 'clip_grad.max_norm must be a finite number >= 0'),
    ({'optim_wrapper.optimizer.lr': None}, 'lr must be a finite number >= 0, got None'),
    ({'train_cfg': [1, 2]}, r'train_cfg must be a dict, got \[1, 2\]'),
    ({'train_dataloader.dataset.type': None}, 'train_dataloader.dataset has no type'),
    ({'train_dataloader.dataset.data_prefix': dict(image='train2017/', _delete_=True)},
     'data_prefix names no folder of images'),
    ({'train_dataloader.dataset.pipeline': [dict(type='PackPoseInputs')]}, 'pipeline has no step LoadImage'),
    ({'train_dataloader.dataset.pipeline': [dict(type='LoadImage')]}, 'pipeline has no step PackPoseInputs'),
    ({'randomness': dict(seed=-1)}, 'randomness.seed must be an integer >= 0, got -1'),
])
def test_settings_that_mean_something_else(options, message):
    with pytest.raises(ValueError, match=message):
        check_run(load_config(str(MSPN), options), ('train', 'val'))
