"""Images that are kept are those that are decoded, as long as their files do not change."""
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.registry import DATASETS, TRANSFORMS
from torch.utils.data import DataLoader

from mmpose_mspn.datasets import stack_samples
from mmpose_mspn.datasets.transforms import LoadImage
from mmpose_mspn.utils import shared_file
from tests.places import ROOT

CONFIG = ROOT / 'configs/body_2d_keypoint/topdown_heatmap/coco/td-hm_4xmspn50_8xb32-96k_coco-256x192.py'
CACHE_GB = 0.0123
IMAGES, PEOPLE = 3, 3

pytestmark = pytest.mark.usefixtures('meeting_folder')


def draw(path: Path, seed: int) -> None:
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, (90, 80 + seed, 3), np.uint8))


def load(step, path: Path) -> np.ndarray:
    return step(dict(img_path=str(path)))['img']


def people(root: Path) -> dict:
    """A dataset's settings: images of people with labeled keypoints, and the 4-stage config's training pipeline."""
    annotations = []
    for number in range(IMAGES):
        draw(root / f'{number}.jpg', number)
        for person in range(PEOPLE):
            points = np.random.default_rng([number, person]).uniform(10, 70, (17, 2)).round(1)
            annotations.append(dict(
                id=PEOPLE * number + person, image_id=number, category_id=1, bbox=[5 + person, 5, 60, 80], area=4800,
                iscrowd=0, num_keypoints=17, keypoints=np.column_stack([points, np.full(17, 2)]).ravel().tolist()))
    content = dict(
        images=[dict(id=number, file_name=f'{number}.jpg', width=80 + number, height=90) for number in range(IMAGES)],
        annotations=annotations, categories=[dict(id=1, name='person')])
    (root / 'people.json').write_text(json.dumps(content))
    settings = Config.fromfile(CONFIG).train_dataloader.dataset.to_dict()
    return dict(settings, data_root=str(root), ann_file='people.json', data_prefix=dict(img=''))


def with_cache(settings: dict) -> dict:
    first, *others = settings['pipeline']
    assert first == dict(type='LoadImage')
    return dict(settings, pipeline=[dict(type='mmpose_mspn.LoadImage', cache_gb=CACHE_GB), *others])


def epochs(settings: dict, workers: int) -> list:
    """Three epochs of batches, whose order and augmentation depend on a seed alone."""
    torch.manual_seed(3)
    np.random.seed(3)

    def seed_worker(number: int) -> None:
        np.random.seed(3 + number)

    loader = DataLoader(DATASETS.build(settings), 2, shuffle=True, num_workers=workers, collate_fn=stack_samples,
                        persistent_workers=workers > 0, worker_init_fn=seed_worker)
    return [batch for _ in range(3) for batch in loader]


@pytest.mark.parametrize('workers', [0, 2])
def test_epochs_are_the_same_with_and_without_the_cache(workers, tmp_path):
    settings = people(tmp_path)
    plain, kept = (epochs(which, workers) for which in (settings, with_cache(settings)))
    assert len(plain) == len(kept) == 3 * 5
    for one, other in zip(plain, kept):
        assert torch.equal(one['inputs'], other['inputs'])
        for mine, theirs in zip(one['data_samples'], other['data_samples']):
            assert mine.img_id == theirs.img_id and mine.ori_shape == theirs.ori_shape
            assert mine.gt_instance_labels.keys() == theirs.gt_instance_labels.keys()
            for name, value in mine.gt_instance_labels.items():
                assert torch.equal(value, theirs.gt_instance_labels[name])
    assert len({batch['inputs'].sum().item() for batch in plain}) > 10  # the augmentation differs between epochs


def write(path: Path, value: int, size: int = 200, time: int = 10**18) -> None:
    """Write an image of one value into a file, with this size in bytes and this time in ns."""
    content = cv2.imencode('.png', np.full((4, 5, 3), value, np.uint8))[1].tobytes()
    path.write_bytes(content.ljust(size, b'\0'))  # decoders do not read behind the end
    os.utime(path, ns=(time, time))


def test_a_kept_image_is_not_decoded_again_until_its_file_changes(tmp_path):
    """Each content has a value of its own, which tells what was decoded."""
    path, step = tmp_path / 'a.png', LoadImage(cache_gb=CACHE_GB)

    def loaded() -> int:
        value, = np.unique(load(step, path))
        return int(value)

    write(path, 1)
    assert loaded() == 1
    write(path, 2)  # in place, with the same size and time: only a second decoding would notice
    assert loaded() == 1 and (load(LoadImage(), path) == 2).all()
    write(path, 3, time=10**18 + 1)
    assert loaded() == 3
    write(path, 4, size=201)
    assert loaded() == 4
    write(tmp_path / 'b.png', 5, size=201)
    os.replace(tmp_path / 'b.png', path)  # another file under the same name, of the same size and time
    assert loaded() == 5


def test_steps_that_write_into_the_image_do_not_change_the_kept_one(tmp_path):
    draw(tmp_path / 'a.png', 1)
    step = LoadImage(cache_gb=CACHE_GB)
    first = load(step, tmp_path / 'a.png').copy()
    for _ in range(2):
        found = load(step, tmp_path / 'a.png')
        np.testing.assert_array_equal(found, first)
        found[:] = 0


def test_decoders_are_told_apart(tmp_path):
    draw(tmp_path / 'a.jpg', 1)
    by_opencv, by_pillow = (LoadImage(cache_gb=CACHE_GB, imdecode_backend=name) for name in ('cv2', 'pillow'))
    for step, name in ((by_opencv, 'cv2'), (by_pillow, 'pillow')) * 2:
        np.testing.assert_array_equal(
            load(step, tmp_path / 'a.jpg'), load(LoadImage(imdecode_backend=name), tmp_path / 'a.jpg'))


def test_results_are_those_of_mmposes_step(tmp_path):
    draw(tmp_path / 'a.jpg', 1)
    theirs = TRANSFORMS.build(dict(type='mmpose.LoadImage'))
    expected = theirs(dict(img_path=str(tmp_path / 'a.jpg')))
    step = LoadImage(cache_gb=CACHE_GB)
    for _ in range(2):
        found = step(dict(img_path=str(tmp_path / 'a.jpg')))
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value)
    given = np.zeros((2, 3, 3), np.uint8)
    assert step(dict(img=given))['img'] is given


def test_a_system_without_shared_files_decodes_as_before(tmp_path, monkeypatch, said):
    draw(tmp_path / 'a.jpg', 1)
    monkeypatch.setattr(shared_file, 'fcntl', None)  # as on Windows
    step = LoadImage(cache_gb=CACHE_GB)
    message, = said
    assert 'there is no cache of decoded images (only Linux shares files without a name)' in message
    for _ in range(2):
        np.testing.assert_array_equal(load(step, tmp_path / 'a.jpg'), load(LoadImage(), tmp_path / 'a.jpg'))


@pytest.mark.parametrize('name, content', [('nowhere.jpg', None), ('broken.jpg', b'none')])
def test_images_that_cannot_be_loaded_raise_what_mmposes_step_raises(name, content, tmp_path):
    if content:
        (tmp_path / name).write_bytes(content)
    raised = []
    for step in (TRANSFORMS.build(dict(type='mmpose.LoadImage')), LoadImage(cache_gb=CACHE_GB)):
        with pytest.raises(Exception, match=name) as error:
            load(step, tmp_path / name)
        raised.append((error.type, str(error.value)))
    assert raised[0] == raised[1]


@pytest.mark.parametrize('wrong, message', [
    (dict(cache_gb=0), 'cache_gb must be a finite number >= 0.001'),
    (dict(cache_gb=-1), 'got -1'),
    (dict(cache_gb=float('nan')), 'got nan'),
    (dict(cache_gb='4'), "got '4'"),
    (dict(cache_gb=True), 'got True'),
    (dict(cache_gb=1, cache_folder='/nowhere'), "cache_folder must be a folder .* got '/nowhere': make the folder"),
    (dict(cache_folder='/tmp'), "cache_folder '/tmp' is given without cache_gb"),
    (dict(cache_gb=1, to_float32=True), 'keep to_float32, color_type and backend_args'),
    (dict(cache_gb=1, color_type='grayscale'), 'keep to_float32, color_type and backend_args'),
    (dict(cache_gb=1, backend_args=dict(backend='local')), 'keep to_float32, color_type and backend_args'),
])
def test_wrong_values_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        LoadImage(**wrong)
