#!/usr/bin/env python3
"""Time this package against mmpose's own MSPN, side by side in one process.

    python benchmarks/compare.py [--rounds 7] [--device cpu] [--only WORD] [--out benchmarks/results]

The two sides of a row take turns, so that a machine whose speed drifts slows both. Each row first checks that both
compute the same, or says why they cannot. Quote the ratios: seconds depend on the machine.
"""
import argparse
import json
import platform
import statistics
import time
from pathlib import Path
from typing import Callable, List

import torch
from mmengine.registry import init_default_scope
from rows import ROWS, Row

import mmpose_mspn  # noqa: F401  mends the stack


def seconds(work: Callable[[], object], device: str) -> float:
    if device != 'cpu':
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device != 'cpu':
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(row: Row, rounds: int, device: str) -> dict:
    """Medians of both sides and of the ratio, turn by turn."""
    pair = row.make(device)
    note = pair.check()
    for work in (pair.ours, pair.theirs):  # warm-up
        work()
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(seconds(pair.ours, device))
        theirs.append(seconds(pair.theirs, device))
    ratios = [b / a for a, b in zip(ours, theirs)]
    return dict(
        row=row.name, ours_ms=1000 * statistics.median(ours), mmpose_ms=1000 * statistics.median(theirs),
        ratio=statistics.median(ratios), ratio_min=min(ratios), ratio_max=max(ratios), same=note)


def table(results: List[dict]) -> str:
    lines = ['| row | ours, ms | mmpose, ms | ratio (min-max) | the same result? |', '| --- | --- | --- | --- | --- |']
    for r in results:
        lines.append(f"| {r['row']} | {r['ours_ms']:.1f} | {r['mmpose_ms']:.1f} | **{r['ratio']:.2f}×** "
                     f"({r['ratio_min']:.2f}-{r['ratio_max']:.2f}) | {r['same']} |")
    return '\n'.join(lines)


def machine(device: str) -> dict:
    import mmcv
    import mmpose
    name = torch.cuda.get_device_name() if device != 'cpu' else platform.processor() or platform.machine()
    return dict(device=name, threads=torch.get_num_threads(), torch=torch.__version__, mmpose=mmpose.__version__,
                mmcv=mmcv.__version__, python=platform.python_version())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=7, help='turns of each row, >= 1')
    parser.add_argument('--device', default='cpu', help='cpu or cuda')
    parser.add_argument('--only', default='', help='rows whose name holds this word')
    parser.add_argument('--out', default='benchmarks/results', help='path without suffix of the table and the JSON')
    args = parser.parse_args()
    init_default_scope('mmpose')
    torch.manual_seed(0)
    results = []
    for row in ROWS:
        if args.only in row.name:
            results.append(measure(row, args.rounds, args.device))
            print(table(results[-1:]).splitlines()[-1], flush=True)
    about = dict(machine(args.device), rounds=args.rounds)
    out = Path(args.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix('.json').write_text(json.dumps(dict(about=about, rows=results), indent=2))
    out.with_suffix('.md').write_text(f"{about}\n\n{table(results)}\n")
    print(f'\n{about}\n\n{table(results)}')


if __name__ == '__main__':
    main()
