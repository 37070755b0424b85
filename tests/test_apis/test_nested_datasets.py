"""A fault in a dataset is answered inside of any nesting as in a plain dataset."""
import copy
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Optional, Tuple

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmpose.registry import DATASETS
from torch import nn

from mmpose_mspn import MultiStageHeatmapLoss
from mmpose_mspn.apis.config import load_config
from mmpose_mspn.apis.dataset_check import check_visibility
from mmpose_mspn.apis.run_check import check_run
from mmpose_mspn.utils.config_types import inner_datasets
from mmpose_mspn.utils.errors import UserError
from tests.places import ROOT

MSPN = ROOT / 'configs/body_2d_keypoint/topdown_heatmap/coco/td-hm_2xmspn50_8xb32-96k_coco-256x192.py'
CONFIG = load_config(str(MSPN))
PIPELINE = CONFIG.train_dataloader.dataset.to_dict()['pipeline']
PEOPLE = 3
NAME = 'train_dataloader.dataset'
SAME = dict(type='mmpose_mspn.KeypointConverter', num_keypoints=17, mapping=[(i, i) for i in range(17)])
FAULTS = ('nothing', 'sizes', 'codes', 'stock', 'codec', 'number', 'index', 'target', 'order', 'crop')


def write(folder: Path, size=(40, 30), stored=None, code=2) -> Path:
    """People with 17 keypoints each, in images that are annotated with a size and stored with another."""
    folder.mkdir()
    images = [dict(id=i, file_name=f'{i}.png', width=size[0], height=size[1]) for i in range(PEOPLE)]
    annotations = [dict(id=i, image_id=i, category_id=1, bbox=[1, 2, 30, 20], area=600, iscrowd=0, num_keypoints=17,
                        keypoints=[value for k in range(17) for value in (k + 3, k + 5, code)]) for i in range(PEOPLE)]
    (folder / 'people.json').write_text(json.dumps(dict(
        images=images, annotations=annotations, categories=[dict(id=1, name='person')])))
    width, height = stored or size
    for image in images:
        cv2.imwrite(str(folder / image['file_name']), np.zeros((height, width, 3), np.uint8))
    return folder


@pytest.fixture(scope='module')
def folders(tmp_path_factory) -> dict:
    root = tmp_path_factory.mktemp('nested')
    return dict(sound=write(root / 'sound'), sizes=write(root / 'sizes', stored=(20, 15)),
                codes=write(root / 'codes', code=1))


def faulty(fault: str, folders: dict) -> Tuple[dict, list]:
    """A dataset with a fault, and the steps that its samples pass."""
    dataset = dict(type='mmpose_mspn.CocoDataset', data_root=str(folders.get(fault, folders['sound'])),
                   ann_file='people.json', data_prefix=dict(img=''))
    steps = copy.deepcopy(PIPELINE)
    names = [step['type'].split('.')[-1] for step in steps]
    crop, targets = names.index('TopdownAffine'), names.index('GenerateTarget')
    if fault == 'stock':
        dataset['type'] = 'CocoDataset'
    elif fault == 'codec':
        steps[targets]['encoder'] = dict(type='MSRAHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2)
    elif fault == 'number':
        steps.insert(1, dict(SAME, num_keypoints=20))
    elif fault == 'index':
        steps.insert(1, dict(SAME, mapping=[((3, 17), 0)]))
    elif fault == 'target':
        steps.insert(1, dict(SAME, mapping=[(0, 1), (2, 1)]))
    elif fault == 'order':
        steps[crop], steps[targets] = steps[targets], steps[crop]
    elif fault == 'crop':
        del steps[crop]
    return dataset, steps


def answer(dataset: dict) -> Optional[Tuple[type, str]]:
    """The class and the words of what the checks before a run and the data say, without names, indices and counts."""
    cfg = copy.deepcopy(CONFIG)
    cfg.train_dataloader.dataset = Config(dict(copy.deepcopy(dataset)))._cfg_dict
    try:
        check_run(cfg, ('train', ))
        built = DATASETS.build(cfg.train_dataloader.dataset)
        runner = SimpleNamespace(model=nn.Sequential(MultiStageHeatmapLoss()),
                                 train_dataloader=SimpleNamespace(dataset=built))
        check_visibility(runner, list(inner_datasets(cfg.train_dataloader.dataset, NAME)))
        for index in range(len(built)):
            built[index]
    except UserError as error:
        words = re.sub(rf'{NAME}[\w.]*', 'NAME', str(error)).split(' of NAME')[0]
        return type(error), re.sub(r'/\S*|\d+', '', words)
    return None


@st.composite
def nests(draw):
    """A fault, where the pipeline is divided between the dataset and those around it, and what those are."""
    fault = draw(st.sampled_from(FAULTS))
    wrappers = draw(st.lists(st.sampled_from(['CombinedDataset', 'ConcatDataset', 'RepeatDataset']), max_size=3))
    return fault, draw(st.integers(0, 9)), draw(st.integers(0, 2)), wrappers, draw(st.booleans())


def nested(dataset: dict, steps: list, sound: dict, cut: int, place: int, wrappers: list, converts: bool) -> dict:
    """The dataset as one of up to three in each wrapper; the closest CombinedDataset does the steps from ``cut``."""
    if converts:
        steps = [steps[0], SAME, *steps[1:]]
    shared = steps[cut:] if 'CombinedDataset' in wrappers else []
    inner = dict(dataset, pipeline=steps[:len(steps) - len(shared)])
    beside = dict(sound, pipeline=[] if shared and not cut else steps[:len(steps) - len(shared)])
    for kind in wrappers:
        datasets = [copy.deepcopy(beside) for _ in range(2)]
        datasets.insert(place, inner)
        if kind == 'RepeatDataset':
            inner = dict(type=kind, dataset=inner, times=2)
        elif kind == 'ConcatDataset':
            inner = dict(type=kind, datasets=datasets)
        else:
            inner = dict(type=kind, datasets=datasets, metainfo=dict(from_file='configs/_base_/datasets/coco.py'),
                         pipeline=shared)
            beside, shared = dict(sound, pipeline=steps), []
            beside = copy.deepcopy(inner)
    return inner


@settings(max_examples=40, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(nests())
def test_the_answer_is_that_for_the_plain_dataset(folders, nest):
    fault, cut, place, wrappers, converts = nest
    dataset, steps = faulty(fault, folders)
    plain = answer(dict(dataset, pipeline=steps))
    assert (plain is None) == (fault == 'nothing'), plain
    sound, _ = faulty('nothing', folders)
    inside = answer(nested(dataset, steps, sound, cut, place, wrappers, converts and fault != 'number'))
    assert (inside and inside[0]) == (plain and plain[0]), (plain, inside)
    if fault != 'number':  # which is found where the keypoints of the datasets meet
        assert inside == plain
