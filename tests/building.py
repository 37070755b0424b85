"""Models and samples that several tests build."""
from pathlib import Path
from typing import Any, Callable, ContextManager, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.structures import InstanceData
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from torch import Tensor, nn

import mmpose_mspn  # noqa: F401  registers the parts

SMALL = dict(type='ResNet', depth=18)


def codec(input_size: Tuple[int, int] = (48, 64), **changes) -> dict:
    heatmap_size = (input_size[0] // 4, input_size[1] // 4)
    return dict(type='mmpose_mspn.CoarseToFineHeatmap', input_size=input_size, heatmap_size=heatmap_size, **changes)


def backbone(num_stages: int = 2, **changes) -> nn.Module:
    """A small MSPN unless ``encoder`` says otherwise."""
    return MODELS.build({
        'type': 'mmpose_mspn.MSPN', 'num_stages': num_stages, 'encoder': SMALL, 'unit_channels': 16, **changes
    })


def head(num_stages: int = 2, out_channels: int = 17, input_size: Tuple[int, int] = (48, 64), **changes) -> nn.Module:
    return MODELS.build({
        'type': 'mmpose_mspn.MSPNHead', 'num_stages': num_stages, 'out_channels': out_channels, 'unit_channels': 16,
        'decoder': codec(input_size), **changes
    })


def estimator(backbone_cfg: dict, head_cfg: dict, **changes) -> nn.Module:
    return MODELS.build(dict(
        type='mmpose.TopdownPoseEstimator',
        data_preprocessor=dict(type='mmpose.PoseDataPreprocessor'),
        backbone=backbone_cfg,
        head=head_cfg,
        test_cfg=dict(flip_test=False),
        **changes))


def ensemble(folder: Path, members: Sequence[nn.Module], **changes) -> nn.Module:
    """An ensemble in eval mode of models whose ``cfg`` is their config. Their checkpoints are written to ``folder``."""
    entries = []
    for number, member in enumerate(members):
        checkpoint = str(folder / f'{number}.pth')
        torch.save(dict(state_dict=member.state_dict()), checkpoint)
        entries.append(dict(config=dict(model=member.cfg), checkpoint=checkpoint))
    return MODELS.build(dict(
        type='mmpose_mspn.EnsemblePoseEstimator', members=entries, decoder=codec(), **changes)).eval()


def settle_norms(model: nn.Module, crops: Tensor) -> nn.Module:
    """Let crops (B, 3, h, w) pass three times, so that the norms' statistics are not the initial ones.

    Returns:
        The model, in eval mode.
    """
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model.extract_feat(crops)
    return model.eval()


def second_call(work: Callable[[], Any], waits: Callable[[], ContextManager[Any]]) -> Tuple[Any, Any]:
    """What a call returns, and its waits for a GPU, as ``waits()`` gives them, once a first call has filled caches."""
    for _ in range(2):
        with waits() as found:
            result = work()
    return result, found


def samples(batch: int = 2, keypoints: int = 17, input_size: Tuple[int, int] = (48, 64), visible: int = 2,
            seed: int = 0, flip_indices: Optional[list] = None) -> list:
    """Samples as from ``PackPoseInputs``, with the labels of this package's codec."""
    draw = np.random.default_rng(seed)
    made = []
    for index in range(batch):
        sample = PoseDataSample()
        joints = draw.uniform(0, np.array(input_size) - 1, (1, keypoints, 2)).astype(np.float32)
        sample.gt_instances = InstanceData(
            bboxes=np.array([[0, 0, *input_size]], np.float32), bbox_scores=np.ones(1, np.float32))
        sample.gt_instance_labels = InstanceData(
            keypoint_labels=torch.from_numpy(joints),
            keypoints_visible=torch.full((1, keypoints), float(visible)))
        sample.set_metainfo(dict(
            id=index, img_id=index, input_size=input_size, input_center=np.array(input_size) / 2,
            input_scale=np.array(input_size), flip_indices=flip_indices or list(range(keypoints))))
        made.append(sample)
    return made
