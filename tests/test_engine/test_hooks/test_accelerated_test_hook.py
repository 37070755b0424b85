"""A test in int8: the hook calibrates the model with people of the training data, and puts it back after the test."""
from typing import List

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.registry import MODELS
from torch import nn

import tests.exporting  # noqa: F401
from mmpose_mspn.apis.config import load_config
from mmpose_mspn.deploy.accelerated_pose_estimator import SessionPoseEstimator
from mmpose_mspn.synthetic_people import generate
from tests.places import DEMO


class Collect(Hook):
    """Keeps the models that are tested, and the scores that they predict."""

    def __init__(self) -> None:
        self.kinds: List[type] = []
        self.scores: List[np.ndarray] = []

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.kinds.append(type(runner.model))
        self.scores += [sample.pred_instances.keypoint_scores for sample in outputs]


def test_int8_stands_in_for_the_model_during_the_test(tmp_path):
    generate(tmp_path, train=16, val=4, workers=1, progress=False)
    cfg = load_config(str(DEMO), data_root=str(tmp_path))
    loader = dict(cfg.test_dataloader, num_workers=0, persistent_workers=False, batch_size=4)
    model = MODELS.build(cfg.model)
    for value in model.parameters():
        if value.ndim > 1:
            nn.init.kaiming_normal_(value)
    found = []
    for name, hooks in (('plain', []), ('int8', [dict(type='mmpose_mspn.AcceleratedTestHook', dtype='int8')])):
        collected = Collect()
        runner = Runner(model=model, work_dir=str(tmp_path / name), test_dataloader=loader, default_scope='mmpose',
                        test_evaluator=cfg.test_evaluator, test_cfg=dict(), custom_hooks=[*hooks, collected], cfg=cfg,
                        experiment_name=f'{tmp_path.name}-{name}')
        with torch.no_grad():
            runner.test()
        assert runner.model is model and all(issubclass(kind, SessionPoseEstimator) == bool(hooks)
                                             for kind in collected.kinds)
        found.append(np.concatenate(collected.scores))
    exact, moved = found
    assert 0 < np.abs(moved - exact).mean() < 0.2 * exact.std()
