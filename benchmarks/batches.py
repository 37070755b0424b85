"""Batches of drawn people, with the labels of this package and with those of mmpose's own MSPN."""
from typing import List, Tuple

import numpy as np
import torch
from mmengine.structures import InstanceData
from mmpose.codecs import MegviiHeatmap
from mmpose.structures import MultilevelPixelData, PoseDataSample
from peers import FLIP, HEATMAP, INPUT, KERNELS, KEYPOINTS


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
