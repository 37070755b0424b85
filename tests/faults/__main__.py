"""Injects the faults and writes the page."""
import argparse
import random
import tempfile
from pathlib import Path
from typing import List

import tests.faults
from tests.faults.lab import ITERATIONS, Lab
from tests.faults.rows import Row, full_disk, killed_runs, planted_code, planted_in_training, truncated_files


def table(rows: List[Row]) -> str:
    lines = ['| tried | times | what happened | lost |', '| --- | --- | --- | --- |']
    return '\n'.join(lines + [f'| {row.tried} | {row.times} | {row.seen} | {row.lost} |' for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(prog='python -m tests.faults', description=tests.faults.__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--kills', type=int, default=100, help='number of kills in the first row')
    parser.add_argument('--times', type=int, default=5, help='number of trainings for each other fault')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', default='docs/faults.md', help='file to write')
    args = parser.parse_args()
    draw = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder))
        rows = [
            killed_runs(lab, args.kills, draw),
            planted_in_training(lab, 'kill', args.times, 2, 'SIGKILL of one process of two in a random iteration',
                                draw),
            planted_in_training(lab, 'raise', args.times, 2, 'an error in one process of two', draw),
            planted_in_training(lab, 'nan', args.times, 1, 'a loss that turns NaN in a random iteration', draw),
            full_disk(lab, args.times),
            truncated_files(lab, 200, draw),
            planted_code(lab),
        ]
    page = ('# Faults\n\nFaults in real runs and files, and what was lost. '
            f'A run is {ITERATIONS} iterations of the demo\'s model with a checkpoint after each.\n\n'
            f'`python -m tests.faults --kills {args.kills} --times {args.times} --seed {args.seed}` '
            f'writes this page.\n\n{table(rows)}\n')
    Path(args.out).write_text(page)
    print(page)


if __name__ == '__main__':
    main()
