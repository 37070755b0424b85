# Copyright (c) mmpose_mspn contributors. Licensed under Apache-2.0.
"""The synthetic people: files, annotations and anatomy agree with what is drawn."""
import contextlib
import hashlib
import io
import json
import os
import time

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from mmpose_mspn.synthetic_people import (
    KEYPOINT_NAMES,
    OBJECT,
    Build,
    Outfit,
    Part,
    Pose,
    coco,
    compose,
    generate,
    pose_figure,
    render_scene,
)

SMALL = (160, 128)
ANNOTATIONS = 'annotations/person_keypoints_{}2017.json'
DETECTIONS = 'person_detection_results/COCO_val2017_detections_AP_H_56_person.json'


def digests(folder):
    return {path.relative_to(folder).as_posix(): hashlib.sha1(path.read_bytes()).hexdigest()
            for path in folder.rglob('*') if path.is_file()}


def make(folder, **changes):
    generate(folder, **{'train': 20, 'val': 4, 'seed': 3, 'workers': 1, 'image_size': SMALL,
                        'progress': False, **changes})
    return folder


def standing(yaw, size=200, origin=(160, 128)):
    """A figure at attention with its arms a little off the body, in pixels."""
    build = Build.sample(np.random.default_rng(0))
    pose = Pose(yaw=yaw, arms=np.tile([0., 15, 0, 5], (2, 1)), legs=np.tile([0., 5, 0, 0], (2, 1)))
    return pose_figure(build, pose).place(size, np.array(origin))


def scene_of(*figures, occluded=0., seed=0):
    rng = np.random.default_rng(seed)
    outfits = [Outfit.sample(np.random.default_rng(2)) for _ in figures]
    return compose(rng, np.full((256, 320, 3), 128, np.uint8), list(figures), outfits, occluded)


def named(person):
    return dict(zip(KEYPOINT_NAMES, person.keypoints))


@pytest.fixture(scope='module')
def small_set(tmp_path_factory):
    return make(tmp_path_factory.mktemp('small'))


@pytest.fixture(scope='module')
def scenes():
    return [render_scene(np.random.default_rng([9, 9, index])) for index in range(80)]


def test_workers_do_not_change_a_byte(small_set, tmp_path):
    assert digests(make(tmp_path, workers=2)) == digests(small_set)


def test_seed_and_split_change_images_and_counts_do_not(small_set, tmp_path):
    ours, other = digests(small_set), digests(make(tmp_path / 'seed', seed=4))
    images = [name for name in ours if name.endswith('.jpg')]
    assert len({ours[name] for name in images}) == len(images) == 24
    assert not {ours[name] for name in images} & {other[name] for name in images}
    fewer = digests(make(tmp_path / 'fewer', train=2, val=1))
    assert all(fewer[name] == ours[name] for name in fewer if name.endswith('.jpg'))


def test_layout_is_coco(small_set):
    assert set(os.listdir(small_set)) == {'train2017', 'val2017', 'annotations',
                                          'person_detection_results'}
    seen = set()
    for split, count in (('train', 20), ('val', 4)):
        with contextlib.redirect_stdout(io.StringIO()):
            loaded = COCO(str(small_set / ANNOTATIONS.format(split)))
        assert sorted(os.listdir(small_set / f'{split}2017')) == [
            f'{number:012d}.jpg' for number in range(1, count + 1)]
        assert not seen & set(loaded.imgs)
        seen |= set(loaded.imgs)
        for image in loaded.imgs.values():
            path = small_set / f'{split}2017' / image['file_name']
            assert cv2.imread(str(path)).shape == (image['height'], image['width'], 3)
        category, = loaded.cats.values()
        assert category['keypoints'] == list(KEYPOINT_NAMES)
        assert len(category['skeleton']) == 19
        for annotation in loaded.anns.values():
            keypoints = np.array(annotation['keypoints']).reshape(17, 3)
            assert annotation['num_keypoints'] == (keypoints[:, 2] > 0).sum() > 0
            assert (keypoints[keypoints[:, 2] == 0] == 0).all()
            assert annotation['iscrowd'] == 0 and annotation['category_id'] == 1
            # polygons run through the pixels' centers, so they miss half a pixel at the edge
            drawn = loaded.annToMask(annotation).sum()
            assert .6 * annotation['area'] - 20 < drawn < 1.6 * annotation['area'] + 20


def test_detections_find_the_val_people(small_set):
    found = json.loads((small_set / DETECTIONS).read_text())
    truth = json.loads((small_set / ANNOTATIONS.format('val')).read_text())
    assert {entry['category_id'] for entry in found} == {1}
    for annotation in truth['annotations']:
        x, y, width, height = annotation['bbox']
        near = [entry for entry in found if entry['image_id'] == annotation['image_id']
                and entry['score'] >= .5
                and np.allclose(entry['bbox'], annotation['bbox'], atol=.1 * max(width, height))]
        assert near, annotation['bbox']
    for entry in found:
        x, y, width, height = entry['bbox']
        assert x >= 0 and y >= 0 and x + width <= 160.01 and y + height <= 128.01
        assert width > 0 and height > 0 and 0 < entry['score'] <= 1


def test_finished_set_is_left_alone(small_set):
    before = {path: path.stat().st_mtime_ns for path in small_set.rglob('*')}
    start = time.perf_counter()
    make(small_set)
    assert time.perf_counter() - start < .05
    assert {path: path.stat().st_mtime_ns for path in small_set.rglob('*')} == before


@pytest.mark.parametrize('missing', [ANNOTATIONS.format('train'), ANNOTATIONS.format('val'),
                                     DETECTIONS])
def test_interrupted_set_is_completed(small_set, tmp_path, missing):
    make(tmp_path, train=2, val=1)
    whole = digests(tmp_path)
    (tmp_path / missing).unlink()
    (tmp_path / 'train2017' / '000000000002.jpg').write_bytes(b'half an ima')
    make(tmp_path, train=2, val=1)
    assert digests(tmp_path) == whole


def test_failure_on_the_way_leaves_no_annotations(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError('no more disk')

    with monkeypatch.context() as patch:
        patch.setattr(coco, 'detection_records', fail)
        with pytest.raises(RuntimeError, match='no more disk'):
            make(tmp_path)
    assert not list(tmp_path.rglob('*.json')) and not list(tmp_path.rglob('*.tmp'))


def test_other_arguments_are_refused(small_set):
    before = digests(small_set)
    with pytest.raises(ValueError, match=r"'seed': 3.*'seed': 5.*choose another out_dir"):
        make(small_set, seed=5)
    assert digests(small_set) == before


def test_foreign_annotations_are_not_overwritten(tmp_path):
    path = tmp_path / ANNOTATIONS.format('train')
    path.parent.mkdir()
    path.write_text('{"info": {"description": "COCO 2017 Dataset"}, "images": []}')
    with pytest.raises(ValueError, match='not made by this generator'):
        make(tmp_path)
    assert 'COCO 2017 Dataset' in path.read_text()


@pytest.mark.parametrize('changes, message', [
    ({'train': -1}, r'train must be from 0 to 999999, got -1'),
    ({'val': -3}, r'val must be from 0 to 999999, got -3'),
    ({'seed': 2 ** 32}, r'seed must be from 0 to 4294967295, got 4294967296'),
    ({'workers': 0}, r'workers must be from 1 to \d+, got 0'),
    ({'image_size': (8, 256)}, r'width\) must be from 64 to 4096, got 8'),
    ({'image_size': (320, 9999)}, r'height\) must be from 64 to 4096, got 9999'),
    ({'image_size': (320,)}, r'image_size must be \(width, height\), got \(320,\)')])
def test_bad_values_are_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        make(tmp_path / 'new', **changes)
    assert not (tmp_path / 'new').exists()


def test_fraction_of_an_image_is_refused(tmp_path):
    with pytest.raises(TypeError, match='train must be an integer from 0 to 999999, got 2.5'):
        make(tmp_path, train=2.5)


def test_visibility_is_plausible(scenes):
    labels = np.concatenate([person.keypoints[:, 2] for scene in scenes for person in scene.people])
    share = np.bincount(labels.astype(int), minlength=3) / len(labels)
    assert .02 < share[0] < .20 and .08 < share[1] < .30 and .6 < share[2] < .9, share
    assert {len(scene.people) for scene in scenes} >= {1, 2, 3, 4}


def test_labeled_joints_lie_in_image_and_box(scenes):
    for scene in scenes:
        height, width = scene.owner.shape
        for person in scene.people:
            points = person.keypoints[person.keypoints[:, 2] > 0][:, :2]
            assert (points >= 0).all() and (points <= (width - 1, height - 1)).all()
            seen = person.keypoints[person.keypoints[:, 2] == 2][:, :2]
            x, y, w, h = person.box
            assert (seen >= (x - .5, y - .5)).all() and (seen <= (x + w, y + h)).all()


def test_box_and_area_cover_what_is_shown(scenes):
    for scene in scenes:
        for person in scene.people:
            rows, columns = np.nonzero(scene.owner == person.owner)
            x, y, width, height = person.box
            assert x <= columns.min() and columns.max() < x + width <= scene.owner.shape[1]
            assert y <= rows.min() and rows.max() < y + height <= scene.owner.shape[0]
            assert person.area == len(rows)


def test_box_is_tight_for_a_free_person():
    scene = scene_of(standing(0))
    person, = scene.people
    rows, columns = np.nonzero(scene.owner)
    assert person.box == (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)


def test_visible_joints_are_shown_and_hidden_ones_covered(scenes):
    """Of arms and legs, whose joints have parts of their own, both directions hold exactly."""
    limbs = {'elbow': ('UPPER_ARM', 'FOREARM'), 'wrist': ('FOREARM', 'HAND'),
             'knee': ('THIGH', 'SHIN'), 'ankle': ('SHIN', 'FOOT')}
    counts = {1: 0, 2: 0}
    for scene in scenes:
        for person in scene.people:
            for name, (x, y, visibility) in named(person).items():
                side, _, kind = name.rpartition('_')
                if kind not in limbs or not visibility:
                    continue
                pixel = int(np.rint(y)), int(np.rint(x))
                own = {Part[f'{side.upper()}_{part}'] for part in limbs[kind]}
                shown = scene.owner[pixel] == person.owner and scene.parts[pixel] in own
                assert shown == (visibility == 2), (name, scene.owner[pixel], scene.parts[pixel])
                counts[visibility] += 1
    assert min(counts.values()) > 50, counts


@pytest.mark.parametrize('yaw, sign', [(0, 1), (20, 1), (180, -1), (160, -1)])
def test_left_is_the_persons_left(yaw, sign):
    joints = named(scene_of(standing(yaw)).people[0])
    for kind in ('eye', 'ear', 'shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle'):
        left, right = joints[f'left_{kind}'], joints[f'right_{kind}']
        if left[2] and right[2]:
            assert sign * (left[0] - right[0]) > 0, kind


def test_face_shows_from_the_front_only():
    front, back = (named(scene_of(standing(yaw)).people[0]) for yaw in (0, 180))
    for name in ('nose', 'left_eye', 'right_eye'):
        assert front[name][2] == 2 and back[name][2] < 2
    for name in KEYPOINT_NAMES[5:]:
        assert front[name][2] == back[name][2] == 2, name


@pytest.mark.parametrize('yaw, near, far', [(90, 'right', 'left'), (-90, 'left', 'right')])
def test_side_view_hides_the_far_side(yaw, near, far):
    joints = named(scene_of(standing(yaw)).people[0])
    for kind in ('eye', 'ear', 'shoulder'):
        assert joints[f'{near}_{kind}'][2] == 2 and joints[f'{far}_{kind}'][2] < 2, kind


def test_a_person_in_front_hides_the_one_behind():
    scene = scene_of(standing(0), standing(0, size=210))
    front = [person for person in scene.people if person.owner == 2]
    behind = [person for person in scene.people if person.owner == 1]
    assert all((person.keypoints[5:, 2] == 2).all() for person in front) and front
    assert all((person.keypoints[5:, 2] < 2).sum() >= 8 for person in behind)


def test_an_object_hides_joints():
    hidden = 0
    for seed in range(10):
        scene = scene_of(standing(0), occluded=1., seed=seed)
        for x, y, visibility in scene.people[0].keypoints:
            if visibility:
                covered = scene.owner[int(np.rint(y)), int(np.rint(x))] == OBJECT
                assert covered == (visibility == 1)
                hidden += covered
    assert hidden


def test_cut_off_joints_are_not_labeled():
    person, = scene_of(standing(0, origin=(160, 250))).people
    joints = named(person)
    for name in ('left_knee', 'right_knee', 'left_ankle', 'right_ankle'):
        assert (joints[name] == 0).all()
    assert person.box[1] + person.box[3] == 256


def test_nobody_outside_the_image_is_annotated():
    assert scene_of(standing(0, origin=(900, 128))).people == []


def test_bones_keep_their_length_in_any_pose():
    rng = np.random.default_rng(1)
    for _ in range(50):
        figure = pose_figure(Build.sample(rng), Pose.sample(rng))
        for start, end, length in (('shoulder', 'elbow', 'upper_arm'),
                                   ('elbow', 'wrist', 'forearm'),
                                   ('hip', 'knee', 'thigh'), ('knee', 'ankle', 'shin')):
            for side in ('left', 'right'):
                bone = figure.points[f'{side}_{end}'] - figure.points[f'{side}_{start}']
                assert np.linalg.norm(bone) == pytest.approx(getattr(figure.build, length))
