"""Visibility 0/1/2 and unclipped boxes on mmpose's own datasets, for any keypoint set, and conversions of keypoints."""
import copy
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmpose.registry import DATASETS, TRANSFORMS

from mmpose_mspn.datasets import LoadVisibility
from mmpose_mspn.utils.errors import ConfigError
from tests.building import backbone, codec, head
from tests.places import ROOT
from tests.test_datasets.coco_files import edited, write_coco
from tests.test_datasets.keypoint_sets import keypoints, write_whole_body

LOAD = dict(type='mmpose_mspn.LoadVisibility')


def build(root: Path, pipeline=(), **changes):
    """mmpose's own ``CocoDataset`` unless ``type`` says otherwise."""
    return DATASETS.build({
        'type': 'CocoDataset', 'data_root': str(root), 'ann_file': 'people.json', 'data_prefix': dict(img=''),
        'pipeline': list(pipeline), **changes
    })


def assert_same(first: dict, second: dict) -> None:
    assert set(first) == set(second)
    for name in set(first) - {'dataset'}:
        np.testing.assert_equal(first[name], second[name], name)


@pytest.mark.parametrize('kind, count', [('CocoDataset', 17), ('AicDataset', 14), ('CrowdPoseDataset', 14)])
def test_stock_samples_get_what_was_annotated(kind, count, tmp_path):
    root = write_coco(tmp_path, keypoints(count), bbox=(-3, 5, 90, 100))
    clipped = build(root, type=kind)[0]
    assert clipped['keypoints_visible'].max() == 1 and clipped['bbox'].min() == 0
    loaded = build(root, [LOAD], type=kind)[0]
    assert loaded['keypoints_visible'].tolist() == [[i % 3 for i in range(count)]]
    assert loaded['bbox'].tolist() == [[-3, 5, 87, 105]]
    assert loaded['keypoints_visible'].dtype == loaded['bbox'].dtype == np.float32


def test_whole_body_parts_follow_the_body(tmp_path):
    """Feet, face, left and right hand in this order; fractions are visible."""
    feet = [[30, 30, visible] for visible in (0, 1, 2, 0.25, 1.5, 0)]
    root = write_whole_body(tmp_path, foot_kpts=sum(feet, []))
    visible = build(root, [LOAD], type='CocoWholeBodyDataset')[0]['keypoints_visible'][0].tolist()
    assert visible[:4] == [0, 1, 2, 2] and visible[17:23] == [0, 1, 2, 2, 2, 0]
    assert visible[23:29] == visible[91:97] == visible[112:118] == [0, 1, 2, 0, 1, 2]
    body = build(root, [LOAD])[0]['keypoints_visible']
    assert body.tolist() == [visible[:17]], 'CocoDataset reads the body alone from the same file'


def test_all_people_of_a_bottom_up_image(tmp_path):
    write_coco(tmp_path)
    with edited(tmp_path) as content:
        second = np.array([[30, 40, 2]] * 16 + [[0, 0, 0]]).ravel().tolist()
        content['annotations'].append(dict(content['annotations'][0], id=8, keypoints=second, bbox=[-5, 0, 20, 30]))
        content['images'].append(dict(content['images'][0], id=2))
    images = build(tmp_path, [LOAD], data_mode='bottomup', test_mode=True)
    assert images[0]['keypoints_visible'].tolist() == [[0, 1] + [2] * 15, [2] * 16 + [0]]
    assert images[0]['bbox'].tolist() == [[10, 5, 70, 85], [-5, 0, 15, 30]]
    assert images[1]['raw_ann_info'] is None, 'an image without people passes unchanged'


def test_twice_is_the_same_as_once(tmp_path):
    sample = build(write_coco(tmp_path, bbox=(-3, 5, 90, 100)), [LOAD])[0]
    assert_same(LoadVisibility()(copy.deepcopy(sample)), sample)


@pytest.mark.parametrize('kind', ['CocoDataset', 'mmpose_mspn.CocoDataset'])
def test_steps_before_it_see_the_clipped_box_and_steps_after_it_the_annotated_one(kind, tmp_path):
    """Centers of both: (0 + 79) / 2 and (-3 + 87) / 2."""
    root = write_coco(tmp_path, bbox=(-3, 5, 90, 100))
    center = dict(type='GetBBoxCenterScale')
    assert build(root, [center, LOAD], type=kind)[0]['bbox_center'][0, 0] == 39.5
    assert build(root, [LOAD, center], type=kind)[0]['bbox_center'][0, 0] == 42


def test_our_dataset_runs_it_first_unless_the_pipeline_names_it(tmp_path):
    root = write_coco(tmp_path, bbox=(-3, 5, 90, 100))
    ours = 'mmpose_mspn.CocoDataset'
    assert_same(build(root, type=ours)[0], build(root, [LOAD])[0])
    assert_same(build(root, [LOAD], type=ours)[0], build(root, [LOAD])[0])
    assert_same(build(root, [LOAD], type=ours).get_data_info(0), build(root).get_data_info(0))


def test_a_wrong_visibility_is_refused_by_our_dataset_when_it_is_loaded_wherever_the_step_stands(tmp_path):
    write_coco(tmp_path, keypoints=[[20, 20, 3]] * 17)
    with pytest.raises(ValueError, match='people.json: annotation 7 of image .*a.jpg: visibility must be'):
        build(tmp_path, [LOAD], type='mmpose_mspn.CocoDataset')


# ---------------------------------------------------------------- samples without an annotation


def test_detector_boxes_pass_unchanged(tmp_path):
    write_coco(tmp_path)
    boxes = tmp_path / 'boxes.json'
    boxes.write_text(json.dumps([dict(image_id=1, category_id=1, bbox=[-1, 2, 100, 40], score=.5)]))
    options = dict(bbox_file=str(boxes), test_mode=True)
    assert_same(build(tmp_path, [LOAD], **options)[0], build(tmp_path, **options)[0])


def test_annotations_without_keypoints_pass_unchanged():
    """``mmpose_mspn.MpiiDataset`` ships a person's position only."""
    sample = dict(raw_ann_info=dict(image='1.jpg', center=[3., 4.], scale=1.), keypoints_visible=np.ones((1, 16)),
                  keypoints=np.zeros((1, 16, 2)), bbox=np.zeros((1, 4)))
    assert_same(LoadVisibility()(copy.deepcopy(sample)), sample)


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize('visible', [3, -1, .5, float('nan')])
def test_a_wrong_visibility_is_refused_by_annotation(visible, tmp_path):
    people = build(write_coco(tmp_path, [[20, 20, visible]] + [[20, 20, 2]] * 16), [LOAD])
    with pytest.raises(ValueError, match=rf'annotation 7 of image .*a.jpg: visibility must be 0, 1 or 2, got '
                                         rf'\[{float(visible)}\]'):
        people[0]


@pytest.mark.parametrize('visible', [-1, float('nan')])
def test_a_wrong_visibility_of_a_part_is_refused_by_annotation(visible, tmp_path):
    people = build(write_whole_body(tmp_path, face_kpts=[30, 30, visible] * 68), [LOAD], type='CocoWholeBodyDataset')
    with pytest.raises(ValueError, match=f'annotation 7 of image .*visibility must be >= 0, got {float(visible)}'):
        people[0]


SWAP = dict(type='mmpose_mspn.KeypointConverter', num_keypoints=17, mapping=[(i, 16 - i) for i in range(17)])
FEWER = dict(type='mmpose_mspn.KeypointConverter', num_keypoints=3, mapping=[(i, i) for i in range(3)])


@pytest.mark.parametrize('kind', ['CocoDataset', 'mmpose_mspn.CocoDataset'])
@pytest.mark.parametrize('step', [dict(type='RandomFlip', prob=1.), SWAP, FEWER])
def test_steps_that_move_or_convert_keypoints_must_follow_it(kind, step, tmp_path):
    write_coco(tmp_path)
    load_image = dict(type='LoadImage')
    with pytest.raises(ValueError, match='annotation 7 .*place LoadVisibility right after LoadImage'):
        build(tmp_path, [load_image, step, LOAD], type=kind)[0]
    build(tmp_path, [load_image, LOAD, step], type=kind)[0]


# ---------------------------------------------------------------- in pipelines


def test_the_official_pipeline_is_the_same_on_the_stock_dataset(coco_sample):
    """Real photographs; the same random numbers for each person."""
    cfg = Config.fromfile(str(ROOT / 'configs/_base_/datasets/coco_256x192.py'))
    first, *others = cfg.train_pipeline[:-2]
    files = dict(ann_file='test_coco.json')
    ours = build(coco_sample, [first, *others], type='mmpose_mspn.CocoDataset', **files)
    stock = build(coco_sample, [first, LOAD, *others], **files)
    assert len(ours) == len(stock) > 10
    for index in range(len(ours)):
        for seed in range(3):
            samples = []
            for people in (ours, stock):
                np.random.seed(seed)
                samples.append(people[index])
            assert_same(*samples)


FIVE = {index: dict(name=name, id=index, type=half, swap=swap) for index, (name, half, swap) in enumerate([
    ('head', 'upper', ''), ('left_hand', 'upper', 'right_hand'), ('right_hand', 'upper', 'left_hand'),
    ('left_foot', 'lower', 'right_foot'), ('right_foot', 'lower', 'left_foot')])}
METAINFO = dict(
    dataset_name='five', keypoint_info=FIVE, skeleton_info={0: dict(link=('head', 'left_hand'), id=0)},
    joint_weights=[1.] * 5, sigmas=[.05] * 5)


def write_five(root: Path) -> Path:
    """Eight people of five keypoints, some of them occluded."""
    draw = np.random.default_rng(0)
    cv2.imwrite(str(root / 'a.jpg'), draw.integers(0, 255, (90, 80, 3), np.uint8))
    people = []
    for number in range(8):
        positions = draw.uniform([10, 10], [70, 80], (5, 2))
        visible = [2, 2, 1, 2, 1] if number else [2, 2, 2, 2, 0]
        people.append(dict(
            id=number, image_id=1, category_id=1, bbox=[5, 5, 70, 80], area=5600, iscrowd=0, num_keypoints=5,
            keypoints=np.column_stack([positions, visible]).ravel().tolist()))
    content = dict(images=[dict(id=1, file_name='a.jpg', width=80, height=90)], annotations=people,
                   categories=[dict(id=1, name='person')])
    (root / 'people.json').write_text(json.dumps(content))
    return root


def train_loss(root: Path, steps: list) -> torch.Tensor:
    """The total loss of a small 5-keypoint MSPN on the stock ``CocoDataset`` with a metainfo of its own."""
    people = build(root, [
        dict(type='LoadImage'), *steps, dict(type='mmpose_mspn.WidenBBox', fixed=(.05, .05), random=(.6, .8)),
        dict(type='mmpose_mspn.HalfBody', upper_body_ids=(0, 1, 2), min_joints=3),
        dict(type='mmpose_mspn.RandomScaleRotation'), dict(type='RandomFlip', prob=.5),
        dict(type='TopdownAffine', input_size=(48, 64)), dict(type='GenerateTarget', encoder=codec()),
        dict(type='PackPoseInputs')
    ], metainfo=METAINFO)
    torch.manual_seed(0)
    np.random.seed(0)
    network, module = backbone(2), head(2, out_channels=5, ohkm_topk=3)
    batch = pseudo_collate([people[index] for index in range(8)])
    losses = module.loss(network(torch.stack(batch['inputs']).float()), batch['data_samples'])
    return sum(value for name, value in losses.items() if 'loss' in name)


def test_another_keypoint_set_is_a_metainfo_and_a_config(tmp_path):
    """Through to the loss, which refuses the clipped visibility that the stock dataset gives without the step."""
    root = write_five(tmp_path)
    total = train_loss(root, [LOAD])
    assert torch.isfinite(total) and total > 0
    total.backward()
    with pytest.raises(ValueError, match="visibility 2.*visibility='labeled'"):
        train_loss(root, [])


def test_the_step_is_registered_for_configs():
    assert isinstance(TRANSFORMS.build(LOAD), LoadVisibility)


# ---------------------------------------------------------------- conversion of keypoints


def convert(source_visible: list, mapping: list) -> dict:
    count = len(source_visible)
    transform = TRANSFORMS.build(dict(type='mmpose_mspn.KeypointConverter', num_keypoints=3, mapping=mapping))
    return transform(dict(
        keypoints=np.array([[[10. * i, i] for i in range(count)]]),
        keypoints_visible=np.array([source_visible], np.float32),
        flip_indices=list(range(count))))


def test_converter_keeps_visibility():
    results = convert([1, 2, 0], [(0, 2), (1, 0)])
    assert results['keypoints_visible'].tolist() == [[2, 0, 1]]
    assert results['keypoints'].tolist() == [[[10, 1], [0, 0], [0, 0]]]


@pytest.mark.parametrize('pair, visible', [((2, 2), 2), ((1, 2), 1), ((0, 2), 0)])
def test_a_pair_is_as_visible_as_its_less_visible_keypoint(pair, visible):
    results = convert(list(pair), [((0, 1), 1)])
    assert results['keypoints_visible'].tolist() == [[0, visible, 0]]
    assert results['keypoints'][0, 1].tolist() == [5, .5]


def test_a_point_between_two_may_be_added_behind_all_of_the_source():
    """COCO to 18 keypoints: the neck lies between the shoulders."""
    neck = TRANSFORMS.build(dict(type='mmpose_mspn.KeypointConverter', num_keypoints=3,
                                 mapping=[(0, 0), (1, 1), ((0, 1), 2)]))
    results = neck.transform(dict(keypoints=np.array([[[0., 4.], [2., 8.]]]), keypoints_visible=np.array([[2., 1.]]),
                                  flip_indices=[1, 0]))
    assert results['keypoints'].tolist() == [[[0, 4], [2, 8], [1, 6]]]
    assert results['keypoints_visible'].tolist() == [[2, 1, 1]] and results['flip_indices'] == [1, 0, 2]


def test_what_a_sample_says_of_its_keypoints_is_converted_too():
    """Nose, left and right eye become right eye, left eye, the point between them, and one that nobody has."""
    step = TRANSFORMS.build(dict(type='mmpose_mspn.KeypointConverter', num_keypoints=4,
                                 mapping=[(2, 0), (1, 1), ((1, 2), 2)]))
    results = step.transform(dict(
        keypoints=np.zeros((1, 3, 2)), keypoints_visible=np.ones((1, 3)), flip_indices=[0, 2, 1], flip_pairs=[(1, 2)],
        upper_body_ids=[0, 1], lower_body_ids=[2], dataset_keypoint_weights=np.array([1., 2., 4.])))
    assert results['flip_indices'] == [1, 0, 2, 3] and results['flip_pairs'] == [(0, 1)]
    assert results['upper_body_ids'] == [1] and results['lower_body_ids'] == [0]
    assert results['dataset_keypoint_weights'].tolist() == [4, 2, 3, 1]


@pytest.mark.parametrize('mapping, named', [
    ([(0, 3)], '3 in the pair'), ([(0, -1)], '-1'), ([(0, 1), (1, 1)], '1 in the pair (1, 1)'),
    ([(0, 1, 2)], '(0, 1, 2)'),
    ([((0, 1, 2), 0)], '(0, 1, 2)'), ([(-1, 0)], '-1'), ([('nose', 0)], 'nose'), (5, '5'), ([(2, 0)], 'which has 2')])
def test_indices_that_name_no_keypoint_are_refused(mapping, named):
    with pytest.raises(ConfigError, match=re.escape(named)):
        convert([1, 2], mapping)
