"""MPII by the official protocol, with the stock metric."""
import json

import cv2
import numpy as np
import pytest
from mmengine.structures import InstanceData
from mmpose.evaluation.metrics import MpiiPCKAccuracy
from mmpose.registry import DATASETS
from scipy.io import savemat

import mmpose_mspn  # noqa: F401  registers the parts
from mmpose_mspn.utils.errors import ConfigError, DataError

TEST_PIPELINE = [
    dict(type='mmpose.LoadImage'),
    dict(type='mmpose_mspn.WidenBBox', fixed=(.25, .25)),
    dict(type='mmpose.TopdownAffine', input_size=(256, 256)),
    dict(type='mmpose.PackPoseInputs'),
]


def person(number, **changes):
    draw = np.random.default_rng(number)
    return dict(
        image=f'{number:09d}.jpg', center=[100. + number, 60.], scale=0.5,
        joints=draw.uniform(10, 110, (16, 2)).tolist(), joints_vis=[1] * 15 + [0], **changes)


@pytest.fixture
def folder(tmp_path):
    """Three people in three images, with head boxes of 30 × 40 px."""
    people = [person(number) for number in range(1, 4)]
    for entry in people:
        cv2.imwrite(str(tmp_path / entry['image']), np.full((128, 200, 3), 90, np.uint8))
    (tmp_path / 'people.json').write_text(json.dumps(people))
    boxes = np.zeros((2, 2, 3))
    boxes[1] = np.array([[30.], [40.]])
    savemat(str(tmp_path / 'heads.mat'), dict(headboxes_src=boxes))
    return tmp_path


def build(folder, **changes):
    return DATASETS.build({
        'type': 'mmpose_mspn.MpiiDataset', 'data_root': str(folder), 'ann_file': 'people.json', 'pipeline': [],
        **changes
    })


def test_center_scale_joints_and_visibility(folder):
    info = build(folder)[0]
    # center (101, 60) and scale 0.5: down 7.5, then back 1; a square of 100 px
    assert info['bbox'].tolist() == [[50., 16.5, 150., 116.5]]
    assert info['bbox_center'].tolist() == [[100., 66.5]]
    assert info['bbox_scale'].tolist() == [[100., 100.]]
    assert info['keypoints'][0] == pytest.approx(np.array(person(1)['joints']) - 1, abs=1e-4)
    assert info['keypoints_visible'].tolist() == [[2.] * 15 + [0.]]
    assert info['img_id'] == 1
    assert info['raw_ann_info'] == dict(image='000000001.jpg', center=[101., 60.], scale=0.5)


def test_an_unknown_center_stays_unknown(folder):
    (folder / 'people.json').write_text(json.dumps([dict(person(1), center=[-1., -1.])]))
    assert build(folder)[0]['bbox_center'].tolist() == [[-2., -2.]]


def evaluate(people, moved_by):
    """The stock metric for predictions ``moved_by`` px to the right of the truth, which counts from 1."""
    metric = MpiiPCKAccuracy()
    for number in range(len(people)):
        sample = people[number]['data_samples']
        truth = np.array(person(number + 1)['joints'], np.float32)[None]
        sample.pred_instances = InstanceData(
            keypoints=truth - 1 + np.array([moved_by, 0], np.float32), keypoint_scores=np.ones((1, 16)))
        metric.process([], [sample.to_dict()])
    return metric.evaluate(len(people))


def test_stock_metric_measures_from_the_annotated_joint(folder):
    """Head size 0.6 · 50 = 30 px: PCKh's limit of one half is 15 px, and a limit of 0.1 is 3 px."""
    people = build(folder, test_mode=True, headbox_file='heads.mat', pipeline=TEST_PIPELINE)
    assert people[0]['data_samples'].gt_instances.head_size.item() == pytest.approx(30)
    right = evaluate(people, 0.)
    # A keypoint that is labeled in no person counts as 0 there; PCK ignores it.
    assert right['PCK'] == pytest.approx(100) and right['PCK@0.1'] == pytest.approx(100)
    assert evaluate(people, 14.9)['PCK'] == pytest.approx(100)
    assert evaluate(people, 15.1)['PCK'] == pytest.approx(0)
    assert evaluate(people, -2.9)['PCK@0.1'] == pytest.approx(100)
    assert evaluate(people, -3.1)['PCK@0.1'] == pytest.approx(0)


def test_a_test_set_without_joints_keeps_all_people(folder):
    bare = [{name: person(number)[name] for name in ('image', 'center', 'scale')} for number in (1, 2, 3)]
    (folder / 'people.json').write_text(json.dumps(bare))
    people = build(folder, test_mode=True, pipeline=TEST_PIPELINE)
    assert len(people) == 3
    assert people[2]['inputs'].shape == (3, 256, 256)
    with pytest.raises(DataError, match='person 0 of .*people.json: no joints, joints_vis'):
        build(folder)


def test_missing_files_say_what_to_do(folder):
    with pytest.raises(FileNotFoundError, match='ann_file .*none.json does not exist: put MPII there'):
        build(folder, ann_file='none.json')
    with pytest.raises(FileNotFoundError, match='headbox_file .*none.mat does not exist'):
        build(folder, test_mode=True, headbox_file='none.mat')


def test_a_wrong_number_of_head_boxes_is_refused(folder):
    (folder / 'people.json').write_text(json.dumps([person(1)]))
    with pytest.raises(DataError, match=r'heads.mat: .*\(2, 2, 3\), not \(2, 2, 1\)'):
        build(folder, test_mode=True, headbox_file='heads.mat')


def test_a_wrong_number_of_joints_is_refused(folder):
    (folder / 'people.json').write_text(json.dumps([dict(person(1), joints=[[1, 1]] * 15)]))
    with pytest.raises(DataError, match='person 0 of .*16 joints'):
        build(folder)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize('content, message', [
    ('', 'ann_file .*people.json is empty: fetch or write it again'),
    ('[{"image": ', r'ann_file .*people.json is not JSON \(.*\): download it or write it again'),
    ('{"images": []}', 'ann_file .*people.json must hold a list, got dict'),
    ('[]', 'people.json holds no person to train on: it needs people with "image", a "center"'),
    ('[7]', 'person 0 of .*people.json: no image, center, scale, joints, joints_vis'),
])
def test_annotation_files_with_other_content_are_refused(content, message, folder):
    (folder / 'people.json').write_text(content)
    with pytest.raises(DataError, match=message):
        build(folder)


NAN, INF = float('nan'), float('inf')
WITHOUT_POSITION = [dict(scale=0), dict(scale=-.5), dict(scale=NAN), dict(scale=INF), dict(scale=None),
                 dict(center=[NAN, 60.]), dict(center=[100., -INF]), dict(center=[100.]), dict(center=None)]


@pytest.mark.parametrize('changes', WITHOUT_POSITION)
def test_people_without_a_position_are_skipped_in_training(changes, folder, logged):
    (folder / 'people.json').write_text(json.dumps([person(1), {**person(2), **changes}, person(3)]))
    people = build(folder)
    assert [people[number]['id'] for number in range(len(people))] == [0, 2]
    assert logged == [f'{folder}/people.json: 2 people; skipped: 1 without a finite center and a scale > 0']


@pytest.mark.parametrize('changes', WITHOUT_POSITION)
def test_a_test_needs_the_position_of_every_person(changes, folder):
    (folder / 'people.json').write_text(json.dumps([person(1), {**person(2), **changes}]))
    with pytest.raises(DataError, match=r'person 1 of .*people.json: center .* and scale '):
        build(folder, test_mode=True)


@pytest.mark.parametrize('joints', [[[-1, -1]] * 16, [[30, 40]] * 16])
def test_people_without_labeled_joints_are_skipped_in_training(joints, folder, logged):
    unlabeled = {**person(1), 'joints': joints, 'joints_vis': [0] * 16}
    (folder / 'people.json').write_text(json.dumps([unlabeled, person(2)]))
    assert build(folder)[0]['id'] == 1
    assert logged == [f'{folder}/people.json: 1 people; skipped: 1 without keypoints']
    assert len(build(folder, test_mode=True)) == 2


def test_a_file_without_usable_people_says_why(folder):
    (folder / 'people.json').write_text(json.dumps([{**person(1), 'scale': 0}, {**person(2), 'joints_vis': [0] * 16}]))
    with pytest.raises(DataError, match='holds no person to train on; skipped: 1 without a finite center and a scale '
                                         '> 0, 1 without keypoints: it needs people'):
        build(folder)


def test_valid_people_are_not_logged(folder, logged):
    assert len(build(folder)) == len(build(folder, test_mode=True, headbox_file='heads.mat')) == 3
    assert logged == []


def test_an_image_that_does_not_decode_is_named(folder):
    (folder / person(2)['image']).write_bytes(b'no image')
    with pytest.raises(DataError, match='image .*000000002.jpg is missing or does not decode'):
        build(folder, pipeline=TEST_PIPELINE)[1]


@pytest.mark.parametrize('test_mode', [False, True])
@pytest.mark.parametrize('changes, message', [
    (dict(joints=[[NAN, 1.]] + [[1., 1.]] * 15), 'joint 0 at'),
    (dict(joints=[[1., 1e10]] + [[1., 1.]] * 15), 'joint 0 at .* far outside'),
    (dict(joints=None), '16 joints'),
    (dict(joints_vis=['1'] * 16), "joint 0 has '1'"),
    (dict(image=7), 'image 7'),
    (dict(scale=1e10), 'center .* and scale .* far outside'),
    (dict(center=[1e10, 5]), 'center .* far outside'),
])
def test_people_with_faulty_values_are_refused_by_number(changes, message, test_mode, folder):
    (folder / 'people.json').write_text(json.dumps([person(1), {**person(2), **changes}]))
    with pytest.raises(DataError, match=f'person 1 of .*people.json: {message}'):
        build(folder, test_mode=test_mode)


def test_images_need_not_be_named_by_numbers(folder):
    names = ['b.jpg', 'a.jpg', 'b.jpg', '000000001.jpg']
    (folder / 'people.json').write_text(json.dumps([{**person(1), 'image': name} for name in names]))
    people = build(folder)
    assert [people.get_data_info(number)['img_id'] for number in range(4)] == [-1, -2, -1, 1]


@pytest.mark.parametrize('value', [0., NAN, INF])
def test_head_boxes_without_a_size_are_refused(value, folder):
    """mmpose counts every joint of such a person as right."""
    boxes = np.ones((2, 2, 3))
    boxes[0] = 0
    boxes[1, :, 2] = value
    savemat(str(folder / 'heads.mat'), dict(headboxes_src=boxes))
    with pytest.raises(DataError, match='heads.mat: the box of person 2'):
        build(folder, test_mode=True, headbox_file='heads.mat')


@pytest.mark.parametrize('write', [
    lambda path: path.write_bytes(b'no matrix'),
    lambda path: path.write_bytes(path.read_bytes()[:150]),
    lambda path: savemat(str(path), dict(other=np.ones(3))),
    lambda path: savemat(str(path), dict(headboxes_src=np.array(['a', 'b']))),
])
def test_other_files_of_head_boxes_are_refused(write, folder):
    write(folder / 'heads.mat')
    with pytest.raises(DataError, match='heads.mat'):
        build(folder, test_mode=True, headbox_file='heads.mat')


def test_detected_boxes_are_refused(folder):
    (folder / 'boxes.json').write_text('[]')
    with pytest.raises(ConfigError, match='bbox_file .*boxes.json is not used with MPII'):
        build(folder, test_mode=True, bbox_file='boxes.json')


def test_real_people_fill_the_crop(mpii_sample):
    people = DATASETS.build(dict(
        type='mmpose_mspn.MpiiDataset', data_root=str(mpii_sample), ann_file='test_mpii.json', pipeline=[
            dict(type='mmpose.LoadImage'),
            dict(type='mmpose_mspn.WidenBBox', fixed=(.25, .25)),
            dict(type='mmpose.TopdownAffine', input_size=(256, 256)),
            dict(type='mmpose.GenerateTarget', encoder=dict(
                type='mmpose_mspn.CoarseToFineHeatmap', input_size=(256, 256), heatmap_size=(64, 64))),
            dict(type='mmpose.PackPoseInputs'),
        ]))
    assert len(people) == 5
    labeled = inside = 0
    for number in range(len(people)):
        sample = people[number]['data_samples']
        labeled += (sample.gt_instances.keypoints_visible == 2).sum()
        inside += (sample.gt_instance_labels.keypoints_visible == 2).sum().item()
    assert inside > 0.9 * labeled > 0
