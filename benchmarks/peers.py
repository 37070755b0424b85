"""The same network from this package, from mmpose and from the official code, and batches with the labels of each."""
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import List, Tuple

import numpy as np
import torch
from mmengine.structures import InstanceData
from mmpose.codecs import MegviiHeatmap
from mmpose.registry import MODELS
from mmpose.structures import MultilevelPixelData, PoseDataSample
from torch import nn

from mmpose_mspn.checkpoints import convert

INPUT, HEATMAP, KEYPOINTS = (192, 256), (48, 64), 17
"""(w, h) px, (W, H) cells, K."""
KERNELS = (15, 11, 9, 7, 5)
FLIP = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]


def our_model(num_stages: int, input_size: Tuple[int, int] = INPUT, keypoints: int = KEYPOINTS,
              with_cp: bool = False) -> nn.Module:
    codec = dict(type='mmpose_mspn.CoarseToFineHeatmap', input_size=input_size,
                 heatmap_size=tuple(side // 4 for side in input_size), kernel_sizes=KERNELS)
    return MODELS.build(dict(
        type='mmpose_mspn.TopdownPoseEstimator', data_preprocessor=dict(type='PoseDataPreprocessor'),
        test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False),
        backbone=dict(type='mmpose_mspn.MSPN', num_stages=num_stages, with_cp=with_cp),
        head=dict(type='mmpose_mspn.MSPNHead', num_stages=num_stages, out_channels=keypoints, decoder=codec,
                  with_cp=with_cp)))


def mmpose_model(num_stages: int) -> nn.Module:
    coarse = dict(type='KeypointMSELoss', use_target_weight=True, loss_weight=0.25)
    fine = dict(type='KeypointOHKMMSELoss', use_target_weight=True, loss_weight=1.)
    levels = [0, 1, 2, 3] * (num_stages - 1) + [1, 2, 3, 4]
    codec = dict(type='MegviiHeatmap', input_size=INPUT, heatmap_size=HEATMAP, kernel_size=KERNELS[-1])
    return MODELS.build(dict(
        type='TopdownPoseEstimator', data_preprocessor=dict(type='PoseDataPreprocessor'),
        test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False),
        backbone=dict(type='MSPN', num_stages=num_stages, num_blocks=[3, 4, 6, 3]),
        head=dict(type='MSPNHead', num_stages=num_stages, out_channels=KEYPOINTS, level_indices=levels,
                  loss=[coarse, coarse, coarse, fine] * num_stages, decoder=codec)))


def pair(num_stages: int, device: str) -> Tuple[nn.Module, nn.Module]:
    """Return our estimator and mmpose's with the same weights, in eval mode."""
    ours, theirs = our_model(num_stages), mmpose_model(num_stages)
    with torch.no_grad():  # so that norms change their input
        for module in theirs.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_var.uniform_(0.5, 1.5)
    ours.load_state_dict(convert(theirs.state_dict()))
    for model in (ours, theirs):
        model.to(device).eval()
    return ours, theirs


class Official:
    """Builds networks with the official code.

    Args:
        folder: A clone of its repository.

    Raises:
        FileNotFoundError: The folder does not hold the official code.
    """

    def __init__(self, folder: str) -> None:
        file = Path(folder) / 'exps' / 'mspn.2xstg.coco' / 'network.py'
        if not file.is_file():
            raise FileNotFoundError(f'{file} does not exist: --official needs a clone of megvii-detection/MSPN')
        sys.path.append(str(folder))
        spec = importlib.util.spec_from_file_location('official_mspn', file)
        self.module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)

    def network(self, weights: dict, num_stages: int, device: str) -> nn.Module:
        """Build the network with our ``weights``, in eval mode."""
        keypoint = SimpleNamespace(NUM=KEYPOINTS)
        cfg = SimpleNamespace(
            MODEL=SimpleNamespace(STAGE_NUM=num_stages, UPSAMPLE_CHANNEL_NUM=256),
            DATASET=SimpleNamespace(KEYPOINT=keypoint), OUTPUT_SHAPE=HEATMAP[::-1],
            LOSS=SimpleNamespace(OHKM=True, TOPK=8, COARSE_TO_FINE=True))
        network = self.module.MSPN(cfg)
        network.load_state_dict(convert(weights, to='official'))
        return network.to(device).eval()


def people(batch: int) -> Tuple[np.ndarray, np.ndarray]:
    """Return joints (B, K, 2) in px and their visibility (B, K), 1 or 2, always the same ones."""
    draw = np.random.default_rng(0)
    return draw.uniform(0, np.array(INPUT) - 1, (batch, KEYPOINTS, 2)), draw.integers(1, 3, (batch, KEYPOINTS))


def samples(batch: int) -> List[PoseDataSample]:
    """Samples as a test pipeline packs them, without labels."""
    made = []
    for joints in people(batch)[0]:
        sample = PoseDataSample(metainfo=dict(
            input_size=INPUT, input_center=np.array(INPUT) / 2, input_scale=np.array(INPUT), flip_indices=FLIP))
        sample.gt_instances = InstanceData(bboxes=np.zeros((1, 4)), bbox_scores=np.ones(1), keypoints=joints[None])
        made.append(sample)
    return made


def our_labels(batch: int, device: str) -> List[PoseDataSample]:
    """Samples with keypoints, from which the head draws its targets."""
    made = samples(batch)
    for sample, joints, visible in zip(made, *people(batch)):
        sample.gt_instance_labels = InstanceData(
            keypoint_labels=torch.tensor(joints[None], dtype=torch.float32, device=device),
            keypoints_visible=torch.tensor(visible[None], dtype=torch.float32, device=device))
    return made


def their_labels(batch: int, device: str) -> List[PoseDataSample]:
    """Samples with the heatmaps of all kernel sizes, which mmpose's data workers draw."""
    made = samples(batch)
    codecs = [MegviiHeatmap(INPUT, HEATMAP, k) for k in KERNELS]
    for sample, joints in zip(made, people(batch)[0]):
        encoded = [codec.encode(joints[None], np.ones((1, KEYPOINTS))) for codec in codecs]
        sample.gt_fields = MultilevelPixelData(
            heatmaps=[torch.from_numpy(e['heatmaps']).to(device) for e in encoded])
        sample.gt_instance_labels = InstanceData(keypoint_weights=torch.tensor(
            np.stack([e['keypoint_weights'] for e in encoded]), dtype=torch.float32, device=device))
    return made
