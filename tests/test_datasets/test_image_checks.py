"""Images that are refused, with their names, when a dataset loads them, and those that are loaded all the same."""
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.utils import digit_version
from PIL import Image

from mmpose_mspn.utils.errors import DataError
from tests.places import ROOT
from tests.test_datasets.coco_files import box, dataset, edited, write_coco


def picture(size=(80, 90), mode='RGB') -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(noise).convert(mode)


@pytest.mark.parametrize('mode, kind', [('L', 'JPEG'), ('L', 'PNG'), ('RGBA', 'PNG'), ('P', 'PNG'), ('I;16', 'PNG'),
                                        ('CMYK', 'JPEG'), ('LA', 'PNG')])
def test_images_of_other_colors_are_loaded(tmp_path, mode, kind):
    write_coco(tmp_path)
    made = Image.fromarray(np.arange(7200, dtype=np.uint16).reshape(90, 80)) if mode == 'I;16' else picture(mode=mode)
    made.save(tmp_path / 'a.jpg', kind)
    assert dataset(tmp_path)[0]['inputs'].shape == (3, 64, 48)


def animation(path: Path) -> None:
    picture().save(path, 'GIF', save_all=True, append_images=[picture()])


def truncated(kind: str):
    def write(path: Path) -> None:
        picture().save(path, kind)
        path.write_bytes(path.read_bytes()[:3000])
    return write


@pytest.mark.parametrize('content', [b'', b'not an image', None])
def test_an_image_that_does_not_decode_is_named(tmp_path, content):
    write_coco(tmp_path)
    whole = (tmp_path / 'a.jpg').read_bytes()
    (tmp_path / 'a.jpg').unlink()
    if content is not None:
        (tmp_path / 'a.jpg').write_bytes(content)
    with pytest.raises(DataError, match=r'image .*a.jpg is missing or does not decode.*check_data.py'):
        dataset(tmp_path)[0]
    (tmp_path / 'a.jpg').write_bytes(whole)
    dataset(tmp_path)[0]


needs_strict_opencv = pytest.mark.skipif(
    digit_version(cv2.__version__) < digit_version('4.11'),
    reason='OpenCV below 4.11 reads a truncated JPEG file as if it were whole; tools/check_data.py --decode finds it')


@pytest.mark.parametrize('write', [animation, pytest.param(truncated('JPEG'), marks=needs_strict_opencv),
                                   truncated('PNG'), Path.mkdir,
                                   lambda path: path.write_bytes(b'GIF89a')])
def test_images_that_opencv_does_not_read_are_named(tmp_path, write):
    write_coco(tmp_path)
    (tmp_path / 'a.jpg').unlink()
    write(tmp_path / 'a.jpg')
    with pytest.raises(DataError, match=r'image .*a.jpg is missing or does not decode'):
        dataset(tmp_path)[0]


def rotated(path: Path, orientation: int) -> None:
    """A photograph of 80 × 90 px as stored, with an EXIF orientation."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    picture().save(path, 'JPEG', exif=tags)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('with_box_file', [False, True])
def test_a_photograph_annotated_as_stored_is_refused_if_the_loader_turns_it(tmp_path, orientation, with_box_file):
    """Orientations 5 to 8 swap width and height; 2 to 4 cannot be told from the sizes."""
    write_coco(tmp_path)
    rotated(tmp_path / 'a.jpg', orientation)
    (tmp_path / 'boxes.json').write_text(json.dumps([box()]))
    made = dataset(tmp_path, **(dict(bbox_file='boxes.json', test_mode=True) if with_box_file else {}))
    if orientation < 5:
        made[0]
        return
    with pytest.raises(DataError, match='a.jpg has 90 x 80 px as loaded, .* but 80 x 90 px in ann_file .*people.json'):
        made[0]
    with edited(tmp_path) as content:
        content['images'][0].update(width=90, height=80)
    dataset(tmp_path)[0]


@pytest.mark.parametrize('size', [(40, 45), (81, 90)])
def test_an_image_of_another_size_than_annotated_is_refused(tmp_path, size):
    """mmpose would cut boxes at the annotated size, and keypoints would lie elsewhere in a resized image."""
    write_coco(tmp_path)
    picture().resize(size).save(tmp_path / 'a.jpg')
    with pytest.raises(DataError, match=f'a.jpg has {size[0]} x {size[1]} px as loaded, but 80 x 90 px in ann_file'):
        dataset(tmp_path)[0]


def test_the_configs_pack_what_the_check_of_the_size_needs():
    """Their training pipelines name the entries of a sample one by one."""
    loaders = Config.fromfile(str(ROOT / 'configs/_base_/datasets/topdown_loaders.py'))
    assert {'img_id', 'img_path', 'ori_shape'} <= set(loaders.train_meta)
