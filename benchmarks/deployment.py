#!/usr/bin/env python3
"""Measure what docs/deploy.md says about exported models, and write the table into that page.

    python benchmarks/deployment.py [--only WORD] [--rounds 5] [--demo work_dirs/demo/iter_1800.pth]

The engines of a row predict in turns, so that changes in the speed of the machine affect all of them, and are compared
with our network as PyTorch runs it. ``--demo`` is the checkpoint of ``make demo``, whose accuracy is measured in int8.
It takes about 10 minutes on two cores. Rows: speed, process, size, accuracy.
"""
import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Callable, Dict, List
from unittest.mock import patch

import mmengine
import numpy as np
import torch
from common import CONFIGS, DEMO, MEASURED, ROOT, fill, listed, machine
from mmengine.registry import init_default_scope
from peers import FLIP, INPUT, our_model, samples
from timing import seconds

import mspn_runtime
from mmpose_mspn import accelerate
from mmpose_mspn.apis.config import load_config
from mmpose_mspn.apis.export import export_checkpoint
from mmpose_mspn.deploy.pictures import pictures_of_config

PAGE, JSON = ROOT / 'docs/deploy.md', MEASURED / 'deployment.json'
TESTED = ROOT / CONFIGS / 'td-hm_2xmspn50_8xb32-96k_coco-256x192.py'
PICTURE = 'data/synthetic/val2017/000000000001.jpg'
SHAPES = [(2, 1), (2, 8), (4, 8)]
"""Stages and people of the rows of speed."""
GOALS = {'onnxruntime int8': 3.8, 'OpenVINO bf16': 2.7, 'OpenVINO int8': 4.5}
"""Lowest ratio to PyTorch as built."""
AS_ACCELERATE = ('onnxruntime fp32', 'OpenVINO fp32')
"""Engines whose goal is the ratio of ``accelerate``."""


def engines(stages: int) -> Dict[str, torch.nn.Module]:
    """Return the ways to predict by the same network with this many stages."""
    model = our_model(stages).eval()
    model.dataset_meta = dict(flip_indices=FLIP)
    crops = torch.randint(0, 256, (16, 3, INPUT[1], INPUT[0]), dtype=torch.uint8)
    return {
        'PyTorch as built': model,
        'accelerate': accelerate(model),
        'accelerate bf16': accelerate(model, torch.bfloat16),
        'onnxruntime fp32': accelerate(model, backend='onnxruntime'),
        'onnxruntime int8': accelerate(model, backend='onnxruntime', precision='int8', calibration=crops),
        'OpenVINO fp32': accelerate(model, backend='openvino'),
        'OpenVINO bf16': accelerate(model, backend='openvino', precision='bf16'),
        'OpenVINO int8': accelerate(model, backend='openvino', precision='int8', calibration=crops)}


def speed(rounds: int) -> List[dict]:
    """Return the ms and the ratio to PyTorch as built of every engine and shape."""
    found = []
    for stages in dict.fromkeys(stages for stages, _ in SHAPES):
        models = engines(stages)
        for people in (people for other, people in SHAPES if other == stages):
            found += speed_of(models, stages, people, rounds)
        del models
        gc.collect()  # the buffers of all engines of 2 and of 4 stages are more than 24 GB
    return found


def speed_of(models: Dict[str, torch.nn.Module], stages: int, people: int, rounds: int) -> List[dict]:
    """Return the ms and the ratio to PyTorch as built of every engine, in turns."""
    images = torch.randn(people, 3, INPUT[1], INPUT[0])

    def work(model: torch.nn.Module) -> Callable[[], object]:
        def predict() -> object:
            with torch.no_grad():
                return model.predict(images, samples(people))
        return predict

    works = {name: work(model) for name, model in models.items()}
    taken: Dict[str, List[float]] = {name: [] for name in works}
    for _ in range(2):
        for one in works.values():
            one()
    for _ in range(rounds):
        for name, one in works.items():
            taken[name].append(1000 * seconds(one, 'cpu'))
    ratios = {name: [before / now for before, now in zip(taken['PyTorch as built'], times)]
              for name, times in taken.items()}
    found = []
    for name, times in taken.items():
        ratio = statistics.median(ratios[name])
        found.append(dict(row=f'{stages} stages, {people} people: {name}', unit='ms', value=statistics.median(times),
                          ratio=ratio, spread=[min(ratios[name]), max(ratios[name])]))
        if name in GOALS:
            found[-1].update(goal=f'≥ {GOALS[name]:g}×', reached=ratio >= GOALS[name])
        if name in AS_ACCELERATE:
            found[-1].update(goal='not slower than accelerate',
                             reached=ratio >= statistics.median(ratios['accelerate']))
        print(found[-1], flush=True)
    return found


def environment(folder: Path) -> Path:
    """Install what the runtime needs into a folder, and return it."""
    if not (folder / 'onnxruntime').exists():
        pinned = [line for line in (ROOT / 'requirements/pinned.txt').read_text().splitlines()
                  if line.split('==')[0] in ('numpy', 'pillow', 'onnxruntime')]
        subprocess.run([sys.executable, '-m', 'pip', 'install', '-q', '--target', str(folder), *pinned], check=True)
    return folder


def megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) / 1e6


def size(packages: Path) -> List[dict]:
    """Return the installed size of the runtime's packages and of this environment."""
    ours, theirs = megabytes(environment(packages)), megabytes(Path(mmengine.__file__).parents[1])
    return [dict(row="packages of the runtime, against this environment's", unit='MB', value=ours, ratio=theirs / ours,
                 goal='≤ 200 MB', reached=ours <= 200)]


def process(packages: Path, folder: Path, rounds: int) -> List[dict]:
    """Return the seconds and the peak memory of a process that predicts one picture, ours against tools/infer.py."""
    checkpoint, model = folder / 'two.pth', folder / 'two.onnx'
    init_default_scope('mmpose')
    torch.save(dict(state_dict=our_model(2).state_dict(), meta={}), checkpoint)
    export(TESTED, checkpoint, model, 'int8', check=False)
    commands = dict(
        runtime=[sys.executable, '-S', str(ROOT / 'mspn_runtime.py'), str(model), PICTURE, '--out',
                 str(folder / 'found.json')],
        infer=[sys.executable, '-W', 'ignore', 'tools/infer.py', PICTURE, str(TESTED), str(checkpoint), '--out',
               str(folder / 'inferred')])
    environments = dict(runtime=dict(os.environ, PYTHONPATH=str(environment(packages))), infer=dict(os.environ))
    taken: Dict[str, List[tuple]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            taken[name].append(run(command, environments[name]))
    (ours, memory), (theirs, their_memory) = (
        [statistics.median(values) for values in zip(*taken[name])] for name in ('runtime', 'infer'))
    note = f'one picture, whole process, 2 stages, int8, against tools/infer.py ({theirs:.1f} s, {their_memory:.0f} MB)'
    return [dict(row=note, unit='s', value=ours, ratio=theirs / ours, goal='≥ 10×', reached=theirs / ours >= 10),
            dict(row='its peak memory', unit='MB', value=memory, ratio=their_memory / memory, goal='≤ 250 MB',
                 reached=memory <= 250)]


MEASURE = """
import os, sys, time
start = time.perf_counter()
_, status, usage = os.wait4(os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:]), 0)
print()
print(time.perf_counter() - start, usage.ru_maxrss * 1024 / 1e6)
sys.exit(status != 0)
"""
"""Runs a command and prints its seconds and its peak memory in MB. It is a small process of its own, because Linux
counts the memory of the process that starts a command as the command's."""


def run(command: List[str], environment: Dict[str, str]) -> tuple:
    """Return the seconds and the peak memory in MB of a process."""
    done = subprocess.run([sys.executable, '-S', '-c', MEASURE, *command], cwd=ROOT, env=environment, check=True,
                          stdout=subprocess.PIPE, text=True)
    return tuple(map(float, done.stdout.split('\n')[-2].split()))


def export(config: Path, checkpoint: Path, path: Path, precision: str, check: bool = True) -> None:
    """Export a checkpoint; ``check=False`` keeps the file of an untrained network, whose keypoints int8 moves far."""
    module = sys.modules['mmpose_mspn.deploy.export']  # the package has the function under this name
    with nullcontext() if check else patch.object(module, 'LEAST_CLOSE', 0.):
        export_checkpoint(str(config), str(checkpoint), str(path), precision=precision)


def accuracy(demo: Path, folder: Path) -> List[dict]:
    """Return the AP of the demo's model in both precisions, and how far int8 moves its confident keypoints."""
    found, people = {}, pictures_of_config(load_config(str(DEMO)), 'test', 10**6)
    for precision in ('fp32', 'int8'):
        path = folder / f'demo-{precision}.onnx'
        export(DEMO, demo, path, precision)
        subprocess.run([sys.executable, '-W', 'ignore', 'tools/test.py', DEMO, path, '--work-dir', folder, '--out',
                        folder / 'metrics.json'], cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        pose = mspn_runtime.Pose(path)
        found[precision] = (json.loads((folder / 'metrics.json').read_text())['coco/AP'],
                            np.concatenate([pose(image, boxes) for image, boxes in people]))
    (before, exact), (after, moved) = found['fp32'], found['int8']
    _, sizes = mspn_runtime.box_regions(np.concatenate([boxes for _, boxes in people]), pose.metadata['box_padding'],
                                        pose.input_size)
    distance = np.linalg.norm(exact[..., :2] - moved[..., :2], axis=-1) * pose.input_size[0] / sizes[:, :1]
    close = float((distance[exact[..., 2] > 0.7] < 1).mean())
    return [dict(row="AP of the demo's model in int8", unit='', value=after,
                 goal=f'within 0.005 of fp32 ({before:.4f})', reached=abs(after - before) <= 0.005),
            dict(row='its confident keypoints that int8 moves by less than 1 px of the crop', unit='%',
                 value=100 * close, goal='≥ 93 %', reached=close >= 0.93)]


def line(one: dict) -> str:
    ratio = f'{one["ratio"]:.2f}×' if one.get('ratio') else ''
    ratio += f' ({one["spread"][0]:.2f}-{one["spread"][1]:.2f})' if one.get('spread') else ''
    goal = f'{one["goal"]}: {"yes" if one["reached"] else "no"}' if one.get('goal') else ''
    form = '.4f' if not one['unit'] else '.3g' if one['value'] < 1 else '.1f'
    value = f'{one["value"]:{form}} {one["unit"]}'.rstrip()
    return f'| {one["row"]} | {value} | {ratio} | {goal} |'


def write(about: dict, results: List[dict]) -> None:
    """Write the JSON file and the table of the page; rows that were not measured this time stay."""
    if JSON.exists():
        known = {one['row']: one for one in json.loads(JSON.read_text())['rows']}
        results = list({**known, **{one['row']: one for one in results}}.values())
    JSON.write_text(json.dumps(dict(about=about, rows=results), indent=2))
    table = '\n'.join([listed(about), '', '| what | value | ratio (min-max of turns) | goal |',
                       '| --- | --- | --- | --- |', *map(line, results)])
    fill(PAGE, 'table', f'\n{table}\n')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', default='', help='measure only the rows of this name')
    parser.add_argument('--rounds', type=int, default=5, help='number of turns, >= 1')
    parser.add_argument('--demo', type=Path, default=Path('work_dirs/demo/iter_1800.pth'),
                        help='checkpoint of make demo')
    args = parser.parse_args()
    init_default_scope('mmpose')
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as temporary:
        folder, packages = Path(temporary), Path(temporary) / 'packages'
        rows = dict(speed=lambda: speed(args.rounds), process=lambda: process(packages, folder, args.rounds),
                    size=lambda: size(packages), accuracy=lambda: accuracy(args.demo, folder))
        results = [one for name, measure in rows.items() if args.only in name for one in measure()]
    about = machine('cpu')
    write(about, results)
    print('\n'.join(map(line, results)))


if __name__ == '__main__':
    main()
