"""The models that ``accelerate`` returns, and that test an exported file."""
from contextlib import nullcontext
from typing import Any, Callable, List, Optional, Sequence

import numpy as np
import torch
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from mmpose.models.pose_estimators.base import BasePoseEstimator
from mmpose.utils.typing import ForwardResults, OptSampleList, SampleList
from torch import Tensor, nn

from mmpose_mspn.deploy.packed import refuse_move
from mmpose_mspn.models.data_preprocessor import PoseDataPreprocessor

CACHED_BYTES = 4 * 256 * 192 * 4
"""Bytes, in one color, of the crops that fit a CPU's caches best together: four crops of 256×192 px in float32."""
CROPS_PER_RUN = 8
"""Number of crops that a backend gets at a time."""
NO_TRAINING = 'an accelerated copy cannot be trained: train the model that it was made from, then accelerate that'


class AcceleratedPoseEstimator(BasePoseEstimator):
    """A pose estimator for inference: predicts in a chosen type and, on a CPU, in pieces of a batch.

    It takes the place of the estimator in mmpose's runners and inference functions. It is always in eval mode. What is
    not defined here (``backbone``, ``head``, ``cfg``, ``dataset_meta``, …) is read from the estimator.

    Args:
        estimator: The estimator, made ready by :func:`mmpose_mspn.accelerate`.
        dtype: Type in which ``predict`` runs; ``None`` leaves the type as it is.
        autocast: Whether autocast converts to ``dtype``, which the estimator does not do itself.

    Attributes:
        pixels_per_piece: Pixels of the crops, mirrored ones included, that pass the network together on a CPU.
    """

    def __init__(self, estimator: nn.Module, dtype: Optional[torch.dtype] = None, autocast: bool = True) -> None:
        BaseModule.__init__(self)  # mmpose's constructor would build a backbone and a head
        self.estimator = estimator
        self.dtype = dtype
        self.autocast = autocast
        self.pixels_per_piece = CACHED_BYTES // (dtype or torch.float32).itemsize
        # init_weights() must not overwrite the folded weights; mmengine 0.7 has no setter of the public name.
        self._is_init = True
        self.eval()

    def forward(self, inputs: Tensor, data_samples: OptSampleList = None, mode: str = 'tensor') -> ForwardResults:
        """mmpose's ``forward``; ``mode='loss'`` is refused.

        Args:
            inputs: (B, 3, h, w), normalized, or a list of B such images.
            data_samples: The B samples; not needed with ``mode='tensor'``.
            mode: ``'predict'`` or ``'tensor'``.

        Raises:
            RuntimeError: ``mode`` is ``'loss'``.
        """
        if isinstance(inputs, list):
            inputs = torch.stack(inputs)
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self._in_pieces(self.estimator, inputs, data_samples, mode='predict')
        return self.estimator(inputs, data_samples, mode=mode)

    def predict(self, inputs: Tensor, data_samples: SampleList) -> SampleList:
        """The estimator's predictions.

        Args:
            inputs: (B, 3, h, w), normalized.
            data_samples: The B samples.

        Returns:
            The B samples with ``pred_instances`` in image px.
        """
        return self._in_pieces(self.estimator.predict, inputs, data_samples)

    def _in_pieces(self, predict: Callable, inputs: Tensor, data_samples: SampleList, **options) -> SampleList:
        size = self.piece_size(inputs)
        predicted = []
        casts = self.autocast and self.dtype is not None
        with torch.autocast(inputs.device.type, self.dtype) if casts else nullcontext():
            for start in range(0, len(inputs), size):
                piece = slice(start, start + size)
                predicted += predict(inputs[piece], data_samples[piece], **options)
        return predicted

    def piece_size(self, inputs: Tensor) -> int:
        """How many of the crops (B, 3, h, w) pass the network together, >= 1.

        All of them on a GPU, and on a CPU those that fit its caches.
        """
        if inputs.device.type != 'cpu':
            return max(1, len(inputs))
        views = 2 if (self.test_cfg or {}).get('flip_test', False) else 1
        return max(1, self.pixels_per_piece // (inputs.shape[2] * inputs.shape[3] * views))

    def extract_feat(self, inputs: Tensor) -> Any:
        return self.estimator.extract_feat(inputs)

    def _forward(self, inputs: Tensor, data_samples: OptSampleList = None) -> Any:
        return self.estimator._forward(inputs, data_samples)

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict:
        raise RuntimeError(NO_TRAINING)

    @property
    def train_step(self) -> None:
        """Refused. mmengine's Runner looks it up first, before it fails to build an optimizer without parameters.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(NO_TRAINING)

    def train(self, mode: bool = True) -> nn.Module:
        """Keep eval mode.

        Raises:
            RuntimeError: ``mode`` is true.
        """
        if mode:
            raise RuntimeError(NO_TRAINING)
        return super().train(False)

    @property
    def test_cfg(self) -> dict:
        """The estimator's settings of the flip test and of the other views."""
        return self.estimator.test_cfg

    @test_cfg.setter
    def test_cfg(self, settings: dict) -> None:
        self.estimator.test_cfg = settings

    def _set_device(self, device: torch.device) -> None:  # mmengine calls it before a move to another device
        refuse_move(self, device)
        super()._set_device(device)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:  # every move and conversion
        here = next(self.parameters(), torch.empty(0)).device
        moved = fn(torch.empty(0, device=here))
        refuse_move(self, moved.device, moved.dtype)
        return super()._apply(fn, recurse)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            # During unpickling, ``estimator`` is not set yet. Special methods are looked up on this class alone.
            if name == 'estimator' or name.startswith('__'):
                raise
            return getattr(self.estimator, name)

    def extra_repr(self) -> str:
        return f'dtype={self.dtype or torch.float32}, pixels_per_piece={self.pixels_per_piece}'


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
        for start in range(0, len(crops), CROPS_PER_RUN):
            keypoints, scores = self.run(dict(crops=crops[start:start + CROPS_PER_RUN]))
            instances += [InstanceData(keypoints=points[None].astype(np.float64), keypoint_scores=point_scores[None])
                          for points, point_scores in zip(keypoints, scores)]
        return self.estimator.add_pred_to_datasample(instances, None, data_samples)
