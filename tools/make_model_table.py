#!/usr/bin/env python3
"""Write docs/models.md, model-index.yml and the configs' metafiles from the configs and configs/published.yml.

docs/models.md is for readers, the other files are for OpenMMLab's mim.
"""
import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

import yaml
from demo import CONFIG as DEMO
from mmengine.config import Config
from model_costs import Cost, cost, input_size

from mmpose_mspn.apis.command_line import ToolParser, run_tool
from mmpose_mspn.checkpoints.published import describe_figures
from mmpose_mspn.utils.errors import UserError

SECTIONS = {'coco': 'COCO', 'mpii': 'MPII', 'crowdpose': 'CrowdPose', 'coco-wholebody': 'COCO-WholeBody'}
"""Heading of a config's table, which is also the name of its data, by the config's folder."""
PAPERS = {
    'MSPN': ('Rethinking on Multi-Stage Networks for Human Pose Estimation', 'https://arxiv.org/abs/1901.00148'),
    'CPN': ('Cascaded Pyramid Network for Multi-Person Pose Estimation', 'https://arxiv.org/abs/1711.07319'),
}
ABOUT = '''# Models

This page lists every config, what it costs, and the accuracy published for it. `python tools/make_model_table.py`
writes it.

{trained}

- Parameters and GFLOPs are those of the whole network with all predictors for one crop, counted by mmengine (a
  multiply-add is one). Prediction runs only the last predictor and costs less.
- Published figures were measured by others; each names its source. Where there is a name under "weights",
  `mmpose_mspn.load` and the tools download the weights that were published with the figure, or say where they lie. What
  they reach with this package's decoding has not been measured: `python tools/test.py CONFIG NAME` measures it on COCO.
- Start commands are run in the repository's root. `--data-root` names the folder of the data ([data.md](data.md)).'''
NONE_TRAINED = 'None of these models has been trained here. Weights that others have trained come by name.'
SOME_TRAINED = 'Figures under "measured here" are from our own runs; the other models have not been trained here.'
NOTHING = '–'
NOTE = '''# Made by tools/make_model_table.py. "Published" figures were measured by others. A model that was trained
# here has "Measured Here" as well.
'''


class Row(NamedTuple):
    """A config of the table."""
    name: str
    path: str  # from the repository's root
    title: str
    input_size: Tuple[int, int]  # (w, h) in px
    published: str
    here: Optional[str]  # the figure of our own run, if there is one
    command: str
    parameters: int
    multiply_adds: float
    weights: Optional[str] = None  # the address of published weights
    names: Tuple[str, ...] = ()  # names for published weights beside the config's


def config_paths(root: Path) -> List[Path]:
    """All configs outside the ``_base_`` folders, sorted by path."""
    return sorted(path for path in (root / 'configs').rglob('*.py') if '_base_' not in path.parts)


def read_entries(root: Path) -> Dict[str, dict]:
    """Titles and figures by the configs' names.

    Raises:
        ValueError: A config has no entry, or an entry has no config.
    """
    file = root / 'configs' / 'published.yml'
    entries = yaml.safe_load(file.read_text(encoding='utf-8'))
    names = {path.stem for path in config_paths(root)}
    for name in sorted(names ^ set(entries)):
        raise UserError(f'{file} has no entry for the config {name}: add one with a title' if name in names else
                         f'{file} has an entry {name}, but there is no such config: rename or drop it')
    return entries


def make_rows(root: Path) -> List[Row]:
    """The table's rows, measured, in the order of the entries."""
    entries = read_entries(root)
    paths = {path.stem: path for path in config_paths(root)}
    measured: Dict[str, Cost] = {}
    rows = []
    for name, entry in entries.items():
        cfg = Config.fromfile(str(paths[name]))
        path = paths[name].relative_to(root).as_posix()
        rows.append(Row(name, path, entry['title'], tuple(input_size(cfg)), describe_figures(entry) or NOTHING,
                        entry.get('here'), start_command(cfg, path), *cost(cfg, measured),
                        entry.get('weights'), tuple(entry.get('names', ()))))
    return rows


def start_command(cfg: Config, path: str) -> str:
    """The command that trains a config, or that tests it if the config is only for testing."""
    name = Path(path).stem
    if 'demo' in name:
        return 'make demo' if name == DEMO.stem else f'python tools/demo.py --config {path} --work-dir work_dirs/{name}'
    processes = re.search(r'_(\d+)xb\d+', name)
    if 'members' in cfg.model:
        return f'python tools/test.py {path}'
    if '-test' in name:
        trained = re.sub('-test(-dev)?', '', name)
        return (f'tools/dist_test.sh {path} work_dirs/{trained}/iter_{cfg.train_cfg.max_iters}.pth '
                f'{processes[1]}')
    if processes[1] == '1':
        return f'python tools/train.py {path}'
    return f'tools/dist_train.sh {path} {processes[1]}'


def as_markdown(rows: List[Row]) -> str:
    """``docs/models.md``; a table has a column of our own figures if one of its rows has such a figure."""
    lines = [ABOUT.format(trained=SOME_TRAINED if any(row.here for row in rows) else NONE_TRAINED)]
    for folder, heading in SECTIONS.items():
        section = [row for row in rows if _folder(row) == folder]
        measured = ['measured here'] if any(row.here for row in section) else []
        names = ['model', 'input', 'parameters', 'GFLOPs', 'published', *measured, 'weights', 'start']
        lines += ['', f'## {heading}', '', _line(names), _line(['---'] * len(names))]
        lines += [_line(_cells(row, bool(measured))) for row in section]
    return '\n'.join(lines) + '\n'


def _line(cells: List[str]) -> str:
    return f'| {" | ".join(cells)} |'


def _cells(row: Row, with_here: bool) -> List[str]:
    w, h = row.input_size
    here = [row.here or NOTHING] if with_here else []
    weights = f'`{row.names[0]}`' if row.names else NOTHING
    return [f'[{row.title}](../{row.path})', f'{h}×{w}', f'{row.parameters / 1e6:.2f} M',
            f'{row.multiply_adds / 1e9:.2f}', row.published, *here, weights, f'`{row.command}`']


def _folder(row: Row) -> str:
    folder = Path(row.path).parent.name
    if folder not in SECTIONS:
        raise UserError(f'{row.path} lies in a folder without a section in the model table: add it to SECTIONS in '
                         'tools/make_model_table.py')
    return folder


def as_metafiles(rows: List[Row]) -> Dict[str, str]:
    """``model-index.yml`` and the metafiles, content by path from the repository's root."""
    folders: Dict[str, List[dict]] = {}
    for row in rows:
        folders.setdefault(Path(row.path).parent.as_posix(), []).append(_metadata(row))
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
             'FLOPs': round(row.multiply_adds), 'Published': row.published}
    if row.here:
        about['Measured Here'] = row.here
    weights = {'Weights': row.weights, 'Alias': list(row.names)} if row.weights else {}
    task = 'Wholebody 2D Keypoint' if 'wholebody' in row.path else 'Body 2D Keypoint'
    return {'Name': row.name, 'In Collection': collection, 'Config': row.path, 'Metadata': about,
            'Results': [dict(Task=task, Dataset=data, Metrics={})], **weights}


def _as_yaml(content: dict) -> str:
    return NOTE + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def write(root: Path) -> List[str]:
    """Measure all configs and write all files; returns their paths from the repository's root."""
    rows = make_rows(root)
    files = {'docs/models.md': as_markdown(rows), **as_metafiles(rows)}
    for path, content in files.items():
        (root / path).write_text(content, encoding='utf-8')
    return list(files)


def main() -> None:
    parser = ToolParser(description=__doc__)
    parser.add_argument('--root', type=Path, default=Path(__file__).parents[1], help='folder of the repository')
    args = parser.parse_args()
    for path in write(args.root.resolve()):
        print(path)


if __name__ == '__main__':
    run_tool(main)
