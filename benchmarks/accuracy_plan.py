"""What benchmarks/accuracy.py trains: a table of the questions that variants answer.

A question compares variants with a reference, each pair from the same people, start, order of samples, flips and
iterations, several times with other seeds. The questions stand in the order in which they are run, the long trainings
last.
"""
import re
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

from accuracy_variants import (
    DECODES,
    MMPOSE,
    MMPOSE_POSITIONS,
    OFFICIAL,
    OFFICIAL_POSITIONS,
    SCALES,
    VARIANTS,
)


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
