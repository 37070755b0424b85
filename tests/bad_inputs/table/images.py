"""Images and videos: missing, damaged, in other formats and orientations."""
import io
import json
from pathlib import Path
from typing import Callable

import numpy as np
from PIL import Image

from tests.bad_inputs.case import Case, Outcome, Place, Rows, check_data, infer, test, train
from tests.bad_inputs.table.edits import TRAIN, replace

FIRST = 'train2017/000000000001.jpg'
ORIENTATION = 0x0112
TURNED = 6
"""The orientation of a photograph that must be turned by 90° to the right."""


def _damaged(content: Callable[[bytes], bytes]) -> Callable[[Place], None]:
    """Change the bytes of an image of the training data and of the validation data."""
    def prepare(place: Place) -> None:
        data = place.own_data()
        for path in (data / FIRST, data / FIRST.replace('train', 'val')):
            replace(path, content(path.read_bytes()))

    return prepare


def _missing(place: Place) -> None:
    data = place.own_data()
    for name in (FIRST, FIRST.replace('train', 'val')):
        (data / name).unlink()


def _encoded(form: str, mode: str, **options: object) -> Callable[[Place], None]:
    def change(content: bytes) -> bytes:
        buffer = io.BytesIO()
        Image.open(io.BytesIO(content)).convert(mode).save(buffer, form, **options)
        return buffer.getvalue()

    return _damaged(change)


def _turned(annotated: bool) -> Callable[[Place], None]:
    """A photograph that is stored sideways; its annotations are those of the stored or of the turned image."""
    def prepare(place: Place) -> None:
        path = place.own_data() / FIRST
        image = Image.open(path)
        stored, exif = image.transpose(Image.Transpose.ROTATE_90), Image.Exif()
        exif[ORIENTATION] = TURNED
        buffer = io.BytesIO()
        stored.save(buffer, 'JPEG', exif=exif)
        replace(path, buffer.getvalue())
        if not annotated:
            place.edit(TRAIN, _as_stored)

    return prepare


def _as_stored(content: dict) -> None:
    """Coordinates of the first image as a tool that ignores the tag shows it: turned by 90° to the left."""
    image = content['images'][0]
    width, height = image['width'], image['height']
    image['width'], image['height'] = height, width
    for annotation in content['annotations']:
        if annotation['image_id'] == image['id']:
            x, y, w, h = annotation['bbox']
            annotation['bbox'] = [y, width - x - w, h, w]
            points = np.array(annotation['keypoints'], float).reshape(-1, 3)
            turned = np.stack([points[:, 1], width - 1 - points[:, 0], points[:, 2]], 1)
            annotation['keypoints'] = turned.ravel().tolist()


def _folder(*names: str, content: bytes = b'') -> Callable[[Place], None]:
    def prepare(place: Place) -> None:
        (place.here / 'images').mkdir()
        for name in names:
            (place.here / 'images' / name).write_bytes(content)

    return prepare


def _beside_a_sound_one(place: Place) -> None:
    _folder('damaged.jpg', content=b'no image')(place)
    sound = place.files.people / 'val2017' / '000000000001.jpg'
    (place.here / 'images' / 'sound.jpg').write_bytes(sound.read_bytes())


def _cut_video(place: Place) -> None:
    content = place.files.video.read_bytes()
    (place.here / 'cut.mp4').write_bytes(content[:len(content) // 2])


def _images_of(place: Place, outcome: Outcome) -> list:
    return [image['image'] for image in json.loads((place.out / 'predictions.json').read_text())['images']]


def _named(name: str) -> Callable[[Place], None]:
    """A folder with one sound image of this name."""
    def prepare(place: Place) -> None:
        (place.here / 'images').mkdir()
        sound = place.files.people / 'val2017' / '000000000001.jpg'
        (place.here / 'images' / name).write_bytes(sound.read_bytes())

    return prepare


def _sole(name: str, array: np.ndarray) -> Callable[[Place], None]:
    """A folder with one image of these values."""
    def prepare(place: Place) -> None:
        (place.here / 'images').mkdir()
        Image.fromarray(array).save(place.here / 'images' / name)

    return prepare


def _dangling(place: Place) -> None:
    _named('sound.jpg')(place)
    (place.here / 'images' / 'gone.jpg').symlink_to('/nowhere.jpg')


def _folder_as_image(place: Place) -> None:
    path = place.own_data() / FIRST
    path.unlink()
    path.mkdir()


def _link_to_nothing(place: Place) -> None:
    path = place.own_data() / FIRST
    path.unlink()
    path.symlink_to('/nowhere.jpg')


NOISE = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
PICTURES = [
    ('an image of 16 bits', ('a.png', NOISE[..., 0].astype(np.uint16) * 257)),
    ('an image of 1 bit', ('a.png', NOISE[..., 0] > 99)),
    ('an image with transparency', ('a.png', np.dstack([NOISE, NOISE[..., 0]]))),
    ('an image of one pixel', ('a.png', NOISE[:1, :1])),
    ('an image of one row', ('a.png', NOISE[:1])),
    ('an image of one column', ('a.bmp', NOISE[:, :1])),
]
IMAGES = '{here}/images'
DAMAGES = [
    ('an image that is missing', _missing, 'test train check_data'),
    ('an image of no bytes', _damaged(lambda content: b''), 'test train check_data'),
    ('a text file as an image', _damaged(lambda content: b'no image'), 'test train check_data'),
    ('an image cut after its header', _damaged(lambda content: content[:200]), 'test train check_data'),
]
COMMANDS = dict(test=test(), train=train(), check_data=check_data())
FORMS = [
    ('a grayscale image', _encoded('JPEG', 'L')),
    ('a CMYK image', _encoded('JPEG', 'CMYK')),
    ('a PNG file with transparency under the name .jpg', _encoded('PNG', 'RGBA')),
    ('a GIF file under the name .jpg', _encoded('GIF', 'P')),
]

IMAGE_CASES: Rows = [
    *(Case(given, [COMMANDS[tool]], [Path(FIRST).name], prepare=prepare, fast=tool == 'check_data')
      for given, prepare, tools in DAMAGES for tool in tools.split()),
    Case('an image of another size than annotated', [check_data()], ['size', Path(FIRST).name], prepare=_damaged(
        lambda content: _resized(content))),
    Case('half of an image', [check_data('--decode')], [Path(FIRST).name],
         prepare=_damaged(lambda content: content[:len(content) // 2])),
    *(Case(f'{given}, which works', [train()], ['coco/AP'], 0, prepare) for given, prepare in FORMS[:3]),
    *(Case(f'{given}, which works', [check_data()], ['no problems found'], 0, prepare) for given, prepare in FORMS[:2]),
    Case(FORMS[3][0], [check_data()], [Path(FIRST).name], prepare=FORMS[3][1]),
    Case('a photograph turned by its EXIF tag, annotated as stored', [check_data()], [Path(FIRST).name, 'EXIF'],
         prepare=_turned(annotated=False), fast=True),
    Case('a photograph turned by its EXIF tag, annotated as turned', [check_data()], ['no problems found'], 0,
         _turned(annotated=True), fast=True),
    Case('a source that does not exist', [infer(source='nowhere')], ['source nowhere'], fast=True),
    Case('an empty folder', [infer(source=IMAGES)], ['images', 'no image'], prepare=_folder()),
    Case('a folder of text files', [infer(source=IMAGES)], ['images', 'no image'], prepare=_folder('a.txt', 'b.md')),
    Case('a folder of damaged images only', [infer(source=IMAGES)], ['images', 'decoded'],
         prepare=_folder('a.jpg', 'b.png', content=b'no image')),
    Case('a damaged image beside a sound one, which is skipped', [infer(source=IMAGES)], ['1 images skipped'], 0,
         _beside_a_sound_one, lambda place, outcome: '' if _images_of(place, outcome) == ['sound.jpg'] else
         'damaged.jpg is in predictions.json'),
    Case('an image of no bytes', [infer(source=f'{IMAGES}/a.jpg')], ['a.jpg'], prepare=_folder('a.jpg')),
    Case('a text file', [infer(source=f'{IMAGES}/a.txt')], ['a.txt', "'.txt'"], prepare=_folder('a.txt')),
    Case('a video of no bytes', [infer(source=f'{IMAGES}/a.mp4')], ['a.mp4'], prepare=_folder('a.mp4')),
    Case('a text file as a video', [infer(source=f'{IMAGES}/a.mp4')], ['a.mp4'],
         prepare=_folder('a.mp4', content=b'no video')),
    Case('half of a video', [infer(source='{here}/cut.mp4')], ['cut.mp4'], prepare=_cut_video),
    *(Case(f'an image called {name!r}, which works', [infer(source=IMAGES)], ['1 images'], 0, _named(name),
           lambda place, outcome, name=name: '' if _images_of(place, outcome) == [name] and (
               place.out / name).stat().st_size else 'it was not predicted and drawn')
      for name in ('a b.jpg', 'två–人.jpg', 'a\nb.jpg', '-a.jpg', '%d.jpg', "a'b.jpg", 'A.JPG')),
    *(Case(f'{given}, which works', [infer(source=IMAGES)], ['1 images'], 0, _sole(*form),
           lambda place, outcome: '' if len(_images_of(place, outcome)) == 1 else 'it was not predicted')
      for given, form in PICTURES),
    Case('a link to nothing beside a sound image, which is skipped', [infer(source=IMAGES)], ['1 images skipped'], 0,
         _dangling, lambda place, outcome: '' if _images_of(place, outcome) == ['sound.jpg'] else 'it was not skipped'),
    Case('a TIFF image of fractions', [infer(source=IMAGES)], ['images', 'decoded'],
         prepare=_sole('a.tif', NOISE[..., 0] / np.float32(255))),
    Case('a file name with an asterisk', [infer(source='{here}/images/*.jpg')], ['*.jpg', 'does not exist'],
         prepare=_named('a.jpg')),
    Case('an address', [infer(source='https://127.0.0.1/a.jpg')], ['a.jpg', 'does not exist']),
    Case('images in subfolders only', [infer(source=IMAGES)], ['images', 'no image'], prepare=lambda place: (
        place.here / 'images/sub').mkdir(parents=True)),
    Case('a folder called .jpg', [infer(source='{here}/images')], ['no image'],
         prepare=lambda place: (place.here / 'images/a.jpg').mkdir(parents=True)),
    Case('a picture in a form that is not read', [infer(source=f'{IMAGES}/a.heic')], ['a.heic', "'.heic'"],
         prepare=_folder('a.heic')),
    Case('a video without a frame', [infer(source=f'{IMAGES}/a.avi')], ['a.avi'], prepare=_folder(
        'a.avi', content=b'RIFF\x00\x00\x00\x00AVI ')),
    Case('a folder in place of an image', [train()], [Path(FIRST).name], prepare=_folder_as_image),
    Case('a folder in place of an image', [check_data()], [Path(FIRST).name], prepare=_folder_as_image),
    Case('a link to nothing in place of an image', [train()], [Path(FIRST).name], prepare=_link_to_nothing),
    Case('an image of another size than annotated', [train()], [Path(FIRST).name, '100 x 50 px'],
         prepare=_damaged(lambda content: _resized(content))),
    Case('an image of another size than annotated', [test()], [Path(FIRST).name, '100 x 50 px'],
         prepare=_damaged(lambda content: _resized(content))),
    Case('a photograph turned by its EXIF tag, annotated as stored', [train()], [Path(FIRST).name, 'EXIF'],
         prepare=_turned(annotated=False)),
    Case('an absolute file_name, which works', [train()], ['coco/AP'], 0, lambda place: place.edit(
        TRAIN, lambda content: [image.update(file_name=str(place.files.people / 'train2017' / image['file_name']))
                                for image in content['images']] and None)),
    Case('a file_name with a folder before it that is not there', [train()], ['sub/'], prepare=lambda place: place.edit(
        TRAIN, lambda content: [image.update(file_name=f'sub/{image["file_name"]}')
                                for image in content['images']] and None)),
    Case('--data-root without images', [check_data()], [Path(FIRST).name], prepare=lambda place: [
        path.unlink() for path in (place.own_data() / 'train2017').glob('*.jpg')]),
]


def _resized(content: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(content)).resize((100, 50)).save(buffer, 'JPEG')
    return buffer.getvalue()
