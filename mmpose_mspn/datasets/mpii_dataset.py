"""MPII under the official protocol (PROTOCOL, "Training protocol")."""
import json
import os.path as osp
from typing import List, Tuple

import numpy as np
from mmpose.datasets.datasets import MpiiDataset as MmposeMpiiDataset
from scipy.io import loadmat

from mmpose_mspn.registry import DATASETS

PIXEL_STD = 200.
"""px of a person's height at scale 1."""
CENTRE_DROP = 15.
"""px at scale 1 by which the annotated centre moves down, so that the crop holds the feet."""
HEAD_SHARE = 0.6
"""Share of the head box's diagonal that PCKh measures with."""
JOINTS = 16


@DATASETS.register_module()
class MpiiDataset(MmposeMpiiDataset):
    """mmpose's ``MpiiDataset``, with what the official protocol needs and the stock one does otherwise.

    - A labelled joint has visibility 2, since MPII says nothing about occlusion; others 0.
    - For training, joints count from 0, as the image's pixels do; the stock data set leaves MATLAB's 1. With
      ``test_mode`` they stay as annotated, because ``MpiiPCKAccuracy`` adds that 1 to the predictions.
    - With ``test_mode`` every annotated person comes out; the test set's file may lack ``joints`` and ``joints_vis``.
    - ``headbox_file`` lies below ``data_root``, as ``ann_file`` does.

    ``bbox`` is the square of 200 · scale px around the corrected centre; ``WidenBBox(fixed=(.25, .25))`` gives the
    official crop. ``raw_ann_info`` keeps the person's ``image``, ``center`` and ``scale`` as annotated.

    Raises:
        FileNotFoundError: ``ann_file`` or ``headbox_file`` does not exist.
        ValueError: A person's entry is incomplete, or the head boxes do not match the people in number.
    """

    def _join_prefix(self) -> None:
        super()._join_prefix()
        if self.headbox_file and self.data_root and not osp.isabs(self.headbox_file):
            self.headbox_file = osp.join(self.data_root, self.headbox_file)
        for name, path in (('ann_file', self.ann_file), ('headbox_file', self.headbox_file)):
            if path and not osp.exists(path):
                raise FileNotFoundError(
                    f'{name} {path} does not exist: put MPII there (images and the annotations that mmpose uses: '
                    f'mpii_train.json, mpii_val.json, mpii_gt_val.mat), or change data_root (now {self.data_root})')

    def _load_annotations(self) -> Tuple[List[dict], List[dict]]:
        """One entry a person, and one an image."""
        with open(self.ann_file) as file:
            annotations = json.load(file)
        head_sizes = self._head_sizes(len(annotations)) if self.headbox_file else None
        people = []
        for index, annotation in enumerate(annotations):
            people.append(self._person(index, annotation))
            if head_sizes is not None:
                people[-1]['head_size'] = head_sizes[index].reshape(1, 1)
        images = {person['img_id']: dict(img_id=person['img_id'], img_path=person['img_path']) for person in people}
        return people, list(images.values())

    def _person(self, index: int, annotation: dict) -> dict:
        missing = {'image', 'center', 'scale'} - set(annotation)
        if not self.test_mode:
            missing |= {'joints', 'joints_vis'} - set(annotation)
        if missing:
            raise ValueError(f'person {index} of {self.ann_file} lacks {", ".join(sorted(missing))}')
        scale = np.float32(annotation['scale'])
        centre = np.array(annotation['center'], np.float32)
        if centre[0] != -1:
            centre[1] += CENTRE_DROP * scale
        centre -= 1
        half = PIXEL_STD / 2 * scale
        joints = np.array(annotation.get('joints', np.zeros((JOINTS, 2))), np.float32)
        labelled = np.array(annotation.get('joints_vis', np.zeros(JOINTS)), np.float32) > 0
        if joints.shape != (JOINTS, 2) or labelled.shape != (JOINTS, ):
            raise ValueError(f'person {index} of {self.ann_file} must have {JOINTS} joints (x, y) and as many '
                             f'joints_vis, got {joints.shape} and {labelled.shape}')
        return dict(
            id=index,
            img_id=int(osp.splitext(annotation['image'])[0]),
            img_path=osp.join(self.data_prefix['img'], annotation['image']),
            bbox_center=centre[None],
            bbox_scale=np.full((1, 2), 2 * half, np.float32),
            bbox=np.concatenate([centre - half, centre + half])[None],
            bbox_score=np.ones(1, np.float32),
            keypoints=(joints if self.test_mode else joints - 1)[None],
            keypoints_visible=np.where(labelled, 2, 0).astype(np.float32)[None],
            area=np.array([(2 * half)**2], np.float32),
            category_id=[1],
            raw_ann_info={name: annotation[name] for name in ('image', 'center', 'scale')})

    def _head_sizes(self, people: int) -> np.ndarray:
        """(people,) px."""
        boxes = loadmat(self.headbox_file)['headboxes_src']  # (2 corners, x and y, people)
        if boxes.shape != (2, 2, people):
            raise ValueError(f'{self.headbox_file} must hold the head boxes of the {people} people in {self.ann_file}: '
                             f'headboxes_src of shape {(2, 2, people)}, got {boxes.shape}')
        return (HEAD_SHARE * np.linalg.norm(boxes[1].astype(float) - boxes[0], axis=0)).astype(np.float32)

    def _get_topdown_data_infos(self, instance_list: List[dict]) -> List[dict]:
        # A test must answer for everyone, labelled or not; a submission has no labels at all.
        return instance_list if self.test_mode else super()._get_topdown_data_infos(instance_list)
