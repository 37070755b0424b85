"""The written dataset: COCO's layout, the same bytes for the same arguments, and no harm to existing files."""
import contextlib
import hashlib
import io
import json
import os

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from mmpose_mspn.synthetic_people import KEYPOINT_NAMES, coco, generate
from mmpose_mspn.utils.errors import OutputError, UserError
from mmpose_mspn.utils.outputs import RECORD

SMALL = (160, 128)
ANNOTATIONS = 'annotations/person_keypoints_{}2017.json'
DETECTIONS = 'person_detection_results/COCO_val2017_detections_AP_H_56_person.json'


def digests(folder):
    return {path.relative_to(folder).as_posix(): hashlib.sha1(path.read_bytes()).hexdigest()
            for path in folder.rglob('*') if path.is_file() and not path.name.startswith('.')}


def make(folder, **changes):
    generate(folder, **{
        'train': 20, 'val': 4, 'seed': 3, 'workers': 1, 'image_size': SMALL, 'progress': False, **changes
    })
    return folder


@pytest.fixture(scope='module')
def small_set(tmp_path_factory):
    return make(tmp_path_factory.mktemp('small'))


def test_the_number_of_workers_does_not_change_a_byte(small_set, tmp_path):
    assert digests(make(tmp_path, workers=2)) == digests(small_set)


def test_seed_and_split_change_images_and_counts_do_not(small_set, tmp_path):
    ours, other = digests(small_set), digests(make(tmp_path / 'seed', seed=4))
    images = [name for name in ours if name.endswith('.jpg')]
    assert len({ours[name] for name in images}) == len(images) == 24
    assert not {ours[name] for name in images} & {other[name] for name in images}
    fewer = digests(make(tmp_path / 'fewer', train=2, val=1))
    assert all(fewer[name] == ours[name] for name in fewer if name.endswith('.jpg'))


def test_layout_is_coco(small_set):
    assert set(os.listdir(small_set)) == {RECORD, 'train2017', 'val2017', 'annotations', 'person_detection_results'}
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
            # Polygons run through the centers of pixels, so they lack half a pixel at the edge.
            drawn = loaded.annToMask(annotation).sum()
            assert .6 * annotation['area'] - 20 < drawn < 1.6 * annotation['area'] + 20


def test_detections_find_the_val_people(small_set):
    found = json.loads((small_set / DETECTIONS).read_text())
    truth = json.loads((small_set / ANNOTATIONS.format('val')).read_text())
    assert {entry['category_id'] for entry in found} == {1}
    for annotation in truth['annotations']:
        x, y, width, height = annotation['bbox']
        near = [entry for entry in found if entry['image_id'] == annotation['image_id'] and entry['score'] >= .5
                and np.allclose(entry['bbox'], annotation['bbox'], atol=.1 * max(width, height))]
        assert near, annotation['bbox']
    for entry in found:
        x, y, width, height = entry['bbox']
        assert x >= 0 and y >= 0 and x + width <= 160.01 and y + height <= 128.01
        assert width > 0 and height > 0 and 0 < entry['score'] <= 1


def test_a_finished_set_is_left_alone(small_set, monkeypatch):
    """No image is drawn and no file is written."""
    before = {path: path.stat().st_mtime_ns for path in small_set.rglob('*')}
    monkeypatch.setattr(coco, 'render_scene', None)
    make(small_set)
    assert {path: path.stat().st_mtime_ns for path in small_set.rglob('*')} == before


@pytest.mark.parametrize('missing', [ANNOTATIONS.format('train'), ANNOTATIONS.format('val'), DETECTIONS])
def test_an_interrupted_set_is_completed(small_set, tmp_path, missing):
    make(tmp_path, train=2, val=1)
    whole = digests(tmp_path)
    (tmp_path / missing).unlink()
    (tmp_path / 'train2017' / '000000000002.jpg').write_bytes(b'half an ima')
    make(tmp_path, train=2, val=1)
    assert digests(tmp_path) == whole


def test_a_failure_while_writing_leaves_no_annotations(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError('no more disk')

    with monkeypatch.context() as patch:
        patch.setattr(coco, 'detection_records', fail)
        with pytest.raises(RuntimeError, match='no more disk'):
            make(tmp_path)
    assert not list(tmp_path.rglob('*.json')) and not list(tmp_path.rglob('*.part'))


def test_other_arguments_are_refused(small_set):
    before = digests(small_set)
    with pytest.raises(OutputError, match=r"'seed': 3.*'seed': 5.*choose another out_dir"):
        make(small_set, seed=5)
    assert digests(small_set) == before


def test_foreign_annotations_are_not_overwritten(tmp_path):
    path = tmp_path / ANNOTATIONS.format('train')
    path.parent.mkdir()
    path.write_text('{"info": {"description": "COCO 2017 Dataset"}, "images": []}')
    with pytest.raises(OutputError, match='not made by this generator'):
        make(tmp_path)
    assert 'COCO 2017 Dataset' in path.read_text()


@pytest.mark.parametrize('changes, names', [
    ({'train': -1}, 'train .*got -1'),
    ({'val': -3}, 'val .*got -3'),
    ({'seed': 2 ** 32}, 'seed must be from 0 to 4294967295, got 4294967296'),
    ({'workers': 0}, 'workers .*got 0'),
    ({'image_size': (8, 256)}, 'width.*got 8'),
    ({'image_size': (320, 9999)}, 'height.*got 9999'),
    ({'image_size': (320,)}, 'image_size')])
def test_bad_values_are_refused(tmp_path, changes, names):
    with pytest.raises(UserError, match=names):
        make(tmp_path / 'new', **changes)
    assert not (tmp_path / 'new').exists()


def test_a_fraction_of_an_image_is_refused(tmp_path):
    with pytest.raises(TypeError, match='train must be an integer from 0 to 999999, got 2.5'):
        make(tmp_path, train=2.5)
