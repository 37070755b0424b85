"""The crops of the test protocol, with the datasets and transforms that a config names, equal the recorded ones."""
import json

import cv2
import numpy as np
import pytest
from mmpose.registry import DATASETS

import mmpose_mspn  # noqa: F401  registers the parts
from tests import reference

CROPS = reference.record('crop_geometry')
WIDENING = dict(coco=(.09, .135), mpii=(.25, .25))
KEYPOINTS = dict(coco=17, mpii=16)
SIZE = (64, 48)  # of the only image; the geometry does not depend on it


def annotations(name, crops):
    if name == 'mpii':
        return [
            dict(image='1.jpg', center=crop['annotated_center'], scale=crop['annotated_scale'],
                 joints=np.ones((16, 2)).tolist(), joints_vis=[1] * 16) for crop in crops
        ]
    people = [
        dict(id=index, image_id=1, category_id=1, bbox=crop['bbox_xywh'], area=1., iscrowd=0, num_keypoints=17,
             keypoints=[1., 1., 2] * 17) for index, crop in enumerate(crops)
    ]
    return dict(
        images=[dict(id=1, file_name='1.jpg', width=SIZE[0], height=SIZE[1])], annotations=people,
        categories=[dict(id=1, name='person')])


@pytest.mark.parametrize('name', ['coco', 'mpii'])
def test_crops_are_the_official_ones(name, tmp_path):
    crops = [crop for crop in CROPS if crop['dataset'] == name]
    assert crops
    (tmp_path / 'people.json').write_text(json.dumps(annotations(name, crops)))
    cv2.imwrite(str(tmp_path / '1.jpg'), np.zeros((*SIZE[::-1], 3), np.uint8))
    dataset_type = dict(coco='mmpose_mspn.CocoDataset', mpii='mmpose_mspn.MpiiDataset')[name]
    for index, crop in enumerate(crops):
        height, width = crop['input_hw']
        people = DATASETS.build(dict(
            type=dataset_type, data_root=str(tmp_path), ann_file='people.json', test_mode=True, data_mode='topdown',
            pipeline=[
                dict(type='mmpose.LoadImage'),
                dict(type='mmpose_mspn.WidenBBox', fixed=WIDENING[name]),
                dict(type='mmpose.TopdownAffine', input_size=(width, height)),
            ]))
        info = people.get_data_info(index)
        # TopdownAffine maps keypoints with the matrix of the crop, which its effect on four corners determines.
        corners = np.array([[0, 0], [640, 0], [0, 480], [640, 480]], np.float32)
        joints = np.ones((1, KEYPOINTS[name], 2), np.float32)
        joints[0, :4] = corners
        info['keypoints'] = joints
        info['dataset'] = people
        result = people.pipeline(info)
        affine = np.array(crop['affine'])
        expected = corners @ affine[:, :2].T + affine[:, 2]
        assert np.abs(result['transformed_keypoints'][0, :4] - expected).max() < 1e-3
        assert result['input_center'] == pytest.approx(crop['center'], abs=1e-3)
        assert result['input_scale'] == pytest.approx(crop['scale_px'], abs=1e-3)
        assert result['img'].shape[:2] == (height, width)
