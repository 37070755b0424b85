"""docs/own_keypoints.md: its commands run as printed and print what the page shows, one after the other."""
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import List

import pytest

from mmpose_mspn.synthetic_people import KEYPOINT_NAMES
from tests.launching import python
from tests.model_files import save_random
from tests.places import DEMO, ROOT
from tests.test_new_dataset.test_names import NUMBERED, WITHOUT_PAIRS

PAGE = (ROOT / 'docs/own_keypoints.md').read_text(encoding='utf-8')
PLANNED, RUN = 3500, 2
"""Iterations of the training that the page starts, and those that the test leaves of it."""


@pytest.fixture
def folder(tmp_path) -> Path:
    """An empty working directory with a checkpoint where ``make demo`` puts one."""
    (tmp_path / 'work_dirs/demo').mkdir(parents=True)
    save_random(DEMO, tmp_path / 'work_dirs/demo/iter_1800.pth',
                dataset_meta=dict(keypoint_id2name=dict(enumerate(KEYPOINT_NAMES))))
    return tmp_path


def commands() -> List[List[str]]:
    return [shlex.split(line) for block in re.findall(r'```bash\n(.*?)```', PAGE, re.S) for line in block.splitlines()]


def run(command: List[str], folder: Path) -> str:
    """What a command prints, which ends well."""
    assert command[0] == 'python'
    done = python(ROOT / command[1], *command[2:], cwd=folder, CUDA_VISIBLE_DEVICES='')
    assert done.returncode == 0, f'{command}\n{done.stderr[-3000:]}'
    return done.stdout


def shorten(config: Path) -> None:
    """What the reader may change first: the number of iterations."""
    text = re.sub(r'^max_iters = \d+$', f'max_iters = {RUN}', config.read_text(), flags=re.M)
    config.write_text(text)


def test_the_commands_run_as_printed(folder):
    printed = []
    for command in commands():
        printed.append(run(command, folder))
        tool, config = Path(command[1]).stem, folder / command[2]
        if tool == 'new_dataset':
            shorten(folder / command[command.index('--out') + 1] / 'config.py')
        elif tool == 'train':  # the checkpoint of the whole training
            shutil.copy(config.parent / f'work_dir/iter_{RUN}.pth', config.parent / f'work_dir/iter_{PLANNED}.pth')
    # The shown parts of the tables are printed, by the first call and by the one with other weights.
    for shown in re.findall(r'```text\n(.*?)```', PAGE, re.S):
        assert any(shown in text for text in printed), shown
    assert any('no problems found' in text for text in printed)
    found = json.loads((folder / 'work_dirs/robot/found/predictions.json').read_text())
    assert len(found['images']) == 20 and found['keypoint_names'][2:] == ['left_foot', 'right_foot']
    labeled = json.loads((folder / 'work_dirs/robot/found/labeled.json').read_text())
    assert [category['name'] for category in labeled['categories']] == ['robot']
    assert '<skeleton label="robot"' in (folder / 'work_dirs/robot/found/annotations.xml').read_text()


def test_the_page_lists_the_keypoint_sets_whose_names_tell_no_pairs():
    text = PAGE[PAGE.index('metainfo files of mmpose'):].split('##')[0]
    without, _, numbered = text.partition('In the other 14')
    assert set(re.findall('`(\\w+)`', without)) == WITHOUT_PAIRS and set(re.findall('`(\\w+)`', numbered)) == NUMBERED
    assert len(WITHOUT_PAIRS) == 8 and len(NUMBERED) == 14 and 'all pairs in 33 files' in without
