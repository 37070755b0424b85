"""``diagnosis.json``, and the page that shows it: one file that loads nothing from anywhere."""
import base64
import hashlib
import json
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Union

from mmpose_mspn.utils.errors import DataError
from mmpose_mspn.utils.files import read_json
from mmpose_mspn.utils.numbers import is_finite
from mmpose_mspn.utils.outputs import write_json_output, write_output
from mmpose_mspn.version import __version__

from .errors import ERRORS, KINDS
from .sources import KIND

# ---------------------------------------------------------------- the files

FORMAT = 1
"""Raise it when entries of diagnosis.json change their meaning."""
JSON_FILE, PAGE_FILE = 'diagnosis.json', 'index.html'
PAGE_FOLDER = Path(__file__).parent / 'page'
SCRIPTS = ('base', 'charts', 'training_charts', 'tables', 'skeletons', 'cases', 'viewer', 'main')
"""Files of the page's one script, in the order in which they use each other."""
PAGE_BYTES = 15_000_000
"""The page is no larger, as long as everything but the stage viewer takes less."""
VIEWER_BYTES = 7_000_000
"""What the stage viewer takes of the page at most."""
GROUP_NAMES = dict(people='People', ap='AP', ap50='AP at 0.5', ap75='AP at 0.75', ar='AR', pckh='PCKh@0.5',
                   pckh10='PCKh@0.1')
ENTRY_MARKUP = 500
"""Bytes at most that one entry of the viewer takes of the page outside of the data."""
PICTURES = ('crop', 'heatmaps', 'targets')
"""Entries of the viewer that diagnosis.json leaves out."""
STATUSES = dict(matched='found', missed='missed', false='false positive')
"""A case's status as the page says it."""
INSTALL = 'pip install jinja2 plotly'


def check_page_packages() -> None:
    """Raise ImportError, with the remedy, unless the packages that make pages are installed."""
    try:
        import jinja2  # noqa: F401
        import plotly.offline  # noqa: F401
    except ImportError as error:
        package = error.name.partition('.')[0]
        raise ImportError(f'the page needs {package}, which is not installed: {INSTALL}') from error


def write_report(out: Union[str, Path],
                 content: dict,
                 shown: List[dict],
                 pictures: Dict[str, dict],
                 viewer: List[dict],
                 flip_test: bool = False) -> Path:
    """Write both files.

    Args:
        content: What ``diagnosis.json`` holds; docs/diagnose.md describes it.
        shown: Those of ``content['cases']`` that the page shows.
        pictures: By a case's id, its picture; see :func:`mmpose_mspn.diagnosis.viewer.case_picture`.
        viewer: What the stage viewer shows; see :class:`mmpose_mspn.diagnosis.viewer.Viewer`.
        flip_test: Whether the network's times hold a flip test.

    Returns:
        The page.
    """
    out = Path(out)
    content = dict(content, format=FORMAT, viewer=[])
    content['page'] = dict(cases=len(shown), all_cases=len(content['cases']), viewer_left_out=len(viewer))
    without_viewer = len(_render(content, shown, pictures, [], flip_test).encode())
    viewer, left_out = _within(viewer, min(VIEWER_BYTES, PAGE_BYTES - without_viewer))
    content['viewer'] = [{name: value for name, value in entry.items() if name not in PICTURES} for entry in viewer]
    content['page']['viewer_left_out'] = left_out
    write_json_output(out / JSON_FILE, content, KIND)
    page = _render(content, shown, pictures, viewer, flip_test)
    write_output(out / PAGE_FILE, page.encode(), KIND)
    return out / PAGE_FILE


def about(**entries: Optional[Union[str, Path]]) -> dict:
    """What a diagnosis is of, as text, with this package's version.

    Args:
        entries: Some of ``config``, ``checkpoint``, ``predictions``, ``annotations`` and ``pictures``.
    """
    names = ('config', 'checkpoint', 'predictions', 'annotations', 'pictures')
    return dict({name: None if entries.get(name) is None else str(entries[name]) for name in names},
                version=__version__)


def _within(viewer: List[dict], budget: int) -> tuple:
    """The first entries that fit into this many bytes, and how many do not."""
    used = 0
    for count, entry in enumerate(viewer):
        used += len(json.dumps(entry)) + ENTRY_MARKUP
        if used > budget:
            return viewer[:count], len(viewer) - count
    return viewer, 0


def _render(content: dict, shown: List[dict], pictures: Dict[str, dict], viewer: List[dict],
            flip_test: bool) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    # Data reaches the page escaped, as text or as JSON. These files are this package's own and Plotly's.
    style = _file('page.css')
    script = '\n'.join(_file(f'{name}.js') for name in SCRIPTS)
    plotly = get_plotlyjs().replace('</script', r'<\/script')
    labels = {record['id']: _label(record) for record in shown}
    data = dict(
        content,
        cases=shown,
        pictures={record['id']: pictures[record['id']] for record in shown if record['id'] in pictures},
        viewer=viewer or None,
        group_names=GROUP_NAMES,
        statuses=STATUSES)
    environment = Environment(
        loader=FileSystemLoader(PAGE_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True)
    return environment.get_template('index.html.j2').render(
        title=f'Why {content["figure"]["name"]} is what it is' if content.get('figure') else 'What the network sees',
        policy=_policy(plotly, script),
        style=Markup(style),
        script=Markup(script),
        plotly=Markup(plotly),
        data=data,
        sections=_sections(content, viewer),
        tiles=_tiles(content),
        best=_costliest(content),
        viewer=[dict(entry, label=labels[entry['id']]) for entry in viewer],
        flip_test=flip_test,
        cases=shown,
        kinds=KINDS,
        error_kinds=ERRORS,
        group_names=GROUP_NAMES,
        statuses=STATUSES,
        **{name: content.get(name) for name in ('about', 'figure', 'metrics', 'counts', 'keypoints', 'corrections',
                                                'parts', 'groups', 'calibration', 'stages', 'curves', 'compare',
                                                'pck_name', 'page')})


def _file(name: str) -> str:
    return (PAGE_FOLDER / name).read_text(encoding='utf-8')


def _policy(*scripts: str) -> str:
    """A content security policy: only these scripts run, and nothing is fetched."""
    hashes = ' '.join(f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
                      for script in scripts)
    return (f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
            "base-uri 'none'; form-action 'none'")


def _label(record: dict) -> str:
    if record['status'] is None:
        return f'score {record["score"]:.2f}, {record["file"]}'
    value = 'missed' if record['oks'] is None else f'OKS {record["oks"]:.2f}'
    return f'{value}, {record["file"]}'


def _sections(content: dict, viewer: List[dict]) -> List[tuple]:
    """Ids and names of the parts of this page."""
    measured = bool(content.get('corrections'))
    every = (('summary', 'Summary', True), ('errors', 'Errors', measured), ('keypoints', 'Keypoints', measured),
             ('groups', 'Groups', measured), ('scores', 'Scores', measured),
             ('stages', 'Stages', content.get('stages')), ('training', 'Training', content.get('curves')),
             ('compare', 'Compare', content.get('compare')), ('cases', 'Cases', True), ('viewer', 'Network', viewer))
    return [(name, label) for name, label, there in every if there]


def _tiles(content: dict) -> List[dict]:
    """The numbers on top, each with its path in the JSON."""
    counts, figure = content['counts'], content.get('figure')
    tiles = []
    if figure:
        digits = 3 if figure['name'] == 'AP' else 1
        tiles.append(dict(label=figure['name'], value=figure['value'], path='figure/value', digits=digits, hint=''))
        everyone = content['groups']['everyone'][0]
        for name, label in dict(ap50='AP at OKS 0.5', ap75='AP at OKS 0.75', ar='AR', pckh10='PCKh@0.1').items():
            if name in everyone:
                tiles.append(dict(label=label, value=everyone[name], digits=digits, hint='',
                                  path=f'groups/everyone/0/{name}'))
    hints = dict(duplicates='predictions of someone who is found already',
                 background='predictions that are near no person',
                 poorly_scored='people of whose predictions not the best has the highest score')
    for name, label in (('images', 'images'), ('people', 'people'), ('matched', 'found'), ('missed', 'missed'),
                        ('duplicates', 'duplicate boxes'), ('background', 'false positives elsewhere'),
                        ('poorly_scored', 'poorly scored'), ('predictions', 'predictions')):
        # Where people are given, as in MPII, there are no boxes to judge.
        if name in counts and not (name in hints and figure and figure['name'] == 'PCKh'):
            tiles.append(dict(label=label, value=counts[name], path=f'counts/{name}', digits=0,
                              hint=hints.get(name, '')))
    return tiles


def _costliest(content: dict) -> Optional[dict]:
    """The kind of keypoint errors whose correction gains most, with its path in the JSON."""
    rows = [dict(row, path=f'corrections/{index}/') for index, row in enumerate(content.get('corrections') or [])
            if row['name'] in ERRORS and row['gain']]
    return max(rows, key=lambda row: row['gain']) if rows else None


# ---------------------------------------------------------------- other diagnoses, side by side

COMPARED = ('figure', 'metrics', 'counts', 'errors', 'corrections', 'keypoints')
"""Entries of ``diagnosis.json`` that are set side by side."""


def read_diagnoses(paths: Sequence[Union[str, Path]]) -> List[dict]:
    """Other diagnoses, each with ``name``: its folder's.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It is not a ``diagnosis.json`` with a figure.
    """
    diagnoses = []
    for path in paths:
        content = read_json('compare', path, dict)
        missing = [name for name in COMPARED if not content.get(name)]
        if missing:
            raise DataError(f'compare {path} lacks {", ".join(missing)}: name the diagnosis.json that '
                             'tools/diagnose.py wrote for labeled data')
        diagnoses.append(dict(content, name=Path(path).resolve().parent.name, path=str(path)))
    return diagnoses


def side_by_side(content: dict, compared: Sequence[dict]) -> List[dict]:
    """A row per diagnosis, this one first: ``name`` and the entries of :data:`COMPARED`.

    Args:
        compared: From :func:`read_diagnoses`.

    Raises:
        DataError: One of them is of other people, keypoints or another figure.
    """
    for diagnosis in compared:
        names = [row['name'] for row in diagnosis['keypoints']]
        for what, same in (('figure', diagnosis['figure']['name'] == content['figure']['name']),
                           ('keypoints', names == content['keypoint_names']),
                           ('number of people', diagnosis['counts']['people'] == content['counts']['people'])):
            if not same:
                raise DataError(f'compare {diagnosis["path"]} is of another {what} than this diagnosis: compare '
                                 'diagnoses of the same data')
    return [dict({name: row[name] for name in COMPARED}, name=row['name'])
            for row in (dict(content, name='this one'), *compared)]


# ---------------------------------------------------------------- curves of the training

LOG = '*/vis_data/scalars.json'
"""Where runners of mmengine leave it below the work folder, one file a start."""
MOST_POINTS = 400
"""Points of a curve; longer ones are thinned evenly."""


def find_logs(work_dir: Union[str, Path]) -> List[Path]:
    """The logs in the work folder of a run, oldest first."""
    return sorted(Path(work_dir).glob(LOG))


def read_curves(logs: Sequence[Path]) -> Dict[str, dict]:
    """Curves by name.

    A run that was resumed has several logs; where they overlap, the later one holds. Lines that end early, as after a
    crash, are passed over. Metrics go with the training step before them, since mmengine may log them by epoch.

    Returns:
        ``step`` and ``value``, lists of equal length, of everything with ``loss`` in its name, of ``acc_pose``, ``lr``
        and of what metrics measured (``coco/AP``).
    """
    values: Dict[str, Dict[int, float]] = {}
    for log in logs:
        trained = None
        for line in log.read_text(encoding='utf-8', errors='replace').splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            step = entry.get('step') if isinstance(entry, dict) else None
            if not is_finite(step):
                continue
            if 'lr' in entry:
                trained = step
            elif trained is not None:
                step = trained
            for name, value in entry.items():
                if is_finite(value) and ('loss' in name or '/' in name or name in ('acc_pose', 'lr')):
                    values.setdefault(name, {})[int(step)] = float(value)
    return {name: _thinned(by_step) for name, by_step in values.items()}


def _thinned(by_step: Dict[int, float]) -> dict:
    steps = sorted(by_step)
    every = -(-len(steps) // MOST_POINTS)
    # The last point stays, wherever thinning begins.
    steps = steps[::-1][::every][::-1]
    return dict(step=steps, value=[by_step[step] for step in steps])
