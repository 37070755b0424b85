"""The model table: what each config is, costs and reaches, and the command that starts it.

Made from the configs and ``configs/published.yml``; written as ``docs/models.md`` and, for OpenMMLab's ``mim``, as
``model-index.yml`` and ``configs/**/metafile.yml``.
"""
import json
import os.path as osp
import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

import torch
import yaml
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS as MMPOSE_MODELS
from torch import Tensor, nn

from mmpose_mspn.apis.config import SYNTHETIC_ROOT

SECTIONS = {
    'coco': 'COCO', 'mpii': 'MPII', 'crowdpose': 'CrowdPose', 'coco-wholebody': 'COCO-WholeBody'
}
"""Folder of a config: heading of its table, and the data's name."""
PAPERS = {
    'MSPN': ('Rethinking on Multi-Stage Networks for Human Pose Estimation', 'https://arxiv.org/abs/1901.00148'),
    'CPN': ('Cascaded Pyramid Network for Multi-Person Pose Estimation', 'https://arxiv.org/abs/1711.07319'),
}
UNTRAINED = 'not trained here'
ABOUT = '''# Models

Every config, what it costs and what is published for it. `python tools/make_model_table.py` makes this page.

- Parameters and GFLOPs: the whole network, all predictors, one crop, counted by mmengine (a multiply-add is one).
  Prediction leaves out all predictors but the last.
- Published: by others, with their source. Here: our own run.
- Start: run in the repository's root. `--data-root` names the folder of the data ([data.md](data.md)).'''


class Row(NamedTuple):
    """A config of the table."""
    name: str
    path: str  # from the repository's root
    title: str
    input_size: Tuple[int, int]  # (w, h) in px
    published: str
    here: str
    command: str
    parameters: int
    multiply_adds: float


def config_paths(root: Path) -> List[Path]:
    """All configs that are more than a base, in the order of their paths."""
    return sorted(path for path in (root / 'configs').rglob('*.py') if '_base_' not in path.parts)


def read_entries(root: Path) -> Dict[str, dict]:
    """Titles and figures by the configs' names.

    Raises:
        ValueError: A config has no entry, or an entry no config.
    """
    file = root / 'configs' / 'published.yml'
    entries = yaml.safe_load(file.read_text(encoding='utf-8'))
    names = {path.stem for path in config_paths(root)}
    for name in sorted(names ^ set(entries)):
        raise ValueError(f'{file} has no entry for the config {name}: add one with a title' if name in names else
                         f'{file} has an entry {name}, but there is no such config: rename or drop it')
    return entries


def make_rows(root: Path) -> List[Row]:
    """The table's rows, measured, in the order of the entries."""
    entries = read_entries(root)
    paths = {path.stem: path for path in config_paths(root)}
    measured: Dict[str, Tuple[int, float]] = {}
    rows = []
    for name, entry in entries.items():
        cfg = Config.fromfile(str(paths[name]))
        path = paths[name].relative_to(root).as_posix()
        rows.append(Row(name, path, entry['title'], tuple(_input_size(cfg)), published_figures(entry),
                        entry.get('here', UNTRAINED), start_command(cfg, path), *_cost(cfg, measured)))
    return rows


def published_figures(entry: dict) -> str:
    """The figures of an entry of ``published.yml``, with their sources."""
    return '; '.join(f'{f["figure"]} {f["data"]} ({f["source"]})' for f in entry.get('published', [])) or '–'


def start_command(cfg: Config, path: str) -> str:
    """The command that trains a config, or that tests it if it is for testing only."""
    name = Path(path).stem
    if 'demo' in name:
        return 'make demo'
    root = 'data/coco/' if cfg.data_root == SYNTHETIC_ROOT else cfg.data_root
    option = '' if root == cfg.data_root else f' --data-root {root}'
    processes = re.search(r'_(\d+)xb\d+', name)
    if 'members' in cfg.model:
        return f'python tools/test.py {path}{option}'
    if '-test' in name:
        trained = re.sub('-test(-dev)?', '', name)
        return (f'tools/dist_test.sh {path} work_dirs/{trained}/iter_{cfg.train_cfg.max_iters}.pth '
                f'{processes[1]}{option}')
    if processes[1] == '1':
        return f'python tools/train.py {path}{option}'
    return f'tools/dist_train.sh {path} {processes[1]}{option}'


def _input_size(cfg: Config) -> Tuple[int, int]:
    return (cfg.model.get('decoder') or cfg.model.head.decoder)['input_size']


def _cost(cfg: Config, measured: Dict[str, Tuple[int, float]]) -> Tuple[int, float]:
    """Parameters and multiply-adds; of an ensemble, all members'."""
    if 'members' in cfg.model:
        costs = [_cost(Config.fromfile(member.config), measured) for member in cfg.model.members]
        return sum(cost[0] for cost in costs), sum(cost[1] for cost in costs)
    parts = {part: cfg.model[part].to_dict() for part in ('backbone', 'head')}
    parts['backbone'].pop('init_cfg', None)
    key = json.dumps(parts, sort_keys=True)
    if key not in measured:
        measured[key] = measure({**cfg.model.to_dict(), **parts}, _input_size(cfg))
    return measured[key]


class _Whole(nn.Module):
    """An estimator as mmengine calls it: with crops alone."""

    def __init__(self, estimator: nn.Module) -> None:
        super().__init__()
        self.estimator = estimator

    def forward(self, crops: Tensor) -> object:
        return self.estimator(crops, None, mode='tensor')


def measure(model: dict, input_size: Tuple[int, int]) -> Tuple[int, float]:
    """Parameters and multiply-adds of a model's config for one crop of (w, h)."""
    init_default_scope('mmpose')
    w, h = input_size
    estimator = _Whole(MMPOSE_MODELS.build(model)).eval()
    with torch.no_grad():
        info = get_model_complexity_info(estimator, inputs=torch.zeros(1, 3, h, w), show_table=False, show_arch=False)
    return int(sum(p.numel() for p in estimator.parameters())), float(info['flops'])


def as_markdown(rows: List[Row]) -> str:
    """``docs/models.md``."""
    lines = [ABOUT]
    for folder, heading in SECTIONS.items():
        lines += ['', f'## {heading}', '', '| model | input | parameters | GFLOPs | published | here | start |',
                  '| --- | --- | --- | --- | --- | --- | --- |']
        for row in rows:
            if _folder(row) == folder:
                w, h = row.input_size
                lines.append(
                    f'| [{row.title}](../{row.path}) | {h}×{w} | {row.parameters / 1e6:.2f} M | '
                    f'{row.multiply_adds / 1e9:.2f} | {row.published} | {row.here} | `{row.command}` |')
    return '\n'.join(lines) + '\n'


def _folder(row: Row) -> str:
    folder = Path(row.path).parent.name
    if folder not in SECTIONS:
        raise ValueError(f'{row.path} lies in a folder without a section in the model table: add it to SECTIONS in '
                         'mmpose_mspn/apis/model_table.py')
    return folder


def as_metafiles(rows: List[Row]) -> Dict[str, str]:
    """``model-index.yml`` and the metafiles, content by path from the repository's root."""
    folders: Dict[str, List[dict]] = {}
    for row in rows:
        folders.setdefault(osp.dirname(row.path), []).append(_metadata(row))
    files = {}
    for folder, models in folders.items():
        used = {model['In Collection'] for model in models}
        collections = [dict(Name=name, Paper=dict(Title=title, URL=url))
                       for name, (title, url) in PAPERS.items() if name in used]
        files[f'{folder}/metafile.yml'] = _as_yaml(dict(Collections=collections, Models=models))
    files['model-index.yml'] = _as_yaml(dict(Import=sorted(files)))
    return files


def _metadata(row: Row) -> dict:
    collection = 'CPN' if row.title.startswith('CPN') else 'MSPN'
    data = SECTIONS[_folder(row)]
    about = {'Training Data': data, 'Architecture': [collection], 'Parameters': row.parameters,
             'FLOPs': round(row.multiply_adds), 'Published': row.published, 'Trained Here': row.here}
    task = 'Wholebody 2D Keypoint' if 'wholebody' in row.path else 'Body 2D Keypoint'
    return {'Name': row.name, 'In Collection': collection, 'Config': row.path, 'Metadata': about,
            'Results': [dict(Task=task, Dataset=data, Metrics={})]}


def _as_yaml(content: dict) -> str:
    note = '# Made by tools/make_model_table.py.\n'
    return note + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def write(root: Path) -> List[str]:
    """Make and write all files; returns their paths from the repository's root."""
    rows = make_rows(root)
    files = {'docs/models.md': as_markdown(rows), **as_metafiles(rows)}
    for path, content in files.items():
        (root / path).write_text(content, encoding='utf-8')
    return list(files)
