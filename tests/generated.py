"""The synthetic people as pictures, and in the formats of other datasets, for the configs that read them."""
import json
import shutil
from pathlib import Path
from typing import Callable, Dict, List, Sequence

import numpy as np
from scipy.io import savemat

from mmpose_mspn.deploy.pictures import Picture
from mmpose_mspn.synthetic_people import generate, render_scene

DETECTIONS = Path('person_detection_results')
# COCO's keypoints in place of other datasets'. A pair stands for the point halfway between them.
NECK, HEAD_TOP, PELVIS = (5, 6), 0, (11, 12)
LIMBS_RIGHT_FIRST = (6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15)
AIC = (*LIMBS_RIGHT_FIRST, HEAD_TOP, NECK)
CROWDPOSE = (*range(5, 17), HEAD_TOP, NECK)
MPII = (16, 14, 12, 11, 13, 15, PELVIS, NECK, NECK, HEAD_TOP, 10, 8, 6, 5, 7, 9)


def drawn_pictures(people: int, seed: int = 0) -> List[Picture]:
    """Scenes of at least this many drawn people."""
    rng = np.random.default_rng(seed)
    pictures: List[Picture] = []
    while sum(len(picture.boxes) for picture in pictures) < people:
        scene = render_scene(rng)
        pictures.append(Picture(scene.image, np.array([person.box for person in scene.people], np.float32)))
    return pictures


def make_datasets(root: Path) -> Dict[str, Path]:
    """Write folders of a few people each.

    Returns:
        The folders by the last name of the ``data_root`` that the configs have.
    """
    coco = root / 'coco'
    generate(coco, train=3, val=2, workers=1, progress=False)
    _test_dev(coco)
    _wholebody(coco)
    _aic(coco, root / 'aic')
    _crowdpose(coco, root / 'crowdpose')
    _mpii(coco, root / 'mpii')
    return {'synthetic': coco, 'coco': coco, 'crowdpose': root / 'crowdpose', 'mpii': root / 'mpii'}


def _read(coco: Path, split: str) -> dict:
    return json.loads((coco / f'annotations/person_keypoints_{split}2017.json').read_text())


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _select(annotation: dict, keypoints: Sequence) -> np.ndarray:
    """x, y and visibility of the keypoints, (K, 3). A pair is as visible as its less visible keypoint."""
    given = np.array(annotation['keypoints'], float).reshape(-1, 3)
    rows = []
    for source in keypoints:
        both = given[list(source) if isinstance(source, tuple) else [source, source]]
        rows.append([*both[:, :2].mean(0), both[:, 2].min()])
    return np.array(rows)


def _with_annotations(content: dict, change: Callable[[dict], dict]) -> dict:
    return {**content, 'annotations': [{**a, **change(a)} for a in content['annotations']]}


def _test_dev(coco: Path) -> None:
    content = _read(coco, 'val')
    del content['annotations']
    _write(coco / 'annotations/image_info_test-dev2017.json', content)
    shutil.copytree(coco / 'val2017', coco / 'test2017')
    shutil.copy(coco / DETECTIONS / 'COCO_val2017_detections_AP_H_56_person.json',
                coco / DETECTIONS / 'COCO_test-dev2017_detections_AP_H_609_person.json')


def _wholebody(coco: Path) -> None:
    """The body as it is; feet, face and hands anywhere in the box, every third keypoint occluded."""
    def change(annotation: dict) -> dict:
        draw = np.random.default_rng(annotation['id'])
        x, y, w, h = annotation['bbox']

        def part(count: int) -> List[float]:
            keypoints = np.concatenate(
                [draw.uniform([x, y], [x + w, y + h], (count, 2)), 2 - (np.arange(count)[:, None] % 3 == 0)], 1)
            keypoints[1, 2] = 0.5
            return keypoints.ravel().tolist()

        parts = dict(foot=6, face=68, lefthand=21, righthand=21)
        return dict(**{f'{name}_kpts': part(count) for name, count in parts.items()},
                    **{f'{name}_valid': True for name in parts})

    for split in ('train', 'val'):
        _write(coco / f'annotations/coco_wholebody_{split}_v1.0.json', _with_annotations(_read(coco, split), change))


def _other_keypoints(keypoints: Sequence) -> Callable[[dict], dict]:
    def change(annotation: dict) -> dict:
        selected = _select(annotation, keypoints)
        return dict(keypoints=selected.ravel().tolist(), num_keypoints=int((selected[:, 2] > 0).sum()))

    return change


def _aic(coco: Path, folder: Path) -> None:
    images = 'ai_challenger_keypoint_train_20170902/keypoint_train_images_20170902'
    shutil.copytree(coco / 'train2017', folder / images)
    _write(folder / 'annotations/aic_train.json', _with_annotations(_read(coco, 'train'), _other_keypoints(AIC)))


def _crowdpose(coco: Path, folder: Path) -> None:
    for split, name in (('train', 'trainval'), ('val', 'test')):
        content = _with_annotations(_read(coco, split), _other_keypoints(CROWDPOSE))
        for image in content['images']:
            image['crowdIndex'] = 0.2
            image['file_name'] = f'{split}-{image["file_name"]}'
            source = coco / f'{split}2017' / image['file_name'].split('-')[1]
            (folder / 'images').mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / 'images' / image['file_name'])
        _write(folder / f'annotations/mmpose_crowdpose_{name}.json', content)
    shutil.copy(coco / DETECTIONS / 'COCO_val2017_detections_AP_H_56_person.json',
                folder / 'annotations/det_for_crowd_test_0.1_0.5.json')


def _mpii(coco: Path, folder: Path) -> None:
    """People of both splits, with pixels counted from 1. Training and validation images get different names."""
    for number, split in enumerate(('train', 'val'), start=1):
        content = _read(coco, split)
        names = {image['id']: f'{number}{image["file_name"][4:]}' for image in content['images']}
        (folder / 'images').mkdir(parents=True, exist_ok=True)
        for image in content['images']:
            shutil.copy(coco / f'{split}2017' / image['file_name'], folder / 'images' / names[image['id']])
        people = [_mpii_person(annotation, names) for annotation in content['annotations']]
        _write(folder / f'annotations/mpii_{split}.json', people)
    heads = np.tile(np.array([[[10.]], [[40.]]]), (1, 2, len(people)))
    savemat(str(folder / 'annotations/mpii_gt_val.mat'), dict(headboxes_src=heads))
    tested = [{name: person[name] for name in ('image', 'center', 'scale')} for person in people[:1]]
    _write(folder / 'annotations/mpii_test.json', tested)
    _mpii_release(folder / 'annotations/mpii_human_pose_v1_u12_1.mat', tested[0])


def _mpii_person(annotation: dict, names: Dict[int, str]) -> dict:
    selected = _select(annotation, MPII)
    x, y, w, h = annotation['bbox']
    return dict(image=names[annotation['image_id']], center=[x + w / 2 + 1, y + h / 2 + 1], scale=max(w, h) / 200,
                joints=(selected[:, :2] + 1).tolist(), joints_vis=(selected[:, 2] > 0).astype(int).tolist())


def _mpii_release(path: Path, person: dict) -> None:
    """MPII's own file, with one image and one person in the test set."""
    x, y = person['center']
    rect = _struct(scale=person['scale'], objpos=_struct(x=x, y=y))
    annolist = _struct(image=_struct(name=person['image']), annorect=rect)
    single = np.empty((1, 1), object)
    single[0, 0] = np.ones((1, 1))
    release = _struct(annolist=annolist, img_train=np.zeros((1, 1)), single_person=single)
    savemat(str(path), dict(RELEASE=release))


def _struct(**fields: object) -> np.ndarray:
    """A MATLAB struct array of one entry."""
    array = np.empty((1, 1), [(name, object) for name in fields])
    for name, value in fields.items():
        array[0, 0][name] = value
    return array
