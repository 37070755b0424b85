"""Images that do not open, and sizes of photographs with an EXIF orientation."""
import json

import mmcv
import numpy as np
import pytest
from PIL import Image

from mmpose_mspn.data_check.files import image_sizes
from mmpose_mspn.data_check.problems import Report
from tests.test_data_check.files import (
    check,
    coco,
    write_and_check,
)


def test_images_that_do_not_open(tmp_path):
    content = coco()
    write_and_check(tmp_path, content)
    whole = (tmp_path / '1.jpg').read_bytes()
    (tmp_path / '2.jpg').write_bytes(b'not an image')
    (tmp_path / '1.jpg').write_bytes(whole[:len(whole) // 2])
    report = check(tmp_path)
    assert report.counts == {'image that does not open': 1}  # the header of the truncated image is intact
    report = check(tmp_path, decode=True)
    assert report.counts == {'image that does not open': 2}
    assert 'truncated' in str(report)


def write_rotated(path, orientation, kind='JPEG'):
    """A photograph that is stored with 64 × 48 px and an EXIF orientation."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    Image.fromarray(noise).save(path, kind, exif=tags)


@pytest.mark.parametrize('decode', [False, True])
@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_sizes_are_those_of_the_images_as_loaded(orientation, kind, decode, tmp_path):
    """For any format and orientation: the annotations must have the size that the datasets' loader gives."""
    write_rotated(tmp_path / '1.jpg', orientation, kind)
    height, width = mmcv.imread(str(tmp_path / '1.jpg')).shape[:2]
    report = Report()
    size, = report.collect(image_sizes([str(tmp_path / '1.jpg')], decode, progress=False)).values()
    assert (size.stored, size.loaded, bool(report)) == ((64, 48), (width, height), False)
    assert kind != 'JPEG' or (width, height) == ((48, 64) if orientation > 4 else (64, 48))


def test_annotations_of_a_rotated_photograph_belong_to_the_turned_image(tmp_path):
    content = coco()
    write_and_check(tmp_path, content)
    write_rotated(tmp_path / '1.jpg', 6)
    report = check(tmp_path)
    assert report.counts == {'annotations of an unrotated photograph': 1}
    assert '1.jpg: (48, 64) as loaded, annotated (64, 48) as stored' in str(report) and 'EXIF' in str(report)
    content['images'][0].update(width=48, height=64)
    content['annotations'][0]['keypoints'][1] = 63  # inside the turned image only
    (tmp_path / 'coco.json').write_text(json.dumps(content))
    report = check(tmp_path)
    assert not report, str(report)


@pytest.mark.parametrize('decode', [False, True])
def test_images_that_only_other_libraries_read_are_found(decode, tmp_path):
    write_and_check(tmp_path, coco())
    Image.new('RGB', (64, 48)).save(tmp_path / '1.jpg', 'GIF')
    (tmp_path / '2.jpg').unlink()
    (tmp_path / '2.jpg').mkdir()
    report = check(tmp_path, decode=decode)
    assert report.counts == {'image that does not open': 2}


def test_the_bar_reaches_the_end(tmp_path, capsys):
    write_and_check(tmp_path, coco())
    check(tmp_path, progress=True)
    assert '2/2' in capsys.readouterr().err.splitlines()[-1]
