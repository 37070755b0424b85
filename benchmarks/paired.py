"""Differences between pairs of trainings, with their confidence intervals."""
import math
import statistics
from dataclasses import dataclass
from typing import Optional, Sequence

from scipy.stats import t as student

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and half the width of its confidence interval by Student's t; ``half`` is ``None`` of a single value."""
    mean: float
    half: Optional[float]

    @classmethod
    def of(cls, values: Sequence[float]) -> 'Interval':
        mean = statistics.fmean(values)
        if len(values) < 2:
            return cls(mean, None)
        quantile = student.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
        return cls(mean, float(quantile * statistics.stdev(values) / math.sqrt(len(values))))

    @property
    def clear(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.half is not None and abs(self.mean) > self.half

    def said(self, decimals: int) -> str:
        """For a table, such as ``+0.021 ± 0.024``; bold where the interval leaves 0 out."""
        text = f'{self.mean:+.{decimals}f}'
        if self.half is not None:
            text += f' ± {self.half:.{decimals}f}'
        return f'**{text}**' if self.clear else text
