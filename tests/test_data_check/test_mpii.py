"""Files in MPII's format, and its head boxes."""
import json

import numpy as np
import pytest
from scipy.io import savemat

from mmpose_mspn.data_check.files import check_folder
from mmpose_mspn.data_check.problems import Report
from tests.test_data_check.files import check, mpii, write_image


@pytest.mark.parametrize('kind, changes', [
    (None, {}),
    ('image without a name', dict(image=7)),
    ('box without a positive size', dict(scale='1')),
    ('coordinate far outside the image', dict(scale=1e10)),
    ('box outside the image', dict(center='32 24')),
    ('keypoint that is not finite', dict(joints=[[float('nan'), 1]] + [[1, 1]] * 15)),
    ('keypoint that is not finite', dict(joints=[None] + [[1, 1]] * 15)),
    ('wrong number of keypoints', dict(joints=None)),
    ('missing image', dict(image='gone.jpg')),
    ('box without a positive size', dict(scale=0)),
    ('box without a positive size', dict(scale=float('inf'))),
    ('box outside the image', dict(center=[70, 24])),
    ('box outside the image', dict(center=[float('nan'), 24])),
    ('box outside the image', dict(center=None)),
    ('visibility out of range', dict(joints_vis=[1] * 15 + [2])),
    ('keypoint outside the image', dict(joints=[[66, 48]] + [[1, 1]] * 15)),
    ('wrong number of keypoints', dict(joints=[[1, 1]] * 15)),
    ('incomplete entry', None),
])
def test_mpii(kind, changes, tmp_path):
    write_image(tmp_path / '1.jpg')
    people = [mpii(), dict(image='1.jpg') if changes is None else mpii(**changes)]
    (tmp_path / 'mpii.json').write_text(json.dumps(people))
    assert check(tmp_path, file='mpii.json', kind='MpiiDataset').counts == ({kind: 1} if kind else {})


def test_mpii_head_boxes_and_folder(tmp_path):
    for name in ('annotations', 'images'):
        (tmp_path / name).mkdir()
    write_image(tmp_path / 'images/1.jpg')
    for split in ('train', 'val'):
        (tmp_path / f'annotations/mpii_{split}.json').write_text(json.dumps([mpii()]))
    report = Report()
    report.collect(check_folder('mpii', str(tmp_path), progress=False))
    assert report.counts == {'missing file': 1}
    for people, expected in ((1, {}), (2, {'wrong number of head boxes': 1})):
        boxes = np.arange(2.)[:, None, None] * np.ones((2, 2, people))  # from (0, 0) to (1, 1)
        savemat(str(tmp_path / 'annotations/mpii_gt_val.mat'), dict(headboxes_src=boxes))
        report = Report()
        report.collect(check_folder('mpii', str(tmp_path), progress=False))
        assert report.counts == expected
