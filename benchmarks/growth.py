#!/usr/bin/env python3
"""Plot the time and the peak memory of a prediction and of a training step against the size of the model and its input.

    python benchmarks/growth.py [--out docs/measured/growth]

Each point is measured in a separate process on the CPU in float32. The base is the 1-stage network at 256×192, batch 8,
17 keypoints, of which each column changes one number. It takes about 8 minutes on two cores.
"""
import argparse
import json
import statistics
from pathlib import Path
from typing import Dict, List

import matplotlib
import torch
from common import MEASURED, measured
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from peers import FLIP, our_model, samples
from processes import peak_gb
from rows import step
from timing import seconds
from tqdm import tqdm

from mmpose_mspn import accelerate

BASE = dict(stages=1, batch=8, width=192, keypoints=17)
SWEEPS: Dict[str, List[int]] = dict(
    stages=[1, 2, 3, 4], batch=[1, 4, 16, 64], width=[96, 192, 288], keypoints=[17, 68, 133])
"""Values of each number. The height of the input is 4/3 of its width."""


def point(stages: int, batch: int, width: int, keypoints: int) -> dict:
    """Measure the seconds and the GB of an accelerated prediction (flip test, decode) and of a training step."""
    init_default_scope('mmpose')
    size = (width, width * 4 // 3)
    model = our_model(stages, size, keypoints)
    images = torch.randn(batch, 3, *size[::-1])
    people = samples(batch)
    for sample in people:
        sample.set_metainfo(dict(flip_indices=(FLIP if keypoints == 17 else list(range(keypoints)))))
        sample.gt_instance_labels = InstanceData(
            keypoint_labels=torch.rand(1, keypoints, 2) * width, keypoints_visible=torch.full((1, keypoints), 2.))
    fast = accelerate(model)

    def predict() -> None:
        with torch.no_grad():
            fast.predict(images, people)

    predict()
    predicted = statistics.median(seconds(predict, 'cpu') for _ in range(3))
    prediction_gb = peak_gb()
    model.to(memory_format=torch.channels_last)
    work = step(model, images, people, amp=False, fused=True)
    work()
    return dict(predict_s=predicted, predict_gb=prediction_gb, train_s=seconds(work, 'cpu'), train_gb=peak_gb())


def plot(found: Dict[str, Dict[int, dict]], path: Path) -> None:
    matplotlib.use('Agg')
    from matplotlib import pyplot as plt
    figure, axes = plt.subplots(2, len(SWEEPS), figsize=(14, 6), squeeze=False)
    for column, (name, points) in enumerate(found.items()):
        for row, (unit, what) in enumerate((('s', 'seconds'), ('gb', 'peak memory, GB'))):
            axis = axes[row][column]
            for kind, label in (('predict', 'prediction, accelerated'), ('train', 'training step')):
                axis.plot(list(points), [one[f'{kind}_{unit}'] for one in points.values()], 'o-', label=label)
            axis.set(xlabel='input width, px' if name == 'width' else name, ylabel=what, ylim=(0, None))
            axis.set_xticks(list(points))
            axis.grid(alpha=0.3)
    axes[0][0].legend()
    figure.suptitle('MSPN, float32 on the CPU; by default 1 stage, batch 8, 256×192, 17 keypoints')
    figure.tight_layout()
    figure.savefig(path, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=MEASURED / 'growth',
                        help='path of the plot and the JSON file without suffix')
    parser.add_argument('--point', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.point:
        print(json.dumps(point(**json.loads(args.point))))
        return
    found: Dict[str, Dict[int, dict]] = {}
    for name, value in tqdm([(name, value) for name, values in SWEEPS.items() for value in values]):
        found.setdefault(name, {})[value] = measured(__file__, '--point', json.dumps({**BASE, name: value}))
    args.out.with_suffix('.json').write_text(json.dumps(found, indent=2))
    plot(found, args.out.with_suffix('.png'))


if __name__ == '__main__':
    main()
