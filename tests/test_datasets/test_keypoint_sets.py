"""Visibility 0/1/2 of every COCO-style keypoint set, alone and combined."""
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmpose.registry import DATASETS

from tests.test_datasets.coco_files import write_coco
from tests.test_datasets.keypoint_sets import keypoints, write_whole_body


def build(kind: str, root: Path, **changes):
    return DATASETS.build({
        'type': f'mmpose_mspn.{kind}', 'data_root': str(root), 'ann_file': 'people.json', 'data_prefix': dict(img=''),
        **changes
    })


@pytest.mark.parametrize('kind, count', [('CocoDataset', 17), ('AicDataset', 14), ('CrowdPoseDataset', 14)])
def test_visibility_and_boxes_stay_as_annotated(kind, count, tmp_path):
    info = build(kind, write_coco(tmp_path, keypoints(count), bbox=(-3, 5, 90, 100)))[0]
    assert info['keypoints_visible'].tolist() == [[i % 3 for i in range(count)]]
    np.testing.assert_array_equal(info['bbox'], [[-3, 5, 87, 105]])


def test_the_codes_of_ai_challengers_own_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r'visibility must be 0, 1 or 2, got \[3.0\]'):
        build('AicDataset', write_coco(tmp_path, [[20, 20, 3]] * 14))


def test_whole_body(tmp_path):
    """Body, feet, face, left and right hand in this order; fractions are visible."""
    foot = [[30, 30, visible] for visible in (0, 1, 2, 0.25, 1.5, 0)]
    info = build('CocoWholeBodyDataset', write_whole_body(tmp_path, foot_kpts=sum(foot, [])))[0]
    visible = info['keypoints_visible'][0].tolist()
    assert len(visible) == 133
    assert visible[:4] == [0, 1, 2, 2] and visible[17:23] == [0, 1, 2, 2, 2, 0]
    assert visible[23:29] == visible[91:97] == visible[112:118] == [0, 1, 2, 0, 1, 2]


def test_whole_body_refuses_a_negative_visibility(tmp_path):
    with pytest.raises(ValueError, match='annotation 7 .*visibility must be >= 0, got -1'):
        build('CocoWholeBodyDataset', write_whole_body(tmp_path, face_kpts=[30, 30, -1] * 68))


def test_combined_sets_train_on_one_keypoint_set(tmp_path):
    """By a config's own mapping: AI Challenger's right shoulder is COCO's keypoint 6; faces are not labeled."""
    cfg = Config.fromfile(str(Path(__file__).parents[2] / 'configs/_base_/datasets/coco-aic_384x288.py'))
    train = cfg.train_dataloader.dataset
    folders = [write_coco(tmp_path / 'coco'), write_coco(tmp_path / 'aic', keypoints(14))]
    for entry, folder in zip(train.datasets, folders):
        entry.update(data_root=str(folder), ann_file='people.json', data_prefix=dict(img=''))
    train.pipeline = []
    people = DATASETS.build(train)
    coco, aic = (people.get_data_info(number) for number in range(2))
    assert coco['keypoints_visible'].shape == aic['keypoints_visible'].shape == (1, 17)
    assert coco['keypoints_visible'][0, :4].tolist() == [0, 1, 2, 2]
    # right and left shoulder, elbow, wrist: keypoints 0 … 5 of AI Challenger, of visibility 0, 1, 2, 0, 1, 2
    assert aic['keypoints_visible'][0, [6, 8, 10, 5, 7, 9]].tolist() == [0, 1, 2, 0, 1, 2]
    assert aic['keypoints_visible'][0, :5].tolist() == [0] * 5
    assert aic['keypoints'][0, 8].tolist() == [22, 13]
    assert len(aic['flip_indices']) == 17
