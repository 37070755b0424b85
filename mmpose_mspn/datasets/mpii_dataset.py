"""MPII by the official protocol (docs/protocol.md, "Training protocol")."""
import os.path as osp
from typing import Dict, List, Optional, Tuple

import numpy as np
from mmpose.datasets.datasets import MpiiDataset as MmposeMpiiDataset

from mmpose_mspn.data_check.mpii import PIXEL_STD, POSITION_FIELDS, check_head_boxes, check_person, check_position
from mmpose_mspn.data_check.problems import raise_first
from mmpose_mspn.datasets.file_checks import FileChecksMixin
from mmpose_mspn.registry import DATASETS
from mmpose_mspn.utils.errors import ConfigError
from mmpose_mspn.utils.files import read_json
from mmpose_mspn.utils.numbers import NOT_LABELED, VISIBLE

CENTER_SHIFT = 15.
"""px at scale 1 by which the annotated center moves down, so that the crop includes the feet."""
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
        DataError: ``ann_file`` is empty, not JSON or not a list, or no person in it remains; a person's entry is
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
        head_sizes = None
        if self.headbox_file:
            head_sizes = raise_first(check_head_boxes(self.headbox_file, len(annotations)))
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
        person = raise_first(check_person(annotation, name, with_labels=not self.test_mode))
        if self.test_mode:
            raise_first(check_position(person, annotation, name))
        if person.center is None or person.scale is None:
            return None
        center = person.center.copy()
        if center[0] != -1:
            center[1] += CENTER_SHIFT * person.scale
        center -= 1
        half = PIXEL_STD / 2 * person.scale
        labeled = person.joints_vis > 0
        return dict(
            id=index,
            img_id=self._image_id(person.image),
            img_path=osp.join(self.data_prefix['img'], person.image),
            bbox_center=center[None],
            bbox_scale=np.full((1, 2), 2 * half, np.float32),
            bbox=np.concatenate([center - half, center + half])[None],
            bbox_score=np.ones(1, np.float32),
            keypoints=(person.joints if self.test_mode else person.joints - 1)[None],
            keypoints_visible=np.where(labeled, VISIBLE, NOT_LABELED).astype(np.float32)[None],
            num_keypoints=int(labeled.sum()),  # at 0 the stock rule drops the person in training
            area=np.array([(2 * half)**2], np.float32),
            category_id=[1],
            raw_ann_info={name: annotation[name] for name in POSITION_FIELDS})

    def _image_id(self, image: str) -> int:
        """The number that names an image file, as in MPII; other names get ids from -1 downwards."""
        stem = osp.splitext(image)[0]
        if stem.isascii() and stem.isdigit() and len(stem) < 19:  # below 2**63
            return int(stem)
        return self._other_images.setdefault(image, -1 - len(self._other_images))

    def _load_detection_results(self) -> List[dict]:
        raise ConfigError(f'bbox_file {self.bbox_file} is not used with MPII, which is tested on the annotated '
                          'positions: omit bbox_file')

    def _get_topdown_data_infos(self, instance_list: List[dict]) -> List[dict]:
        # A test covers every person, labeled or not; the test set has no labels at all.
        return instance_list if self.test_mode else super()._get_topdown_data_infos(instance_list)
