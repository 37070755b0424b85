"""What benchmarks/accuracy.py trains: the networks of each size, their variants, and the questions that they answer.

A question compares variants with a reference, each pair from the same people, start, order of samples, flips and
iterations, several times with other seeds. The questions stand in the order in which they are run, the long trainings
last.
"""
import re
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

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


@dataclass(frozen=True)
class Row:
    """A variant's trained network, decoded.

    Attributes:
        variant: A key of :data:`VARIANTS`.
        decode: A key of :data:`accuracy_variants.DECODES`; ``None``: that of the variant's rule.
        claim: What is true if the AP differs from the reference's in the direction of ``sign``.
        sign: 1: the claim says that this row is better than the reference; -1: that it is worse.
        length: How many times the setting's iterations it trains.
    """
    variant: str
    decode: Optional[str] = None
    claim: str = field(default='', compare=False)
    sign: int = field(default=1, compare=False)
    length: float = 1.

    @property
    def decoder(self) -> str:
        return self.decode or VARIANTS[self.variant].rule

    @property
    def title(self) -> str:
        said = VARIANTS[self.variant].title
        if self.length != 1:
            said += f', {self.length:g} times the iterations'
        if self.decode is None:
            return said
        positions, scores = DECODES[self.decode]
        decode = f'{positions} decode' if positions == scores else f'{positions} positions, {scores} scores'
        return f'{said}, {decode}'


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


REFERENCE = Row('official')
BETTER = Row('official', claim="The official rule is better than mmpose's")

IDEAS = (Row('no-mining', claim='Hard keypoint mining helps', sign=-1),
         Row('no-coarse-to-fine', claim='Coarse-to-fine supervision helps', sign=-1),
         Row('no-aggregation', claim='Cross-stage aggregation helps', sign=-1))

QUESTIONS: Dict[str, Question] = {
    'rules': Question(
        "Is the official rule better than mmpose's, and which part of it?", Row('mmpose'),
        (BETTER,
         Row('official', MMPOSE, "The official targets, masks and losses are better, under mmpose's decode"),
         Row('mmpose', OFFICIAL, "The official decode is better, on maps that mmpose's rule has trained"))),
    'decode': Question(
        'Which decode is better on maps that the official rule has trained?', Row('official', MMPOSE),
        (Row('official', claim='The official decode is better, on maps that the official rule has trained'),
         Row('official', OFFICIAL_POSITIONS, "The official positions are better, with mmpose's scores"),
         Row('official', MMPOSE_POSITIONS, "The official scores are better, at mmpose's positions"))),
    'paper': Question("Do the paper's three ideas help?", REFERENCE, IDEAS),
    'stages': Question('What does the second stage bring, at equal iterations?', REFERENCE,
                       (Row('1-stage', claim='Two stages are better than one', sign=-1), )),
    'kernels': Question('Do larger kernels for coarser units help?', REFERENCE,
                        (Row('one-kernel', claim='Larger kernels for coarser units help', sign=-1), )),
    'weights': Question(
        'Do the unit weights matter?', REFERENCE,
        (Row('weights-last', claim='Supervision of the coarse units helps', sign=-1),
         Row('weights-equal', claim='The official unit weights are better than equal ones', sign=-1))),
    'visibility': Question(
        'What should coarse units learn of occluded keypoints?', REFERENCE,
        (Row('labeled', claim='It is better that coarse units learn visible keypoints alone', sign=-1), )),
    'recipe': Question(
        'Which short training is best?', REFERENCE,
        (Row('half-batch', claim='Batches half as large, twice as many, are better', length=2.),
         Row('1-stage', claim='One stage that trains twice as long is better than two', length=2.),
         Row('half-rate', claim='Half the learning rate is better'),
         Row('double-rate', claim='Twice the learning rate is better'))),
    'operations': Question(
        'Are two stages better than a wider one of as many operations?', REFERENCE,
        (Row('1-stage-wide-2', claim='Two stages are better than a wider one of as many operations', sign=-1), )),
    'few': Question("Is the official rule better than mmpose's with few people to learn from?", Row('mmpose'),
                    (BETTER, ), ((0, 0), )),
    'more-stages': Question(
        'What do further stages bring, at equal iterations?', REFERENCE,
        (Row('3-stage', claim='Three stages are better than two'),
         Row('4-stage', claim='Four stages are better than two'))),
    'start': Question(
        "Does the start of the predictors' norms matter?", REFERENCE,
        (Row('start-20', claim="Short trainings gain where the predictors' norms start at the demo's 20"), )),
    'time': Question("Is it better at equal time, each by its own fastest way?", Row('mmpose'),
                     (Row('fast', claim="The official rule is better than mmpose's at equal time"), ),
                     equal_time=True),
    'operations-3': Question(
        'Are three stages better than a wider one of as many operations?', Row('3-stage'),
        (Row('1-stage-wide-3', claim='Three stages are better than a wider one of as many operations', sign=-1), )),
    'operations-4': Question(
        'Are four stages better than a wider one of as many operations?', Row('4-stage'),
        (Row('1-stage-wide-4', claim='Four stages are better than a wider one of as many operations', sign=-1), )),
    'long': Question("Is the official rule better than mmpose's after longer trainings?", Row('mmpose'),
                     (BETTER, ), ((1, 1), (0, 1))),
    'paper-long': Question("Do the paper's three ideas help longer trainings?", REFERENCE, IDEAS, ((1, 1), )),
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
    iterations = round(size.iterations[length] * row.length)
    if question.equal_time and row != question.reference:
        if speed is None:
            raise ValueError(f'part {part} needs the measured speed: run benchmarks/accuracy.py speed first, on a '
                             'quiet machine')
        iterations = round(iterations * speed)
    return Run(scale, row.variant, size.people[people], iterations, seed)


def plan(scale: str, parts: Tuple[str, ...], seeds: Tuple[int, ...], speed: Optional[float] = None) -> List[Run]:
    """All runs of some parts, each once, in the order of :data:`QUESTIONS`.

    All pairs of a row come before those of the next one, so that an interrupted plan leaves rows with all of their
    pairs.
    """
    return list(dict.fromkeys(
        run_of(scale, part, side, setting, seed, speed)
        for part, question in QUESTIONS.items() if part in parts
        for setting in range(len(question.settings)) for row in question.others for seed in seeds
        for side in (question.reference, row)))
