"""The configs of mmpose's recipe draw the crops that mmpose's own configs draw from the same random numbers."""
import json
import random
from pathlib import Path
from typing import Dict, List

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.hub import get_config
from mmpose.registry import DATASETS

from tests.places import ROOT

COCO = 'body_2d_keypoint/topdown_heatmap/coco/'
MSPN = COCO + 'td-hm_{}mspn50_8xb32-210e_coco-256x192.py'
# Each config of mmpose's recipe, and mmpose's own config of the same dataset and head.
COUNTERPARTS = {
    **{MSPN.format(stages): MSPN.format(stages) for stages in ('', '2x', '3x', '4x')},
    **{f'{COCO}td-hm_{rsn}-mspnhead_8xb32-210e_coco-256x192.py': f'{COCO}td-hm_{rsn}_8xb32-210e_coco-256x192.py'
       for rsn in ('rsn18', 'rsn50', '2xrsn50', '3xrsn50')},
    COCO + 'td-hm_hrnet-w32-mspncodec_8xb32-210e_coco-256x192.py': COCO + 'td-hm_hrnet-w32_8xb64-210e_coco-256x192.py',
    'body_2d_keypoint/simcc/coco/simcc_2xmspn50-rtmcc_8xb32-210e_coco-256x192.py':
        'body_2d_keypoint/simcc/coco/simcc_res50_8xb64-210e_coco-256x192.py',
    'body_2d_keypoint/topdown_heatmap/crowdpose/td-hm_2xmspn50_8xb32-210e_crowdpose-256x192.py':
        'body_2d_keypoint/topdown_heatmap/crowdpose/td-hm_hrnet-w32_8xb64-210e_crowdpose-256x192.py',
    'wholebody_2d_keypoint/topdown_heatmap/coco-wholebody/td-hm_2xmspn50_8xb32-210e_coco-wholebody-256x192.py':
        'wholebody_2d_keypoint/topdown_heatmap/coco-wholebody/td-hm_hrnet-w32_8xb64-210e_coco-wholebody-256x192.py',
}
COCO_CONFIGS = [path for path in COUNTERPARTS if '/coco/' in path]
PARTS = dict(foot_kpts=6, face_kpts=68, lefthand_kpts=21, righthand_kpts=21)
SEEDS = range(3)
# What the steps up to the crop decide.
CROP = ('input_center', 'input_scale', 'bbox_rotation', 'flip', 'flip_direction', 'transformed_keypoints', 'img')


def test_every_config_of_the_recipe_is_compared():
    configs = {str(path.relative_to(ROOT / 'configs')) for path in (ROOT / 'configs').rglob('*-210e_*.py')}
    assert configs == set(COUNTERPARTS)


def build(settings: dict, **files):
    """The dataset with its pipeline up to the crop."""
    steps = [step['type'] for step in settings['pipeline']]
    return DATASETS.build({
        **settings, 'pipeline': settings['pipeline'][:steps.index('TopdownAffine') + 1], 'bbox_file': None, **files
    })


def ours_and_stocks(path: str, split: str, **files) -> list:
    configs = [Config.fromfile(str(ROOT / 'configs' / path)), get_config(f'mmpose::{COUNTERPARTS[path]}')]
    return [build(cfg[f'{split}_dataloader'].dataset.to_dict(), **files) for cfg in configs]


def sample(people, index: int, seed: int) -> dict:
    np.random.seed(seed)
    random.seed(seed)
    return people[index]


def assert_same_crops(ours, stocks) -> None:
    """Every person with several seeds.

    Exactly, pixels too: our truncated normal draws equal scipy's in single precision.
    """
    assert len(ours) == len(stocks) > 0
    for index in range(len(ours)):
        for seed in SEEDS:
            mine, theirs = sample(ours, index, seed), sample(stocks, index, seed)
            assert mine['id'] == theirs['id']
            for name in CROP:
                np.testing.assert_array_equal(mine.get(name), theirs.get(name), f'{name} of {mine["id"]}, seed {seed}')
            np.testing.assert_array_equal(mine['keypoints_visible'] > 0, theirs['keypoints_visible'] > 0)


@pytest.mark.parametrize('split', ['train', 'val'])
@pytest.mark.parametrize('path', COCO_CONFIGS)
def test_real_photographs(path, split, coco_sample):
    files = dict(data_root=str(coco_sample), ann_file='test_coco.json', data_prefix=dict(img=''))
    assert_same_crops(*ours_and_stocks(path, split, **files))


# ---------------------------------------------------------------- generated people

SIZE = (120, 90)


def visibilities(count: int, draw: np.random.Generator) -> List[np.ndarray]:
    """Of many people: occluded keypoints around the limit of nine labeled ones, and mixtures."""
    people = [np.eye(1, count, 0, dtype=int)[0]]
    for code in (1, 2):
        for labeled in (7, 8, 9, 10, 12, count):
            visible = np.zeros(count, int)
            visible[draw.permutation(count)[:labeled]] = code
            people.append(visible)
    return people + [draw.choice(3, count, p=shares) for shares in ((.1, .8, .1), (.4, .5, .1), (.2, .4, .4))
                     for _ in range(4)]


def with_positions(visible: np.ndarray, draw: np.random.Generator) -> list:
    """x, y and visibility of each keypoint in a row; (0, 0) where it is not labeled."""
    positions = draw.uniform(0, SIZE, (len(visible), 2)).round(2) * (visible > 0)[:, None]
    return np.column_stack([positions, visible]).ravel().tolist()


def write_people(root: Path, count: int, parts: Dict[str, int]) -> Path:
    """People with ``count`` keypoints and ``parts``, in boxes that often leave the image, one of them entirely."""
    draw = np.random.default_rng(count)
    cv2.imwrite(str(root / 'a.png'), draw.integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8))
    people = []
    for number, visible in enumerate(visibilities(count, draw), start=1):
        low = draw.uniform([-30, -30], [80, 60])
        box = [*low, *draw.uniform([20, 20], [90, 90])] if number > 1 else [SIZE[0] + 1, 5, 10, 10]
        added = {name: with_positions(draw.choice(3, size), draw) for name, size in parts.items()}
        people.append(dict(
            id=number, image_id=1, category_id=1, iscrowd=0, bbox=[round(float(value), 2) for value in box],
            area=900., segmentation=[], num_keypoints=int((visible > 0).sum()), keypoints=with_positions(visible, draw),
            **added))
    content = dict(
        images=[dict(id=1, file_name='a.png', width=SIZE[0], height=SIZE[1], crowdIndex=.5)], annotations=people,
        categories=[dict(id=1, name='person')])
    (root / 'people.json').write_text(json.dumps(content))
    return root


def generated(root: Path, path: str) -> dict:
    count = 14 if 'crowdpose' in path else 17
    write_people(root, count, PARTS if 'wholebody' in path else {})
    return dict(data_root=str(root), ann_file='people.json', data_prefix=dict(img=''))


@pytest.mark.parametrize('split', ['train', 'val'])
@pytest.mark.parametrize('path', COUNTERPARTS)
def test_people_with_many_occluded_keypoints(path, split, tmp_path):
    assert_same_crops(*ours_and_stocks(path, split, **generated(tmp_path, path)))


@pytest.mark.parametrize('wrong', [
    dict(type='RandomHalfBody', min_total_keypoints=18),  # a limit on the sum of 0/1/2
    dict(type='RandomHalfBody'),  # mmpose's limit on the sum of 0/1/2
])
def test_the_comparison_notices_a_half_body_that_sums_visibility(wrong, tmp_path):
    path = MSPN.format('4x')
    files = generated(tmp_path, path)
    ours, stocks = ours_and_stocks(path, 'train', **files)
    settings = Config.fromfile(str(ROOT / 'configs' / path)).train_dataloader.dataset.to_dict()
    settings['pipeline'] = [
        wrong if step['type'] == 'mmpose_mspn.RandomHalfBody' else step for step in settings['pipeline']]
    with pytest.raises(AssertionError, match='input_(center|scale) of'):
        assert_same_crops(build(settings, **files), stocks)
    assert_same_crops(ours, stocks)
