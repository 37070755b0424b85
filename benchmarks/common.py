"""What several benchmarks share: places, processes of their own, pages with tables, and paired differences."""
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Sequence

from scipy.stats import t as student

ROOT = Path(__file__).parents[1]
CONFIGS = 'configs/body_2d_keypoint/topdown_heatmap/coco'
"""Folder of the configs for COCO below :data:`ROOT`, and below mmpose's own folder as well."""
DEMO = ROOT / CONFIGS / 'td-hm_2xmspn18-small_1xb16-demo_coco-128x96.py'
"""The config of ``make demo``."""
MEASURED = ROOT / 'docs/measured'
"""Folder of what benchmarks measured, as JSON, and of the pictures made from it."""


def measured(script: str, *arguments: object, environment: Optional[Dict[str, str]] = None) -> object:
    """Run a script in a new interpreter, and return what it measures: the last line that it prints, as JSON.

    Args:
        script: Its path.
        arguments: Its command line.
        environment: All environment variables; ``None``: those of this process.

    Raises:
        RuntimeError: It failed; the message ends with what it wrote to stderr.
    """
    done = subprocess.run([sys.executable, script, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True,
                          env=dict(os.environ if environment is None else environment, PYTHONWARNINGS='ignore'))
    if done.returncode:
        raise RuntimeError(f'{script} {" ".join(map(str, arguments))} failed:\n{done.stderr[-3000:]}')
    return json.loads(done.stdout.strip().splitlines()[-1])


def cpu_name() -> str:
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(':')[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor() or platform.machine()


def machine(device: str) -> Dict[str, object]:
    """The machine and the versions of a measurement on a device."""
    import mmcv
    import mmpose
    import torch
    name = torch.cuda.get_device_name() if device != 'cpu' else cpu_name()
    return dict(machine=name, threads=torch.get_num_threads(), torch=torch.__version__, mmpose=mmpose.__version__,
                mmcv=mmcv.__version__, python=platform.python_version())


def listed(about: Dict[str, object]) -> str:
    """Names and values in a line, such as ``threads 2, torch 2.13.0``."""
    return ', '.join(f'{name} {value}' for name, value in about.items())


def fill(page: Path, name: str, text: str) -> None:
    """Put a text between a page's two lines ``<!-- name -->``.

    Raises:
        ValueError: The page does not have two such lines.
    """
    mark = f'<!-- {name} -->'
    content = page.read_text(encoding='utf-8')
    filled, count = re.subn(rf'({mark}\n).*?({mark})', lambda match: f'{match[1]}{text}\n{match[2]}', content,
                            flags=re.S)
    if count != 1:
        raise ValueError(f'{page} needs two lines {mark}, between which the table is put')
    page.write_text(filled, encoding='utf-8')


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
