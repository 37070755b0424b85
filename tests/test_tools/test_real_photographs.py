"""The stock Runner on photographs: training to overfit them, resuming, evaluation and inference."""
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.runner import Runner

from mmpose_mspn.apis.config import load_config
from tests.launching import python
from tests.places import DEMO, ROOT

ITERATIONS = 240


def config(coco_sample: Path, work_dir: Path, iterations: int):
    """The demo's model on 14 people without augmentation, evaluated on the same people with their annotated boxes."""
    cfg = load_config(str(DEMO), data_root=str(coco_sample))
    cfg.work_dir = str(work_dir)
    pipeline = [step for step in cfg.train_pipeline if step['type'] not in (
        'mmpose_mspn.RandomScaleRotation', 'RandomFlip')]
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset.update(ann_file='test_coco.json', data_prefix=dict(img=''))
    # Iterations instead of epochs: here an epoch is one batch, and mmengine sleeps for two seconds after each epoch.
    cfg.train_dataloader.update(batch_size=14, sampler=dict(type='InfiniteSampler', shuffle=True))
    cfg.train_dataloader.dataset.pipeline = pipeline
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.bbox_file = None
    cfg.train_cfg.update(max_iters=iterations, val_interval=iterations)
    # A schedule that fits the data in few steps.
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.1, begin=0, end=20, by_epoch=False),
        dict(type='CosineAnnealingLR', eta_min=0, begin=20, end=ITERATIONS + 1, by_epoch=False),
    ]
    cfg.default_hooks.checkpoint.interval = ITERATIONS // 2
    cfg.model.test_cfg.flip_test = False
    return cfg


@pytest.fixture(scope='module')
def trained(tmp_path_factory) -> Path:
    """Work directory with the checkpoint of a training that was stopped halfway and resumed."""
    sample = ROOT.parent / 'shared' / 'data' / 'coco_sample'
    if not sample.is_dir():
        pytest.skip(f'the photographs are not in {sample}')
    work_dir = tmp_path_factory.mktemp('real')
    half = config(sample, work_dir, ITERATIONS // 2)
    half.experiment_name = 'half'
    half.val_cfg = half.val_dataloader = half.val_evaluator = None
    Runner.from_cfg(half).train()
    rest = config(sample, work_dir, ITERATIONS)
    rest.experiment_name = 'rest'
    rest.resume = True
    runner = Runner.from_cfg(rest)
    runner.train()
    assert runner.iter == ITERATIONS
    (work_dir / 'metrics.json').write_text(json.dumps(
        {key: float(runner.message_hub.get_scalar(f'val/coco/{key}').current()) for key in ('AP', 'AR')}))
    rest.dump(work_dir / 'config.py')
    return work_dir


def test_the_photographs_are_fitted(trained):
    metrics = json.loads((trained / 'metrics.json').read_text())
    assert metrics['AP'] >= 0.9


def test_evaluation_with_detector_boxes(trained, coco_sample):
    cfg = config(coco_sample, trained / 'boxes', ITERATIONS)
    cfg.experiment_name = 'boxes'
    cfg.load_from = str(trained / f'iter_{ITERATIONS}.pth')
    cfg.test_dataloader.dataset.bbox_file = 'test_coco_det_AP_H_56.json'
    metrics = Runner.from_cfg(cfg).test()
    # Lower than with annotated boxes, because the model was trained on crops of those only.
    assert 0.3 < metrics['coco/AP'] <= 1


def test_inference_finds_the_annotated_joints(trained, coco_sample):
    """tools/infer.py on one photograph with its annotated boxes."""
    out = trained / 'inferred'
    photograph = coco_sample / '000000000785.jpg'
    done = python('tools/infer.py', photograph, trained / 'config.py', trained / f'iter_{ITERATIONS}.pth', '--out', out,
                  '--boxes', coco_sample / 'test_coco.json')
    assert done.returncode == 0, done.stderr
    predictions = json.loads((out / 'predictions.json').read_text())
    people = [ann for ann in json.loads((coco_sample / 'test_coco.json').read_text())['annotations']
              if ann['image_id'] == 785 and ann['num_keypoints'] > 0]
    found = predictions['images'][0]['instances']
    for person in people:
        truth = np.array(person['keypoints']).reshape(-1, 3)
        labeled = truth[:, 2] > 0
        distances = [np.linalg.norm(np.array(one['keypoints'])[labeled, :2] - truth[labeled, :2], axis=1)
                     for one in found]
        assert min(np.median(d) for d in distances) < 0.03 * max(person['bbox'][2:])
    drawn = cv2.imread(str(out / photograph.name))
    assert drawn is not None and (drawn != cv2.imread(str(photograph))).any()
