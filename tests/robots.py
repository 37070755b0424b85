"""The synthetic people cut to fewer keypoints, in a COCO file as a labeling tool might write it."""
import json
from pathlib import Path
from typing import Dict, Sequence

EIGHT = ('left_shoulder', 'right_shoulder', 'left_wrist', 'right_wrist', 'left_knee', 'right_knee', 'left_ankle',
         'right_ankle')
FOUR = ('left_shoulder', 'right_shoulder', 'left_ankle', 'right_ankle')
CATEGORY_ID = 7
LEFT_OUT = ('area', 'iscrowd', 'num_keypoints', 'segmentation')


def cut_people(source: Path, target: Path, keypoints: Sequence[str], images: int = 10**9,
               renamed: Dict[str, str] = {}) -> Path:
    """Write a file of robots, category 7, without the fields of :data:`LEFT_OUT`.

    Args:
        source: Annotation file of the synthetic people.
        target: The file to write.
        keypoints: Those of COCO's that stay.
        images: Number of images, the first ones.
        renamed: Other names for some of the keypoints.
    """
    content = json.loads(source.read_text())
    names = content['categories'][0]['keypoints']
    indices = [names.index(name) for name in keypoints]
    kept = content['images'][:images]
    ids = {image['id'] for image in kept}
    annotations = []
    for annotation in content['annotations']:
        if annotation['image_id'] in ids:
            values = annotation['keypoints']
            robot = dict(annotation, category_id=CATEGORY_ID,
                         keypoints=[value for index in indices for value in values[3 * index:3 * index + 3]])
            annotations.append({key: value for key, value in robot.items() if key not in LEFT_OUT})
    links = [[1 + indices.index(end - 1) for end in link] for link in content['categories'][0]['skeleton']
             if all(end - 1 in indices for end in link)]
    category = dict(id=CATEGORY_ID, name='robot', keypoints=[renamed.get(name, name) for name in keypoints],
                    skeleton=links)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(dict(images=kept, annotations=annotations, categories=[category])))
    return target
