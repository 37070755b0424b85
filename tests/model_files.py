"""A small model as files: its config, and checkpoints of random weights."""
from pathlib import Path

import torch
from mmengine.config import Config
from mmpose.apis import init_model

from mmpose_mspn.synthetic_people import generate
from tests.places import DEMO

CONFIG = """
default_scope = 'mmpose'
codec = dict(type='mmpose_mspn.CoarseToFineHeatmap', input_size=(48, 64), heatmap_size=(12, 16))
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(type='PoseDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(
        type='mmpose_mspn.MSPN', num_stages={stages}, encoder=dict(type='ResNet', depth=18), unit_channels=16),
    head=dict(
        type='mmpose_mspn.MSPNHead', num_stages={stages}, unit_channels=16, out_channels={joints}, decoder=codec),
    test_cfg=dict(flip_test=True))
pipeline = [
    dict(type='LoadImage'),
    dict(type='mmpose_mspn.WidenBBox', fixed=(.09, .135)),
    dict(type='TopdownAffine', input_size=(48, 64)),
    dict(type='PackPoseInputs'),
]
visualizer = dict(type='PoseLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer', radius=2)
{loader} = dict(dataset=dict(type='{dataset}', pipeline=pipeline))
"""


def write_config(path: Path, joints: int = 17, loader: str = 'test_dataloader',
                 dataset: str = 'mmpose_mspn.CocoDataset', stages: int = 2) -> Path:
    """Write the config of a small model for crops of 48 × 64 px, and return its path."""
    path.write_text(CONFIG.format(joints=joints, loader=loader, dataset=dataset, stages=stages))
    return path


def save_random(config: Path, checkpoint: Path, **meta) -> None:
    """Save random weights of a config's model, always the same ones, with ``meta`` as the checkpoint's meta."""
    torch.manual_seed(0)
    model = init_model(str(config), device='cpu')
    torch.save(dict(state_dict=model.state_dict(), meta=meta), checkpoint)


def write_demo(folder: Path, images: int) -> None:
    """Write what ``make demo`` leaves: drawn people to test on, and a checkpoint, here of random weights."""
    generate(folder / 'data/synthetic', train=0, val=images, workers=1, progress=False)
    (folder / 'work_dirs/demo').mkdir(parents=True)
    save_random(DEMO, folder / 'work_dirs/demo/iter_1800.pth', cfg=Config.fromfile(DEMO).pretty_text)
