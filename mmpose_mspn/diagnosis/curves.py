"""Losses, accuracy and metrics of a training, from the log that its runner left."""
import json
from pathlib import Path
from typing import Dict, List, Sequence, Union

from mmpose_mspn.utils.numbers import is_finite

LOG = '*/vis_data/scalars.json'
"""Where runners of mmengine leave it below the work folder, one file a start."""
MOST_POINTS = 400
"""Points of a curve; longer ones are thinned evenly."""


def find_logs(work_dir: Union[str, Path]) -> List[Path]:
    """The logs in the work folder of a run, oldest first."""
    return sorted(Path(work_dir).glob(LOG))


def read_curves(logs: Sequence[Path]) -> Dict[str, dict]:
    """Curves by name.

    A run that was resumed has several logs; where they overlap, the later one holds. Lines that end early, as after a
    crash, are passed over. Metrics go with the training step before them, since mmengine may log them by epoch.

    Returns:
        ``step`` and ``value``, lists of equal length, of everything with ``loss`` in its name, of ``acc_pose``, ``lr``
        and of what metrics measured (``coco/AP``).
    """
    values: Dict[str, Dict[int, float]] = {}
    for log in logs:
        trained = None
        for line in log.read_text(encoding='utf-8', errors='replace').splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            step = entry.get('step') if isinstance(entry, dict) else None
            if not is_finite(step):
                continue
            if 'lr' in entry:
                trained = step
            elif trained is not None:
                step = trained
            for name, value in entry.items():
                if is_finite(value) and _is_curve(name):
                    values.setdefault(name, {})[int(step)] = float(value)
    return {name: _thinned(by_step) for name, by_step in values.items()}


def _is_curve(name: str) -> bool:
    return 'loss' in name or '/' in name or name in ('acc_pose', 'lr')


def _thinned(by_step: Dict[int, float]) -> dict:
    steps = sorted(by_step)
    every = -(-len(steps) // MOST_POINTS)
    # The last point stays, wherever thinning begins.
    steps = steps[::-1][::every][::-1]
    return dict(step=steps, value=[by_step[step] for step in steps])
