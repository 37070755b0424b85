"""The model that ``accelerate`` returns."""
from contextlib import nullcontext
from typing import Any, Callable, Optional

import torch
from mmengine.model import BaseModule
from mmpose.models.pose_estimators.base import BasePoseEstimator
from mmpose.utils.typing import ForwardResults, OptSampleList, SampleList
from torch import Tensor, nn

from mmpose_mspn.deploy.packed import refuse_move

CACHED_BYTES = 4 * 256 * 192 * 4
"""Bytes, in one color, of the crops that fit a CPU's caches best together: four crops of 256×192 px in float32."""
NO_TRAINING = 'an accelerated copy cannot be trained: train the model that it was made from, then accelerate that'


class AcceleratedPoseEstimator(BasePoseEstimator):
    """A pose estimator for inference: predicts in a chosen type and, on a CPU, in pieces of a batch.

    It takes the place of the estimator in mmpose's runners and inference functions. It is always in eval mode. What is
    not defined here (``backbone``, ``head``, ``cfg``, ``dataset_meta``, …) is read from the estimator.

    Args:
        estimator: The estimator, made ready by :func:`mmpose_mspn.accelerate`.
        dtype: Type in which ``predict`` runs; ``None`` leaves the type as it is.
        autocast: Whether autocast converts to ``dtype``, which the estimator does not do itself.
        batch: Number of people for whose crops the estimator's networks are compiled; ``None``: they are not.

    Attributes:
        pixels_per_piece: Pixels of the crops, mirrored ones included, that pass the network together on a CPU.
    """

    def __init__(self, estimator: nn.Module, dtype: Optional[torch.dtype] = None, autocast: bool = True,
                 batch: Optional[int] = None) -> None:
        BaseModule.__init__(self)  # mmpose's constructor would build a backbone and a head
        self.estimator = estimator
        self.dtype = dtype
        self.autocast = autocast
        self.batch = batch
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
        found = []
        casts = self.autocast and self.dtype is not None
        with torch.autocast(inputs.device.type, self.dtype) if casts else nullcontext():
            for start in range(0, len(inputs), size):
                piece = slice(start, start + size)
                found += predict(inputs[piece], data_samples[piece], **options)
        return found

    def piece_size(self, inputs: Tensor) -> int:
        """How many of the crops (B, 3, h, w) pass the network together, >= 1.

        Those for which it is compiled; else all of them on a GPU, and on a CPU those that fit its caches.
        """
        if self.batch is not None:
            return self.batch
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
        pieces = f'pixels_per_piece={self.pixels_per_piece}' if self.batch is None else f'batch={self.batch}'
        return f'dtype={self.dtype or torch.float32}, {pieces}'
