#!/usr/bin/env python3
"""Write docs/models.md, model-index.yml and the configs' metafiles from the configs and configs/published.yml."""
import argparse
from pathlib import Path

import mmpose_mspn  # noqa: F401  applies compatibility fixes
from mmpose_mspn.apis.model_table import write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--root', type=Path, default=Path(__file__).parents[1], help='folder of the repository')
    args = parser.parse_args()
    for path in write(args.root.resolve()):
        print(path)


if __name__ == '__main__':
    main()
