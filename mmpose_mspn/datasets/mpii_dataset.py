"""MPII by the official protocol (docs/protocol.md, "Training protocol")."""
import os.path as osp
from typing import Dict, List, Optional, Tuple

import numpy as np
from mmpose.datasets.datasets import MpiiDataset as MmposeMpiiDataset

from mmpose_mspn.datasets.coco_rules import is_file_name
from mmpose_mspn.datasets.file_checks import FileChecksMixin
from mmpose_mspn.datasets.mpii_release import JOINTS
from mmpose_mspn.datasets.problems import LARGEST_SIDE, shown
from mmpose_mspn.registry import DATASETS
from mmpose_mspn.utils.files import read_json
from mmpose_mspn.utils.numbers import NOT_LABELED, VISIBLE, as_numbers

PIXEL_STD = 200.
"""px of a person's height at scale 1."""
CENTER_SHIFT = 15.
"""px at scale 1 by which the annotated center moves down, so that the crop includes the feet."""
HEAD_SHARE = 0.6
"""Head size of PCKh, as a share of the head box's diagonal."""
POSITION_FIELDS = ('image', 'center', 'scale')
"""Fields of every person."""
LABEL_FIELDS = ('joints', 'joints_vis')
"""Fields of a person that a test set lacks."""
NO_POSITION = 'without a finite center and a scale > 0'


@DATASETS.register_module()
class MpiiDataset(FileChecksMixin, MmposeMpiiDataset):
    """mmpose's ``MpiiDataset``, changed to follow the official protocol.

    - A labeled keypoint has visibility 2, because MPII does not annotate occlusion; others have 0.
    - For training, keypoint coordinates count from 0, as pixels do; the stock dataset leaves MPII's count from 1. With
      ``test_mode`` they stay as annotated, because ``MpiiPCKAccuracy`` adds 1 to the predictions.
    - With ``test_mode`` there is a sample for every annotated person, and the file may lack ``joints`` and
      ``joints_vis``.
    - For training, people without labeled keypoints, a scale > 0 or a finite center are skipped, counted and logged.
    - ``headbox_file`` lies below ``data_root``, as ``ann_file`` does.

    ``bbox`` is the square of 200 · scale px around the corrected center; ``WidenBBox(fixed=(.25, .25))`` gives the
    official crop. ``raw_ann_info`` holds the person's ``image``, ``center`` and ``scale`` as annotated.

    Raises:
        FileNotFoundError: ``ann_file`` or ``headbox_file`` does not exist.
        ValueError: ``ann_file`` is empty, not JSON or not a list, or no person in it remains; a person's entry is
            incomplete; with ``test_mode``, a person has no finite center or no scale > 0; or the number of head boxes
            is not the number of people.
    """

    source = 'MPII'
    remedy = 'see docs/data.md'
    needs = 'people with "image", a "center", a "scale" > 0 and, for training, labeled joints'
    other_files = ('bbox_file', 'headbox_file')

    def _load_annotations(self) -> Tuple[List[dict], List[dict]]:
        """An entry for each person, and one for each image."""
        annotations = read_json('ann_file', self.ann_file, list)
        head_sizes = self._head_sizes(len(annotations)) if self.headbox_file else None
        self._other_images: Dict[str, int] = {}
        people = []
        for index, annotation in enumerate(annotations):
            person = self._person(index, annotation)
            if person is None:
                self._skipped[NO_POSITION] += 1
                continue
            if head_sizes is not None:
                person['head_size'] = head_sizes[index].reshape(1, 1)
            people.append(person)
        images = {person['img_id']: dict(img_id=person['img_id'], img_path=person['img_path']) for person in people}
        return people, list(images.values())

    def _person(self, index: int, annotation: dict) -> Optional[dict]:
        """The entry of a person, or ``None`` for one who has no position in the image and is skipped in training."""
        name = f'person {index} of {self.ann_file}'
        self._check_fields(name, annotation)
        if not is_file_name(annotation['image']):
            raise ValueError(f'{name} has the image {shown(annotation["image"])}: write the name of an image file')
        center, scale = as_numbers(annotation['center'], (2, )), as_numbers(annotation['scale'], ())
        if center is None or scale is None or scale <= 0:
            if not self.test_mode:
                return None
            raise ValueError(f'{name} has center {shown(annotation["center"])} and scale {shown(annotation["scale"])}: '
                             'a test needs the position of every person, so write a finite x and y and a scale > 0')
        if max(*np.abs(center), PIXEL_STD * scale) > LARGEST_SIDE:
            raise ValueError(f'{name} has center {shown(annotation["center"])} and scale {shown(annotation["scale"])}: '
                             f'no image has a side of more than {LARGEST_SIDE} px, so write the center in px and the '
                             f'height of the person in units of {PIXEL_STD:.0f} px')
        if center[0] != -1:
            center[1] += CENTER_SHIFT * scale
        center -= 1
        half = PIXEL_STD / 2 * scale
        joints, labeled = self._joints(name, annotation)
        return dict(
            id=index,
            img_id=self._image_id(annotation['image']),
            img_path=osp.join(self.data_prefix['img'], annotation['image']),
            bbox_center=center[None],
            bbox_scale=np.full((1, 2), 2 * half, np.float32),
            bbox=np.concatenate([center - half, center + half])[None],
            bbox_score=np.ones(1, np.float32),
            keypoints=(joints if self.test_mode else joints - 1)[None],
            keypoints_visible=np.where(labeled, VISIBLE, NOT_LABELED).astype(np.float32)[None],
            num_keypoints=int(labeled.sum()),  # at 0 the stock rule drops the person in training
            area=np.array([(2 * half)**2], np.float32),
            category_id=[1],
            raw_ann_info={name: annotation[name] for name in POSITION_FIELDS})

    def _check_fields(self, name: str, annotation: object) -> None:
        """Refuse an entry that lacks a field."""
        given = annotation if isinstance(annotation, dict) else {}
        missing = {*POSITION_FIELDS, *(() if self.test_mode else LABEL_FIELDS)} - set(given)
        if missing:
            raise ValueError(f'{name} lacks {", ".join(sorted(missing))}: write all of the fields')

    def _image_id(self, image: str) -> int:
        """The number that names an image file, as in MPII; other names get ids from -1 downwards."""
        stem = osp.splitext(image)[0]
        if stem.isascii() and stem.isdigit() and len(stem) < 19:  # below 2**63
            return int(stem)
        return self._other_images.setdefault(image, -1 - len(self._other_images))

    def _joints(self, name: str, annotation: dict) -> Tuple[np.ndarray, np.ndarray]:
        """The joints (16, 2) as annotated, and whether each is labeled (16,)."""
        joints = as_numbers(annotation.get('joints', np.zeros((JOINTS, 2)).tolist()), (JOINTS, 2))
        visible = as_numbers(annotation.get('joints_vis', [0] * JOINTS), (JOINTS, ))
        if joints is None or visible is None or np.abs(joints).max() > LARGEST_SIDE:
            raise ValueError(f'{name} must have {JOINTS} joints (x, y) in px and as many joints_vis, all finite, got '
                             f'{shown(annotation.get("joints"))} and {shown(annotation.get("joints_vis"))}')
        return joints, visible > 0

    def _head_sizes(self, people: int) -> np.ndarray:
        """Head size of each of the ``people``, (people,) px."""
        from scipy.io import loadmat  # here, because few processes need it
        try:
            boxes = np.asarray(loadmat(self.headbox_file)['headboxes_src'])  # (2 corners, x and y, people)
        except Exception as error:  # scipy raises errors of many types on other files
            raise ValueError(f'headbox_file {self.headbox_file} cannot be read ({type(error).__name__}: {error}): it '
                             'must be a .mat file with headboxes_src, as MPII\'s mpii_gt_val.mat') from error
        if boxes.shape != (2, 2, people):
            raise ValueError(f'{self.headbox_file} must hold the head boxes of the {people} people in {self.ann_file}: '
                             f'headboxes_src of shape {(2, 2, people)}, got {boxes.shape}')
        sizes = head_sizes(boxes)
        wrong = wrong_sizes(sizes)
        if len(wrong):
            raise ValueError(f'{self.headbox_file} has {len(wrong)} head boxes without a finite size > 0, such as that '
                             f'of person {wrong[0]} of {self.ann_file}: correct them, because PCKh divides by the size')
        return sizes

    def _check_boxes(self) -> None:
        raise ValueError(f'bbox_file {self.bbox_file} is not used with MPII, which is tested on the annotated '
                         'positions: omit bbox_file')

    def _get_topdown_data_infos(self, instance_list: List[dict]) -> List[dict]:
        # A test covers every person, labeled or not; the test set has no labels at all.
        return instance_list if self.test_mode else super()._get_topdown_data_infos(instance_list)


def head_sizes(boxes: np.ndarray) -> np.ndarray:
    """Head size (people,) in px of head boxes (2, 2, people), whose axes are the two corners, and x and y."""
    corners = boxes.astype(float)
    return (HEAD_SHARE * np.linalg.norm(corners[1] - corners[0], axis=0)).astype(np.float32)


def wrong_sizes(sizes: np.ndarray) -> np.ndarray:
    """Indices of head sizes that are not finite or not above 0."""
    return np.flatnonzero(~(np.isfinite(sizes) & (sizes > 0)))
