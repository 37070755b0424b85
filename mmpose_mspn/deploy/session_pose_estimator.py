"""The model that ``accelerate`` returns with a backend, and that tests an exported file."""
from typing import Callable, List, Sequence

import numpy as np
import torch
from mmengine.structures import InstanceData
from mmpose.utils.typing import ForwardResults, OptSampleList, SampleList
from torch import Tensor, nn

from mmpose_mspn.deploy.accelerated_pose_estimator import AcceleratedPoseEstimator
from mmpose_mspn.models.data_preprocessor import PoseDataPreprocessor

PIECE = 8
"""Number of crops that a backend gets at a time."""


class SessionPoseEstimator(AcceleratedPoseEstimator):
    """A pose estimator whose ``predict`` is computed by a backend.

    Args:
        estimator: The pose estimator in whose place it stands.
        run: Keypoints (B, K, 2) in px and scores (B, K) of ``dict(crops=(B, 3, h, w))``.
        takes_pixels: Whether the crops are uint8 pixels, which the graph normalizes, and not what the estimator's
            ``data_preprocessor`` makes of them.
    """

    def __init__(self, estimator: nn.Module, run: Callable[[dict], Sequence[np.ndarray]],
                 takes_pixels: bool = False) -> None:
        super().__init__(estimator)
        self.run = run
        self.takes_pixels = takes_pixels
        if takes_pixels:
            self.data_preprocessor = PoseDataPreprocessor()

    def forward(self, inputs: Tensor, data_samples: OptSampleList = None, mode: str = 'tensor') -> ForwardResults:
        """mmpose's ``forward`` with ``mode='predict'``; others are refused.

        Raises:
            RuntimeError: ``mode`` is another.
        """
        if mode != 'predict':
            raise RuntimeError(f"mode {mode!r} needs PyTorch: a model with a backend has mode='predict' alone")
        return self.predict(torch.stack(inputs) if isinstance(inputs, list) else inputs, data_samples)

    def predict(self, inputs: Tensor, data_samples: SampleList) -> SampleList:
        """The samples with ``pred_instances`` in image px.

        Args:
            inputs: (B, 3, h, w): normalized, or pixels with ``takes_pixels``.
            data_samples: The B samples.
        """
        crops = inputs.cpu().numpy()
        if self.takes_pixels:
            crops = crops.astype(np.uint8)
        instances: List[InstanceData] = []
        for start in range(0, len(crops), PIECE):
            keypoints, scores = self.run(dict(crops=crops[start:start + PIECE]))
            instances += [InstanceData(keypoints=one[None].astype(np.float64), keypoint_scores=score[None])
                          for one, score in zip(keypoints, scores)]
        return self.estimator.add_pred_to_datasample(instances, None, data_samples)
