"""Images that are kept are those that are decoded, as long as their files do not change."""
import errno
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
from mmpose_mspn.datasets.transforms import LoadImage, load_image
from mmpose_mspn.utils.errors import ConfigError
from tests.places import ROOT

CONFIG = ROOT / 'configs/body_2d_keypoint/topdown_heatmap/coco/td-hm_4xmspn50_8xb32-96k_coco-256x192.py'
IMAGES, PEOPLE = 3, 3

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


def with_cache(settings: dict, folder: Path) -> dict:
    first, *others = settings['pipeline']
    assert first == dict(type='LoadImage')
    return dict(settings, pipeline=[dict(type='mmpose_mspn.LoadImage', cache_folder=str(folder)), *others])


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
    plain, kept = (epochs(which, workers) for which in (settings, with_cache(settings, tmp_path / 'cache')))
    assert len(list((tmp_path / 'cache').iterdir())) == IMAGES
    assert len(plain) == len(kept) == 3 * 5
    for batch, kept_batch in zip(plain, kept):
        assert torch.equal(batch['inputs'], kept_batch['inputs'])
        for mine, theirs in zip(batch['data_samples'], kept_batch['data_samples']):
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
    path, step = tmp_path / 'a.png', LoadImage(cache_folder=str(tmp_path / 'cache'))

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
    step = LoadImage(cache_folder=str(tmp_path / 'cache'))
    first = load(step, tmp_path / 'a.png').copy()
    for _ in range(2):
        image = load(step, tmp_path / 'a.png')
        np.testing.assert_array_equal(image, first)
        image[:] = 0


def test_decoders_are_told_apart(tmp_path):
    draw(tmp_path / 'a.jpg', 1)
    by_opencv, by_pillow = (LoadImage(cache_folder=str(tmp_path / 'cache'), imdecode_backend=name)
                            for name in ('cv2', 'pillow'))
    for step, name in ((by_opencv, 'cv2'), (by_pillow, 'pillow')) * 2:
        np.testing.assert_array_equal(
            load(step, tmp_path / 'a.jpg'), load(LoadImage(imdecode_backend=name), tmp_path / 'a.jpg'))


def test_results_are_those_of_mmposes_step(tmp_path):
    draw(tmp_path / 'a.jpg', 1)
    theirs = TRANSFORMS.build(dict(type='mmpose.LoadImage'))
    expected = theirs(dict(img_path=str(tmp_path / 'a.jpg')))
    step = LoadImage(cache_folder=str(tmp_path / 'cache'))
    for _ in range(2):
        results = step(dict(img_path=str(tmp_path / 'a.jpg')))
        assert results.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(results[name], value)
    given = np.zeros((2, 3, 3), np.uint8)
    assert step(dict(img=given))['img'] is given


def files(folder: Path) -> int:
    return len(list((folder / 'cache').iterdir()))


@pytest.fixture
def three_images(tmp_path) -> list:
    for number in range(3):
        draw(tmp_path / f'{number}.jpg', number)
    return [tmp_path / f'{number}.jpg' for number in range(3)]


def test_the_limit_is_kept_and_said_once(tmp_path, three_images, said, monkeypatch):
    """Each image takes 22 kB, and there is room while less than 40 kB are taken."""
    monkeypatch.setattr(load_image, 'LOOK_EVERY', 1)
    monkeypatch.setattr(load_image, 'LEAST_GB', 0)
    step = LoadImage(cache_folder=str(tmp_path / 'cache'), cache_gb=4e-5)
    for path in three_images * 2:
        np.testing.assert_array_equal(load(step, path), load(LoadImage(), path))
    assert files(tmp_path) == 2
    message, = said
    assert str(tmp_path / 'cache') in message and 'its limit is 4e-05 GB' in message


def test_the_disk_is_not_filled(tmp_path, three_images, said, monkeypatch):
    monkeypatch.setattr(load_image, 'RESERVE', 2**62)
    step = LoadImage(cache_folder=str(tmp_path / 'cache'))
    np.testing.assert_array_equal(load(step, three_images[0]), load(LoadImage(), three_images[0]))
    assert files(tmp_path) == 0 and len(said) == 1


def test_an_error_of_the_disk_ends_nothing_and_is_said_once(tmp_path, three_images, said, monkeypatch):
    def fail(file, image):
        file.write(b'a part')
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(np, 'save', fail)
    step = LoadImage(cache_folder=str(tmp_path / 'cache'))
    for path in three_images:
        np.testing.assert_array_equal(load(step, path), load(LoadImage(), path))
    message, = said
    assert 'No space left on device' in message and files(tmp_path) == 0


@pytest.mark.parametrize('content', [b'', b'no array', None])
def test_a_damaged_file_is_written_again(content, tmp_path):
    """As a crash of the machine may leave it; ``None``: half of the file."""
    draw(tmp_path / 'a.png', 1)
    step = LoadImage(cache_folder=str(tmp_path / 'cache'))
    load(step, tmp_path / 'a.png')
    kept, = (tmp_path / 'cache').iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[:len(whole) // 2] if content is None else content)
    np.testing.assert_array_equal(load(step, tmp_path / 'a.png'), load(LoadImage(), tmp_path / 'a.png'))
    assert kept.read_bytes() == whole


def test_a_limit_without_a_folder_keeps_nothing_and_says_so(tmp_path, said):
    """Configs of earlier versions have it, whose images were kept in memory."""
    draw(tmp_path / 'a.jpg', 1)
    image = load(LoadImage(cache_gb=4), tmp_path / 'a.jpg')
    np.testing.assert_array_equal(image, load(LoadImage(), tmp_path / 'a.jpg'))
    message, = said
    assert 'cache_folder' in message


@pytest.mark.parametrize('name, content', [('nowhere.jpg', None), ('broken.jpg', b'none')])
def test_images_that_cannot_be_loaded_raise_what_mmposes_step_raises(name, content, tmp_path):
    if content:
        (tmp_path / name).write_bytes(content)
    raised = []
    for step in (TRANSFORMS.build(dict(type='mmpose.LoadImage')), LoadImage(cache_folder=str(tmp_path / 'cache'))):
        with pytest.raises(Exception, match=name) as error:
            load(step, tmp_path / name)
        raised.append((error.type, str(error.value)))
    assert raised[0] == raised[1]


@pytest.mark.parametrize('wrong, message', [
    (dict(cache_gb=0), 'cache_gb .*got 0'),
    (dict(cache_gb=-1), 'got -1'),
    (dict(cache_gb=float('nan')), 'got nan'),
    (dict(cache_gb='4'), "got '4'"),
    (dict(cache_gb=True), 'got True'),
    (dict(cache_folder='/tmp', to_float32=True), 'to_float32'),
    (dict(cache_folder='/tmp', color_type='grayscale'), 'color_type'),
    (dict(cache_folder='/tmp', backend_args=dict(backend='local')), 'backend_args'),
])
def test_wrong_values_are_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        LoadImage(**wrong)
