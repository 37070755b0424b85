"""MPII under the official protocol (PROTOCOL, "Training protocol")."""
import os.path as osp
from typing import List, Optional, Tuple

import numpy as np
from mmpose.datasets.datasets import MpiiDataset as MmposeMpiiDataset
from scipy.io import loadmat

from mmpose_mspn.datasets.checked_loading import ChecksFiles
from mmpose_mspn.datasets.mpii_release import JOINTS
from mmpose_mspn.registry import DATASETS
from mmpose_mspn.utils.files import read_json

PIXEL_STD = 200.
"""px of a person's height at scale 1."""
CENTER_DROP = 15.
"""px at scale 1 by which the annotated center moves down, so that the crop holds the feet."""
HEAD_SHARE = 0.6
"""Share of the head box's diagonal that PCKh measures with."""
PLACE_FIELDS = ('image', 'center', 'scale')
LABEL_FIELDS = ('joints', 'joints_vis')
"""Fields of a person; a test set has the first only."""
NO_PLACE = 'without a finite center and a scale > 0'


@DATASETS.register_module()
class MpiiDataset(ChecksFiles, MmposeMpiiDataset):
    """mmpose's ``MpiiDataset``, with what the official protocol needs and the stock one does otherwise.

    - A labeled joint has visibility 2, since MPII says nothing about occlusion; others 0.
    - For training, joints count from 0, as the image's pixels do; the stock dataset leaves MATLAB's 1. With
      ``test_mode`` they stay as annotated, because ``MpiiPCKAccuracy`` adds that 1 to the predictions.
    - With ``test_mode`` every annotated person comes out; the test set's file may lack ``joints`` and ``joints_vis``.
    - For training, people without labeled joints, a scale > 0 or a finite center are passed over, counted and logged.
    - ``headbox_file`` lies below ``data_root``, as ``ann_file`` does.

    ``bbox`` is the square of 200 · scale px around the corrected center; ``WidenBBox(fixed=(.25, .25))`` gives the
    official crop. ``raw_ann_info`` keeps the person's ``image``, ``center`` and ``scale`` as annotated.

    Raises:
        FileNotFoundError: ``ann_file`` or ``headbox_file`` does not exist.
        ValueError: ``ann_file`` is empty, not JSON or no list, or nobody in it is left; a person's entry is incomplete;
            with ``test_mode``, a person has no finite center or no scale > 0; or the head boxes do not match the people
            in number.
    """

    source = 'MPII'
    remedy = 'docs/data.md says how'
    needs = 'people with "image", a "center" and a "scale" > 0, and labeled joints to train on'
    other_files = ('bbox_file', 'headbox_file')

    def _load_annotations(self) -> Tuple[List[dict], List[dict]]:
        """One entry a person, and one an image."""
        annotations = read_json('ann_file', self.ann_file, list)
        head_sizes = self._head_sizes(len(annotations)) if self.headbox_file else None
        people = []
        for index, annotation in enumerate(annotations):
            person = self._person(index, annotation)
            if person is None:
                self._passed_over[NO_PLACE] += 1
                continue
            if head_sizes is not None:
                person['head_size'] = head_sizes[index].reshape(1, 1)
            people.append(person)
        images = {person['img_id']: dict(img_id=person['img_id'], img_path=person['img_path']) for person in people}
        return people, list(images.values())

    def _person(self, index: int, annotation: dict) -> Optional[dict]:
        """The entry of a person; ``None`` for one to pass over in training, who has no place in the image."""
        self._check_fields(index, annotation)
        scale = np.float32(annotation['scale'])
        center = np.array(annotation['center'], np.float32)
        if center.shape != (2, ) or not np.isfinite(center).all() or not 0 < scale < np.inf:
            if not self.test_mode:
                return None
            raise ValueError(f'person {index} of {self.ann_file} has center {annotation["center"]} and scale '
                             f'{annotation["scale"]}: a test must answer for everyone, so write a finite x and y and a '
                             'scale > 0')
        if center[0] != -1:
            center[1] += CENTER_DROP * scale
        center -= 1
        half = PIXEL_STD / 2 * scale
        joints = np.array(annotation.get('joints', np.zeros((JOINTS, 2))), np.float32)
        labeled = np.array(annotation.get('joints_vis', np.zeros(JOINTS)), np.float32) > 0
        if joints.shape != (JOINTS, 2) or labeled.shape != (JOINTS, ):
            raise ValueError(f'person {index} of {self.ann_file} must have {JOINTS} joints (x, y) and as many '
                             f'joints_vis, got {joints.shape} and {labeled.shape}')
        return dict(
            id=index,
            img_id=int(osp.splitext(annotation['image'])[0]),
            img_path=osp.join(self.data_prefix['img'], annotation['image']),
            bbox_center=center[None],
            bbox_scale=np.full((1, 2), 2 * half, np.float32),
            bbox=np.concatenate([center - half, center + half])[None],
            bbox_score=np.ones(1, np.float32),
            keypoints=(joints if self.test_mode else joints - 1)[None],
            keypoints_visible=np.where(labeled, 2, 0).astype(np.float32)[None],
            num_keypoints=int(labeled.sum()),  # at 0 the stock rule passes the person over in training
            area=np.array([(2 * half)**2], np.float32),
            category_id=[1],
            raw_ann_info={name: annotation[name] for name in PLACE_FIELDS})

    def _check_fields(self, index: int, annotation: dict) -> None:
        """Refuse an entry that lacks what is read from it."""
        given = annotation if isinstance(annotation, dict) else {}
        missing = {*PLACE_FIELDS, *(() if self.test_mode else LABEL_FIELDS)} - set(given)
        if missing:
            raise ValueError(f'person {index} of {self.ann_file} lacks {", ".join(sorted(missing))}: write all of the '
                             'fields')

    def _head_sizes(self, people: int) -> np.ndarray:
        """(people,) px."""
        boxes = loadmat(self.headbox_file)['headboxes_src']  # (2 corners, x and y, people)
        if boxes.shape != (2, 2, people):
            raise ValueError(f'{self.headbox_file} must hold the head boxes of the {people} people in {self.ann_file}: '
                             f'headboxes_src of shape {(2, 2, people)}, got {boxes.shape}')
        return (HEAD_SHARE * np.linalg.norm(boxes[1].astype(float) - boxes[0], axis=0)).astype(np.float32)

    def _get_topdown_data_infos(self, instance_list: List[dict]) -> List[dict]:
        # A test must answer for everyone, labeled or not; a submission has no labels at all.
        return instance_list if self.test_mode else super()._get_topdown_data_infos(instance_list)
