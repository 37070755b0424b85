"""What benchmarks/accuracy.py trains: one table of variants, one of the questions that they answer.

A variant is the official rule with some changes. A question compares variants with a reference, each pair from the same
people, start, order of samples, flips and iterations, several times with other seeds.
"""
import re
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

OFFICIAL, MMPOSE = 'official', 'mmpose'
RULES = (OFFICIAL, MMPOSE)
"""Whose targets, masks, losses and decode."""
SEEDS = (1, 2, 3, 4, 5)


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
    # The demo's network and crops: about 6 minutes for 1,000 iterations on two quiet cores.
    'demo': Scale((96, 128), (29, 21, 17, 13, 9), 24, 2, 16, 1e-2, 300, (1000, 8000), (500, 1500)),
    # For a first look within an hour.
    'small': Scale((48, 64), (15, 11, 9, 7, 5), 16, 2, 16, 1e-2, 150, (500, 4000), (200, 600)),
    # For tests.
    'tiny': Scale((32, 48), (15, 11, 9, 7, 5), 8, 1, 2, 1e-3, 2, (4, 6), (2, 4)),
}


@dataclass(frozen=True)
class Variant:
    """The official rule with changes.

    Attributes:
        title: In tables.
        rule: One of :data:`RULES`.
        model: Merged into the config's ``model``; of the official rule only.
        stages: Number of stages; ``None``: the scale's.
        operations: How many times the channels' operations, by wider layers.
        fast: Train by ``--fast --amp``.
    """
    title: str
    rule: str = OFFICIAL
    model: dict = field(default_factory=dict)
    stages: Optional[int] = None
    operations: float = 1.
    fast: bool = False


def _loss(**changes: object) -> dict:
    return dict(head=dict(loss=changes))


VARIANTS: Dict[str, Variant] = {
    'official': Variant('official rule'),
    'mmpose': Variant("mmpose's rule", MMPOSE),
    'labeled': Variant('coarse units learn occluded keypoints too', model=_loss(visibility='labeled')),
    'start-1': Variant('last norms start at 1, as the official code has it', model=dict(head=dict(init_cfg=[
        dict(type='Kaiming', layer='Conv2d'), dict(type='Constant', layer='BatchNorm2d', val=1)]))),
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
    'fast': Variant('official rule, bf16', fast=True),
}


@dataclass(frozen=True)
class Row:
    """A variant's trained network, decoded.

    Attributes:
        variant: A key of :data:`VARIANTS`.
        decode: Whose decode; ``None``: that of the variant's rule.
    """
    variant: str
    decode: Optional[str] = None

    @property
    def decoder(self) -> str:
        return self.decode or VARIANTS[self.variant].rule

    @property
    def title(self) -> str:
        said = VARIANTS[self.variant].title
        return said if self.decode is None else f"{said}, {'official' if self.decode == OFFICIAL else 'mmpose'} decode"


@dataclass(frozen=True)
class Question:
    """What a part of the table answers.

    Attributes:
        title: The question.
        reference: What the others are compared with.
        others: The others.
        settings: (0 few or 1 many people, 0 short or 1 long training).
        equal_time: Whether the reference trains as long as the others take, instead of as many iterations.
    """
    title: str
    reference: Row
    others: Tuple[Row, ...]
    settings: Tuple[Tuple[int, int], ...] = ((1, 0), )
    equal_time: bool = False

    @property
    def rows(self) -> Tuple[Row, ...]:
        """All of them, the reference first."""
        return (self.reference, *self.others)


def _rows(*names: str) -> Tuple[Row, ...]:
    return tuple(Row(name) for name in names)


QUESTIONS: Dict[str, Question] = {
    'rules': Question(
        "Is the official rule better than mmpose's, and which part of it?", Row('mmpose'),
        (Row('official'), Row('official', MMPOSE), Row('mmpose', OFFICIAL), Row('labeled')),
        ((0, 0), (1, 0), (0, 1), (1, 1))),
    'time': Question("Is it better at equal time, each by its own fastest way?", Row('mmpose'), _rows('fast'),
                     ((1, 0), ), equal_time=True),
    'stages': Question('What does another stage bring, at equal iterations?', Row('official'),
                       _rows('1-stage', '3-stage', '4-stage')),
    'operations': Question('Are more stages better than a wider stage of as many operations?', Row('official'),
                           _rows('1-stage-wide-2')),
    'operations-3': Question('The same with 3 stages', Row('3-stage'), _rows('1-stage-wide-3')),
    'operations-4': Question('The same with 4 stages', Row('4-stage'), _rows('1-stage-wide-4')),
    'paper': Question("Do the paper's three ideas help?", Row('official'),
                      _rows('no-aggregation', 'no-coarse-to-fine', 'no-mining')),
    'kernels': Question('Do larger kernels for coarser units help?', Row('official'), _rows('one-kernel')),
    'weights': Question('Do the unit weights matter?', Row('official'), _rows('weights-equal', 'weights-last')),
    'start': Question('Does the start of the last norms matter?', Row('official'), _rows('start-1')),
}


@dataclass(frozen=True)
class Run:
    """One training and its measurement.

    Attributes:
        scale: A key of :data:`SCALES`.
        variant: A key of :data:`VARIANTS`.
        people: Number to train on.
        iterations: Number.
        seed: Of the start, the order and the flips.
    """
    scale: str
    variant: str
    people: int
    iterations: int
    seed: int

    @property
    def name(self) -> str:
        """Unique, a relative path."""
        return f'{self.scale}/{self.variant}/people{self.people}-iterations{self.iterations}-seed{self.seed}'

    @classmethod
    def named(cls, name: str) -> 'Run':
        """The run of this name."""
        scale, variant, numbers = name.split('/')
        return cls(scale, variant, *(int(number) for number in re.findall(r'[0-9]+', numbers)))

    @property
    def stages(self) -> int:
        return VARIANTS[self.variant].stages or SCALES[self.scale].stages


def run_of(scale: str, part: str, row: Row, setting: int, seed: int, speed: Optional[float] = None) -> Run:
    """The run behind a row of a question.

    Args:
        scale: A key of :data:`SCALES`.
        part: A key of :data:`QUESTIONS`.
        row: One of the question's.
        setting: Index of one of its settings.
        seed: Of the run.
        speed: How many iterations the others do while the reference does one, of a question at equal time.

    Raises:
        ValueError: The question is one of equal time, and ``speed`` is not given.
    """
    question, size = QUESTIONS[part], SCALES[scale]
    people, length = question.settings[setting]
    iterations = size.iterations[length]
    if question.equal_time and row != question.reference:
        if speed is None:
            raise ValueError(f'part {part} needs the measured speed: run benchmarks/accuracy.py speed first, on a '
                             'quiet machine')
        iterations = round(iterations * speed)
    return Run(scale, row.variant, size.people[people], iterations, seed)


def plan(scale: str, parts: Tuple[str, ...], seeds: Tuple[int, ...], speed: Optional[float] = None) -> List[Run]:
    """All runs of some parts, each once, seed by seed, so that an interrupted plan leaves whole pairs."""
    return list(dict.fromkeys(
        run_of(scale, part, row, setting, seed, speed) for seed in seeds for part in parts
        for setting in range(len(QUESTIONS[part].settings)) for row in QUESTIONS[part].rows))
