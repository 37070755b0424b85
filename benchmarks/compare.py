#!/usr/bin/env python3
"""Compare the speed and the memory of this package with those of mmpose's own MSPN.

    python benchmarks/compare.py [--rounds 5] [--device cpu] [--only WORD] [--official DIR] [--out docs/benchmark.md]

The sides of a row are measured in turns, so that changes in the speed of the machine affect all of them. Each row first
checks that the sides compute the same result, or states the difference and its reason. Ratios are comparable between
machines, seconds are not. ``--official`` adds the network of the official code, from a clone of its repository. The
whole table takes about 25 minutes on two cores. On a GPU, cuDNN computes float32 convolutions of both sides in TF32, as
is torch's default, except in the checks.
"""
import argparse
import json
from pathlib import Path
from typing import List

import torch
from ceiling import PREDICTION, efficiency
from common import MEASURED, ROOT, listed, machine
from mmengine.registry import init_default_scope
from peers import Official
from processes import GPU_PROCESS_ROWS, PROCESS_ROWS
from rows import GPU_ROWS, PICTURE_ROWS, ROWS

import mmpose_mspn  # noqa: F401  applies compatibility fixes


def reached(result: dict) -> str:
    """Return the cell with the goal of a row and whether it is reached."""
    if result['goal'] is None:
        return ''
    good = result['ratio'] >= result['goal'] if result['goal'] > 1 else result['ratio'] <= result['goal']
    return f"{'≥' if result['goal'] > 1 else '≤'} {result['goal']:g}: {'yes' if good else 'no'}"


def line(r: dict) -> str:
    spread = f" ({r['ratio_min']:.2f}-{r['ratio_max']:.2f} of {r['rounds']})" if 'rounds' in r else ''
    official = f"{r['official']:.1f}" if 'official' in r else ''
    return (f"| {r['row']} | {r['unit']} | {r['ours']:.1f} | {r['mmpose']:.1f} | {official} | "
            f"**{r['ratio']:.2f}×**{spread} | {reached(r)} | {r['same']} |")


def table(results: List[dict]) -> str:
    return '\n'.join(['| row | unit | ours | mmpose | official | ratio to mmpose (min-max of turns) | goal | '
                      'the same result? |',
                      '| --- | --- | --- | --- | --- | --- | --- | --- |', *map(line, results)])


def save(page: Path, record: Path, about: dict, results: List[dict], share: dict) -> None:
    """Write the table and the JSON file, after every row, so that an interrupted run keeps its rows."""
    record.write_text(json.dumps(dict(about=about, rows=results, efficiency=share), indent=2))
    page.write_text('\n\n'.join([listed(about), table(results), *share.values()]) + '\n')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=5, help='number of turns of each row, >= 1')
    parser.add_argument('--device', default='cpu', help='cpu or cuda')
    parser.add_argument('--only', default='', help='measure only the rows with this word in their names')
    parser.add_argument('--official', metavar='DIR', help='clone of megvii-detection/MSPN')
    parser.add_argument('--out', type=Path, default=ROOT / 'docs/benchmark.md', help='page with the table')
    parser.add_argument('--json', type=Path, help='file of all values (default: of that name in docs/measured)')
    args = parser.parse_args()
    init_default_scope('mmpose')
    torch.manual_seed(0)
    official = Official(args.official) if args.official else None
    about = machine(args.device)
    print(about)
    rows = [*ROWS, *PICTURE_ROWS, *PROCESS_ROWS] if args.device == 'cpu' else [
        *ROWS, *GPU_ROWS, *GPU_PROCESS_ROWS, *PICTURE_ROWS]
    record = args.json or MEASURED / f'{args.out.stem}.json'
    for file in (args.out, record):
        file.parent.mkdir(parents=True, exist_ok=True)
    known, share = {}, {}
    if args.only and record.exists():
        before = json.loads(record.read_text())
        known, share = {result['row']: result for result in before['rows']}, before['efficiency']
    for row in rows:
        if args.only in row.name:
            known[row.name] = row.measure(args.rounds, args.device, official)
            print(line(known[row.name]), flush=True)
            save(args.out, record, about, [known[row.name] for row in rows if row.name in known], share)
    if args.device == 'cpu' and args.only in PREDICTION:
        share = efficiency(args.rounds, args.device)
    save(args.out, record, about, [known[row.name] for row in rows if row.name in known], share)
    print(args.out.read_text())


if __name__ == '__main__':
    main()
