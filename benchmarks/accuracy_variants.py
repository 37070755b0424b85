"""The networks and trainings that benchmarks/accuracy.py compares: sizes, and variants of the official rule."""
from dataclasses import dataclass, field
from typing import Dict, Optional, Tuple

OFFICIAL, MMPOSE = 'official', 'mmpose'
"""Whose targets, masks, losses and decode."""
OFFICIAL_POSITIONS, MMPOSE_POSITIONS = 'official positions', 'mmpose positions'
DECODES = {
    OFFICIAL: (OFFICIAL, OFFICIAL),
    MMPOSE: (MMPOSE, MMPOSE),
    OFFICIAL_POSITIONS: (OFFICIAL, MMPOSE),
    MMPOSE_POSITIONS: (MMPOSE, OFFICIAL),
}
"""Whose positions of keypoints, and whose scores."""


@dataclass(frozen=True)
class Scale:
    """The size of everything.

    Attributes:
        input_size: (w, h) px of the crops; the heatmaps have cells of 2 px.
        kernel_sizes: In cells, coarse to fine.
        channels: Of the encoder's first layer; ``unit_channels`` is twice that.
        stages: Of the network, unless a variant says otherwise.
        batch_size: People of an iteration.
        learning_rate: Of Adam.
        val_images: Held-out images.
        people: Few and many people to train on.
        iterations: A short and a long training.
    """
    input_size: Tuple[int, int]
    kernel_sizes: Tuple[int, ...]
    channels: int
    stages: int
    batch_size: int
    learning_rate: float
    val_images: int
    people: Tuple[int, int]
    iterations: Tuple[int, int]


SCALES = {
    # The demo's network and crops: about 5 minutes of a core for 1,000 iterations.
    'demo': Scale((96, 128), (29, 21, 17, 13, 9), 24, 2, 16, 1e-2, 300, (1000, 8000), (500, 1500)),
    # The demo's crops and kernels at three quarters and two thirds of its channels: a training takes about a minute.
    'small': Scale((72, 96), (21, 15, 13, 9, 7), 16, 2, 16, 1e-2, 300, (500, 4000), (400, 1200)),
    # For tests.
    'tiny': Scale((32, 48), (15, 11, 9, 7, 5), 8, 1, 2, 1e-3, 2, (4, 6), (2, 4)),
}


@dataclass(frozen=True)
class Variant:
    """The official rule with changes.

    Attributes:
        title: In tables.
        rule: :data:`OFFICIAL` or :data:`MMPOSE`.
        model: Merged into the config's ``model``; of the official rule only.
        stages: Number of stages; ``None``: the scale's.
        operations: How many times the channels' operations, by wider layers.
        batch: How many times the scale's batch.
        rate: How many times the scale's learning rate.
        fast: Train by ``--fast --amp``.
        norm_weight: Start of the norms in the predictors; the official code starts at 1.
    """
    title: str
    rule: str = OFFICIAL
    model: dict = field(default_factory=dict)
    stages: Optional[int] = None
    operations: float = 1.
    batch: float = 1.
    rate: float = 1.
    fast: bool = False
    norm_weight: float = 1.


def _loss(**changes: object) -> dict:
    return dict(head=dict(loss=changes))


VARIANTS: Dict[str, Variant] = {
    'official': Variant('official rule'),
    'mmpose': Variant("mmpose's rule", MMPOSE),
    'labeled': Variant('coarse units learn occluded keypoints too', model=_loss(visibility='labeled')),
    'start-20': Variant("the predictors' norms start at the demo's 20", norm_weight=20.),
    '1-stage': Variant('1 stage', stages=1),
    '3-stage': Variant('3 stages', stages=3),
    '4-stage': Variant('4 stages', stages=4),
    '1-stage-wide-2': Variant('1 wide stage, about the operations of 2', stages=1, operations=2.),
    '1-stage-wide-3': Variant('1 wide stage, about the operations of 3', stages=1, operations=3.),
    '1-stage-wide-4': Variant('1 wide stage, about the operations of 4', stages=1, operations=4.),
    'no-aggregation': Variant('no cross-stage aggregation', model=dict(backbone=dict(cross_stage_aggregation=False))),
    'no-coarse-to-fine': Variant('all stages learn the same kernels', model=_loss(coarse_to_fine=False)),
    'no-mining': Variant('no hard keypoint mining', model=_loss(ohkm_topk=None)),
    'one-kernel': Variant('all units learn the finest kernel', model=dict(head=dict(decoder=dict(kernel_sizes=-1)))),
    'weights-equal': Variant('unit weights 1, 1, 1, 1', model=_loss(unit_weights=(1., 1., 1., 1.))),
    'weights-last': Variant('only the last unit of a stage learns', model=_loss(unit_weights=(0., 0., 0., 1.))),
    'half-batch': Variant('batches half as large', batch=0.5),
    'half-rate': Variant('half the learning rate', rate=0.5),
    'double-rate': Variant('twice the learning rate', rate=2.),
    'fast': Variant('official rule, bf16', fast=True),
}
