#!/usr/bin/env python3
"""Measure how many people a data worker delivers, with and without kept images, and how many workers GPUs need.

    python benchmarks/data_workers.py [--photographs FOLDER ANN_FILE] [--page docs/performance.md]

Nothing else may run on the machine meanwhile. The pipelines are those of the trainings of the 4-stage network: mmpose's
config, and ours with and without the cache of decoded images. The images are drawn ones of two sizes and, if they are
given, photographs with annotations in COCO's format. The processes that read them are timed when every image has been
read once. It takes about 4 minutes on two cores, writes docs/measured/data_workers.json, and puts two tables into the
page, between the lines ``<!-- data workers -->`` and ``<!-- workers of GPUs -->``.
"""
import argparse
import atexit
import json
import os
import shutil
import statistics
import tempfile
import time
from math import ceil
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

import yaml
from common import CONFIGS, MEASURED, ROOT, cpu_name, fill, measured

OURS, MMPOSES = 'td-hm_4xmspn50_8xb32-96k_coco-256x192.py', 'td-hm_4xmspn50_8xb32-210e_coco-256x192.py'
SIDES = {'mmpose': "mmpose's config", 'ours': 'ours', 'kept': 'ours, images kept'}
DRAWN = {'drawn, 320 × 256': (320, 256), 'drawn, 640 × 480': (640, 480)}
PHOTOGRAPHS = 'photographs'
IMAGES = 200
"""Drawn images of each size: more than the caches of a processor hold."""
BATCH, PEOPLE, SECONDS = 32, 1024, 4.
"""People of a batch, and of an epoch; seconds of a measurement."""
CACHE_GB = 1.

GPU_ROWS = {
    'training, 4 stages, TF32': ('4-stage training step, batch 32', 32),
    'training, 4 stages, bf16': ('4-stage training step, batch 32, bf16 autocast', 32),
    'test, 4 stages, TF32, flip test': ('4-stage prediction, batch 64, flip test, decode', 64),
    'test, 4 stages, bf16, flip test': ('4-stage prediction, batch 64, flip test, decode, bf16', 64),
}
"""Rows of docs/measured/benchmark_gpu.json, and the people of their batch."""
COCO_IMAGES, COCO_BYTES = 57_000, 640 * 480 * 3
"""COCO's training images with labeled keypoints, and bytes of such an image when it is decoded."""
FULL_GB = COCO_IMAGES * COCO_BYTES / 1e9


class Found(NamedTuple):
    """What the workers of a pipeline deliver."""
    cpu_ms: float  # processor time of the workers for a person
    people_s: float  # of all workers


def measure(side: str, workers: int, root: str, ann_file: str, images: str) -> Found:
    """Measure the loader of a side with this many workers, in this process."""
    import torch
    from mmengine.dataset import pseudo_collate
    from mmengine.registry import init_default_scope
    from mmengine.utils import get_installed_path
    from mmpose.registry import DATASETS
    from torch.utils.data import ConcatDataset, DataLoader

    from mmpose_mspn.apis.config import load_config
    from mmpose_mspn.apis.options import use_image_cache
    from mmpose_mspn.datasets import stack_samples
    init_default_scope('mmpose')
    home = Path(get_installed_path('mmpose')) / '.mim' if side == 'mmpose' else ROOT
    cfg = load_config(str(home / CONFIGS / (MMPOSES if side == 'mmpose' else OURS)))
    if side == 'kept':
        folder = tempfile.mkdtemp()
        atexit.register(shutil.rmtree, folder)
        use_image_cache(cfg, folder, CACHE_GB)
    people = DATASETS.build(dict(cfg.train_dataloader.dataset, data_root=root, ann_file=ann_file,
                                 data_prefix=dict(img=images)))
    epoch = ConcatDataset([people] * ceil(PEOPLE / len(people)))
    loader = DataLoader(epoch, BATCH, shuffle=True, num_workers=workers, persistent_workers=True,
                        collate_fn=pseudo_collate if side == 'mmpose' else stack_samples,
                        worker_init_fn=_use_one_thread)
    torch.set_num_threads(1)
    for _ in loader:  # reads every image
        pass
    ids = [worker.pid for worker in loader._iterator._workers]
    start, used, count = time.perf_counter(), sum(map(_cpu_seconds, ids)), 0
    while time.perf_counter() - start < SECONDS:
        for batch in loader:
            count += len(batch['inputs'])
    taken = time.perf_counter() - start
    return Found(1000 * (sum(map(_cpu_seconds, ids)) - used) / count, count / taken)


def _use_one_thread(number: int) -> None:
    """As mmengine does in a training."""
    import cv2
    import torch
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def _cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, system calls included."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def run(side: str, workers: int, files: Tuple[str, str, str]) -> Found:
    """Measure in a new process."""
    return Found(*measured(__file__, '--measure', side, workers, *files))


def draw(folder: str, size: Tuple[int, int]) -> Tuple[str, str, str]:
    """Draw people; folder, annotation file and folder of the images."""
    from mmpose_mspn.synthetic_people import generate
    generate(folder, train=IMAGES, val=1, image_size=size, progress=False)
    return folder, 'annotations/person_keypoints_train2017.json', 'train2017/'


Results = Dict[str, Dict[str, Dict[int, List[Found]]]]
"""By images, side and number of workers."""


def median(found: List[Found]) -> Found:
    return Found(*(statistics.median(values) for values in zip(*found)))


def table(results: Results, workers: List[int]) -> str:
    """The table of what workers deliver."""
    heads = ['images', 'pipeline', 'CPU of a person',
             *(f'people/s, {number} worker{"s" * (number > 1)}' for number in workers)]
    lines = [f'| {" | ".join(heads)} |', f'|{" --- |" * len(heads)}']
    for images, sides in results.items():
        for side, by_number in sides.items():
            found = [median(by_number[number]) for number in workers]
            cells = [images, SIDES[side], f'{found[0].cpu_ms:.2f} ms', *(f'{one.people_s:.0f}' for one in found)]
            lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)


def operations(stages: int) -> int:
    """Multiply-adds of the official network with this many stages for a crop, from the table of models."""
    name = f'td-hm_{"" if stages == 1 else f"{stages}x"}mspn50_8xb32-96k_coco-256x192'
    models = yaml.safe_load((ROOT / CONFIGS / 'metafile.yml').read_text())['Models']
    return next(model['Metadata']['FLOPs'] for model in models if model['Name'] == name)


def gpu_rates(rows: List[dict]) -> List[Tuple[str, float, str]]:
    """Work, people/s of a GPU, and how they are known, from the rows of docs/measured/benchmark_gpu.json."""
    by_name = {row['row']: row['ours'] for row in rows}
    rates = [(work, 1000 * batch / by_name[row], 'measured') for work, (row, batch) in GPU_ROWS.items()]
    four = rates[0][1]
    for stages in (2, 1):
        rates.insert(-2, (f'training, {stages} stage{"s" * (stages > 1)}, TF32',
                          four * operations(4) / operations(stages), 'computed from GFLOPs'))
    return rates


def gpu_table(gpu: str, rates: List[Tuple[str, float, str]], images: str, plain: Found, kept: Found) -> str:
    """The table of the workers that a GPU needs, and that of the hits of a cache of COCO."""
    lines = [f'With workers that deliver {plain.people_s:.0f} people/s, and {kept.people_s:.0f} with kept images (of '
             f'the table above: {images}), one GPU ({gpu}) needs:', '',
             '| work | people/s of a GPU | known | workers of a GPU | with kept images |',
             '| --- | --- | --- | --- | --- |']
    for work, rate, known in rates:
        needed = [str(ceil(rate / one.people_s)) for one in (plain, kept)]
        lines.append(f'| {work} | {rate:.0f} | {known} | {" | ".join(needed)} |')
    lines += ['', f'The share of COCO that a cache holds decides what a person costs (computed from the table above; '
              f'{COCO_IMAGES:,} images of {COCO_BYTES / 1e6:.2f} MB):', '',
              '| `--cache-gb` | images kept | CPU of a person | people/s of a worker |',
              '| --- | --- | --- | --- |']
    for share in (0, .25, .5, 1):
        mixed = [share * b + (1 - share) * a for a, b in ((plain.cpu_ms, kept.cpu_ms),
                                                          (1 / plain.people_s, 1 / kept.people_s))]
        size = f'{ceil(share * FULL_GB)}' if share else 'none'
        lines.append(f'| {size} | {100 * share:.0f} % | {mixed[0]:.2f} ms | {1 / mixed[1]:.0f} |')
    return '\n'.join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--photographs', nargs=2, metavar=('FOLDER', 'ANN_FILE'), help='photographs of people')
    parser.add_argument('--workers', nargs='+', type=int, default=[1, 2], help='numbers of workers')
    parser.add_argument('--rounds', type=int, default=1, help='times that everything is measured, in turns')
    parser.add_argument('--page', type=Path, default=ROOT / 'docs/performance.md', help='page with the tables')
    parser.add_argument('--out', type=Path, default=MEASURED / 'data_workers.json', help='file of all values')
    parser.add_argument('--measure', nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        side, workers, *files = args.measure
        print(json.dumps(measure(side, int(workers), *files)))
        return
    with tempfile.TemporaryDirectory() as folder:
        files = {name: draw(os.path.join(folder, str(size[0])), size) for name, size in DRAWN.items()}
        if args.photographs:
            photographs, ann_file = args.photographs
            files[PHOTOGRAPHS] = (photographs, ann_file, '')
        results: Results = {images: {side: {number: [] for number in args.workers} for side in SIDES}
                            for images in files}
        for _ in range(args.rounds):
            for images, where in files.items():
                for side in SIDES:
                    for number in args.workers:
                        found = run(side, number, where)
                        results[images][side][number].append(found)
                        print(images, side, number, *(f'{value:.2f}' for value in found), flush=True)
    report(args, results)


def report(args: argparse.Namespace, results: Results) -> None:
    """Write the values and the tables."""
    largest = list(results)[-1]
    plain, kept = (median(results[largest][side][min(args.workers)]) for side in ('ours', 'kept'))
    gpu = json.loads((MEASURED / 'benchmark_gpu.json').read_text())
    tables = {'data workers': table(results, args.workers),
              'workers of GPUs': gpu_table(gpu['about']['machine'], gpu_rates(gpu['rows']), largest, plain, kept)}
    args.out.write_text(json.dumps(dict(cpu=cpu_name(), cores=len(os.sched_getaffinity(0)), found=results), indent=1)
                        + '\n', encoding='utf-8')
    for name, text in tables.items():
        print(text, end='\n\n')
        fill(args.page, name, text)


if __name__ == '__main__':
    main()
