"""Run every config with the command lines: tools/train.py, then tools/test.py with its checkpoint.

    python -m tests.run_every_config [--only WORD] [--work-dir DIR]

The data are generated in each config's format; a training has two or three steps of batch 2. A config takes about half
a minute, so this is not part of the test suite, whose test_configs.py runs a step of every config in one process.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List, Tuple

from mmengine.config import Config
from tqdm import tqdm

from mmpose_mspn.apis.command_line import ToolParser, run_tool
from mmpose_mspn.utils.arguments import near_matches
from tests.generated import make_datasets
from tests.places import ROOT
from tests.tools import load_tool

config_paths = load_tool('make_model_table').config_paths
# Trained by another config, whose checkpoint they test.
TESTED_WITH = {
    'td-hm_4xmspn50_8xb32-29k_mpii-test-256x256': 'td-hm_4xmspn50_8xb32-29k_mpii-256x256',
    'td-hm_4xmspn50_8xb32-96k_coco-test-dev-384x288': 'td-hm_4xmspn50_8xb32-96k_coco-384x288',
}


def loader_options(cfg: Config) -> List[str]:
    names = [name for name in ('train_dataloader', 'val_dataloader', 'test_dataloader') if cfg.get(name)]
    return [f'{name}.{option}' for name in names
            for option in ('batch_size=2', 'num_workers=0', 'persistent_workers=False')]


def train(path: Path, cfg: Config, data: Path, work_dir: Path) -> Path:
    """Train for two iterations or one epoch, validate, and return the checkpoint."""
    options = loader_options(cfg)
    if cfg.train_cfg.get('by_epoch', True):
        options += ['train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'default_hooks.checkpoint.interval=1']
    else:
        options += ['train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'default_hooks.checkpoint.interval=2']
    run('train', path, '--data-root', data, '--work-dir', work_dir, '--cfg-options', 'model.backbone.init_cfg=None',
        *options)
    return Path((work_dir / 'last_checkpoint').read_text())


def test(path: Path, cfg: Config, data: Path, work_dir: Path, checkpoints: Dict[str, Path]) -> dict:
    """Return the metrics of tools/test.py."""
    options = loader_options(cfg)
    arguments = []
    for number, member in enumerate(cfg.model.get('members', [])):
        options.append(f'model.members.{number}.checkpoint={checkpoints[Path(member.config).stem]}')
    if 'members' not in cfg.model:
        arguments = [checkpoints[TESTED_WITH.get(path.stem, path.stem)]]
    out = work_dir / 'metrics.json'
    for name in ('outfile_prefix', 'outfile'):
        if name in cfg.test_evaluator:
            options.append(f'test_evaluator.{name}={work_dir / Path(cfg.test_evaluator[name]).name}')
    run('test', path, *arguments, '--data-root', data, '--work-dir', work_dir, '--out', out, '--cfg-options', *options)
    return json.loads(out.read_text())


def run(tool: str, *arguments: object) -> None:
    done = subprocess.run(
        [sys.executable, f'tools/{tool}.py', *map(str, arguments)], cwd=ROOT, capture_output=True, text=True,
        env=dict(os.environ, PYTHONWARNINGS='ignore'))
    if done.returncode:
        raise RuntimeError(f'tools/{tool}.py {arguments[0]} failed:\n{done.stdout[-1000:]}{done.stderr[-3000:]}')


def order(path: Path) -> Tuple[bool, bool, str]:
    """Sorting key that puts configs which test the checkpoints of others last."""
    cfg = Config.fromfile(str(path))
    return 'members' in cfg.model, path.stem in TESTED_WITH, str(path)


def selected(only: str) -> List[Path]:
    """The configs whose names contain a word, in the order in which they are run.

    Raises:
        ValueError: There are none.
    """
    paths = sorted((path for path in config_paths(ROOT) if only in path.stem), key=order)
    if not paths:
        names = {'_'.join(path.stem.split('_')[:2]) for path in config_paths(ROOT)}
        raise ValueError(f'--only {only}: no config has a name with it{near_matches(only, names)}')
    return paths


def main() -> None:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', default='', help='run the configs whose names contain this word')
    parser.add_argument('--work-dir', help='folder for data and checkpoints; default: a temporary folder')
    args = parser.parse_args()
    paths = selected(args.only)
    with tempfile.TemporaryDirectory() as temporary:
        work_dir = Path(args.work_dir or temporary)
        people = make_datasets(work_dir / 'people')
        checkpoints: Dict[str, Path] = {}
        failures = 0
        for path in tqdm(paths, 'configs'):
            cfg = Config.fromfile(str(path))
            folder, data = work_dir / path.stem, people[Path(cfg.data_root).name]
            folder.mkdir()
            start = time.perf_counter()
            try:
                if cfg.get('train_dataloader') and path.stem not in TESTED_WITH:
                    checkpoints[path.stem] = train(path, cfg, data, folder)
                metrics = test(path, cfg, data, folder, checkpoints)
            except (RuntimeError, OSError, KeyError) as error:
                failures += 1
                tqdm.write(f'| {path.stem} | FAILED: {error} |')
                continue
            shown = next((f'{name} {value:.3f}' for name, value in metrics.items()), 'submission written')
            tqdm.write(f'| {path.stem} | {time.perf_counter() - start:.0f} s | {shown} |')
    raise SystemExit(failures and f'{failures} configs failed')


if __name__ == '__main__':
    run_tool(main)
