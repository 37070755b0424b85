"""Short ways to write changes of JSON files and of other inputs."""
from pathlib import Path
from typing import Callable

from mmpose_mspn.utils.files import write_json
from tests.bad_inputs.case import Place

TRAIN = 'annotations/person_keypoints_train2017.json'
VAL = 'annotations/person_keypoints_val2017.json'
BOXES = 'person_detection_results/COCO_val2017_detections_AP_H_56_person.json'
NAN, INF = float('nan'), float('inf')

Edit = Callable[[object], object]
DROPPED = object()


def put(where: str, value: object) -> Edit:
    """Set the entry at ``where``, names and indices with dots between them; :data:`DROPPED` removes it."""
    def edit(content: object) -> None:
        *parents, last = [int(part) if part.lstrip('-').isdigit() else part for part in where.split('.')]
        for part in parents:
            content = content[part]
        if value is DROPPED:
            del content[last]
        elif isinstance(content, list) and last == len(content):
            content.append(value)
        else:
            content[last] = value

    return edit


def drop(where: str) -> Edit:
    """Remove the entry at ``where``."""
    return put(where, DROPPED)


def each(where: str, value: object) -> Edit:
    """Set a field of every entry of a list, such as ``annotations.area``."""
    name, field = where.split('.')

    def edit(content: dict) -> None:
        for entry in content[name]:
            put(field, value)(entry)

    return edit


def repeated(where: str) -> Edit:
    """Append the first entry of a list to it once more."""
    def edit(content: dict) -> None:
        content[where].append(content[where][0])

    return edit


def instead(value: object) -> Edit:
    """Replace the whole content."""
    return lambda content: value


def text(file: str, content: bytes) -> Callable[[Place], None]:
    """Write bytes in place of a file of the data."""
    def prepare(place: Place) -> None:
        replace(place.own_data() / file, content)

    return prepare


def write_predictions(place: Place, name: str = 'predictions.json') -> None:
    """What tools/infer.py writes about one person with one keypoint."""
    person = dict(bbox=[1., 2., 30., 40.], bbox_score=1., keypoints=[[5., 6., 1.]], score=1.)
    write_json(place.here / name, dict(
        keypoint_names=['nose'], skeleton=[], images=[dict(image='a.jpg', width=99, height=99, instances=[person])]))


def many_images(place: Place) -> None:
    """A folder with more images than any case predicts."""
    image = next((place.files.people / 'val2017').glob('*.jpg'))
    (place.here / 'images').mkdir()
    for number in range(3000):
        (place.here / f'images/{number:05}.jpg').symlink_to(image)


def replace(path: Path, content: bytes) -> None:
    """Write a file anew, in place of a link if it is one."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
