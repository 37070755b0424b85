"""mmpose's COCO-style datasets with checked files and visibility 0/1/2."""
import os.path as osp
from json import JSONDecodeError
from typing import Dict, List, Optional, Tuple

import numpy as np
from mmpose.datasets.datasets import AicDataset as MmposeAicDataset
from mmpose.datasets.datasets import CocoDataset as MmposeCocoDataset
from mmpose.datasets.datasets import CocoWholeBodyDataset as MmposeCocoWholeBodyDataset
from mmpose.datasets.datasets import CrowdPoseDataset as MmposeCrowdPoseDataset
from mmpose.structures.bbox import bbox_xywh2xyxy

from mmpose_mspn.datasets.coco_rules import check_annotations, check_categories, check_images, fields_of, is_person
from mmpose_mspn.datasets.detection_rules import box_category, check_detections
from mmpose_mspn.datasets.file_checks import NO_BOX, NO_KEYPOINTS, FileChecksMixin
from mmpose_mspn.datasets.problems import REMEDIES, refuse
from mmpose_mspn.datasets.transforms import LoadVisibility
from mmpose_mspn.registry import DATASETS
from mmpose_mspn.utils.files import read_json

UNKNOWN_IMAGE = 'in images that the file does not list'
OTHER_CATEGORY = 'of another category than {}'


class CocoStyleMixin(FileChecksMixin):
    """For mmpose's COCO-style datasets: file checks, and :class:`LoadVisibility` on every sample.

    :mod:`~mmpose_mspn.datasets.coco_rules` says what ``ann_file`` must hold, and
    :mod:`~mmpose_mspn.datasets.detection_rules` says it of ``bbox_file``. The step runs when the
    annotations are loaded, so that a wrong visibility is refused before training begins. If the dataset's own pipeline
    names the step, its result is left to that place.
    """

    # Whose fields the files have: a key of COCO_FIELDS.
    file_kind: str = 'CocoDataset'

    def _load_annotations(self) -> Tuple[List[dict], List[dict]]:
        try:
            loaded = super()._load_annotations()
        except (JSONDecodeError, AssertionError):
            raise
        except Exception as error:  # which error mmpose raises depends on what is wrong in the file
            self._check_content(read_json('ann_file', self.ann_file, dict))
            if isinstance(error, ValueError) and self.ann_file in str(error):
                raise
            raise ValueError(f'ann_file {self.ann_file} cannot be loaded ({type(error).__name__}: {error}): '
                             f'{REMEDIES["unreadable file"]}') from error
        self._check_content(self.coco.dataset)
        return loaded

    def _check_content(self, content: dict) -> Tuple[Dict[int, dict], Optional[List[int]]]:
        """Refuse ``ann_file`` at its first problem; its images by id, and the ids of its categories."""
        file = f'ann_file {self.ann_file}'
        fields = fields_of(self.file_kind, self._metainfo.get('num_keypoints'))
        if not self.test_mode:
            fields = fields._replace(image=())  # only the evaluation reads them
        categories = check_categories(content, file, refuse)
        if self.test_mode and categories is None:
            raise ValueError(f'{file} has no categories, which a test needs: add "categories": [{{"id": 1, "name": '
                             '"person"}] with the category_id of the annotations')
        images = check_images(content, fields, file, refuse)
        self._remember_sizes(images)
        annotations = check_annotations(content, fields, images, categories, file, refuse)
        elsewhere = sum(annotation['image_id'] not in images for annotation in annotations)
        if elsewhere:
            self._skipped[UNKNOWN_IMAGE] += elsewhere
        return images, categories

    def _remember_sizes(self, images: Dict[int, dict]) -> None:
        """Keep the annotated sizes of the images, in arrays that data workers can share."""
        self._image_ids = np.array(sorted(images), np.int64)
        self._image_sizes = np.array([(images[number]['width'], images[number]['height'])
                                      for number in sorted(images)], np.float32).reshape(-1, 2)

    def prepare_data(self, idx: int) -> Optional[dict]:
        item = super().prepare_data(idx)
        sample = item.get('data_samples') if isinstance(item, dict) else None
        if sample is not None and {'img_id', 'img_path', 'ori_shape'} <= set(sample.metainfo_keys()):
            self._check_size(sample.img_id, sample.img_path, tuple(sample.ori_shape[:2]))
        return item

    def _check_size(self, img_id: int, path: str, shape: Tuple[int, int]) -> None:
        """Refuse an image of another size than annotated, because its boxes are cut at the annotated one.

        Width and height are swapped if a photograph was annotated as it is stored, while the loader turns it by its
        EXIF tag.
        """
        annotated = tuple(self._image_sizes[np.searchsorted(self._image_ids, img_id)])
        if annotated == shape[::-1]:
            return
        turned, remedy = '', 'the annotations belong to another image, or this one was resized: take both of one source'
        if annotated == shape:
            turned = ', turned by its EXIF tag if it has one,'
            remedy = 'annotate the image as loaded, or remove the tag from the file'
        raise ValueError(f'image {path} has {shape[1]} x {shape[0]} px as loaded{turned or ","} but '
                         f'{annotated[0]:.0f} x {annotated[1]:.0f} px in ann_file {self.ann_file}: {remedy}; '
                         'tools/check_data.py lists all such images')

    def _check_boxes(self) -> None:
        """Refuse a ``bbox_file`` with faulty entries, or with boxes in images that ``ann_file`` does not list."""
        file = f'bbox_file {self.bbox_file}'
        boxes = read_json('bbox_file', self.bbox_file, list)
        content = read_json('ann_file', self.ann_file, dict)
        images, categories = self._check_content(content)
        self._box_category = box_category(content)
        people = [box for _, box in check_detections(boxes, images, file, refuse, self._box_category)]
        unknown = sorted({box['image_id'] for box in people} - set(images))
        if unknown:
            raise ValueError(f'{file} has boxes in {len(unknown)} images that are not in {self.ann_file}, such as '
                             f'{unknown[:3]}: use the boxes of these images')
        wanted = self._box_category
        if people and wanted not in categories:
            raise ValueError(f'{file} has people of category {wanted}, but the categories of {self.ann_file} are '
                             f'{categories}, so that no prediction would count: give both the category {wanted}')
        if len(people) < len(boxes):
            self._skipped[OTHER_CATEGORY.format(wanted)] += len(boxes) - len(people)

    def parse_data_info(self, raw_data_info: dict) -> Optional[dict]:
        annotation = raw_data_info['raw_ann_info']
        for field, reason in (('bbox', NO_BOX), ('keypoints', NO_KEYPOINTS)):
            if field not in annotation:
                self._skipped[reason] += 1
                return None
        info = super().parse_data_info(raw_data_info)
        if info is None or self.data_mode == 'topdown' and not is_person(annotation):  # which is dropped
            return info
        try:
            loaded = LoadVisibility()(dict(info))
        except ValueError as error:
            raise ValueError(f'ann_file {self.ann_file}: {error}') from error
        in_pipeline = any(isinstance(step, LoadVisibility) for step in self.pipeline.transforms)
        return info if in_pipeline else loaded

    def _load_detection_results(self) -> List[dict]:
        """A sample for each box, as mmpose makes it, but of the annotation file's category, where mmpose takes 1."""
        content = read_json('ann_file', self.ann_file, dict)
        images = {image['id']: image for image in content['images']}
        self._metainfo['CLASSES'] = content['categories']
        count = self._metainfo['num_keypoints']
        found = [box for box in read_json('bbox_file', self.bbox_file, list)
                 if box['category_id'] == self._box_category]
        boxes = [
            dict(
                img_id=box['image_id'],
                img_path=osp.join(self.data_prefix['img'], images[box['image_id']]['file_name']),
                img_shape=(images[box['image_id']]['height'], images[box['image_id']]['width']),
                bbox=bbox_xywh2xyxy(np.array([box['bbox'][:4]], np.float32)),
                bbox_score=np.array([box['score']], np.float32),
                keypoints=np.zeros((1, count, 2), np.float32),
                keypoints_visible=np.ones((1, count), np.float32),
                category_id=self._box_category,
                id=number) for number, box in enumerate(found)
        ]
        kept = [box for box in boxes if (box['bbox'][0, 2:] > box['bbox'][0, :2]).all()]
        if len(kept) < len(boxes):
            self._skipped[NO_BOX] += len(boxes) - len(kept)
        return kept


@DATASETS.register_module()
class CocoDataset(CocoStyleMixin, MmposeCocoDataset):
    """mmpose's ``CocoDataset`` with checked files and visibility 0/1/2; another ``metainfo`` sets other keypoints."""


@DATASETS.register_module()
class AicDataset(CocoStyleMixin, MmposeAicDataset):
    """mmpose's ``AicDataset``, 14 keypoints, with checked files and visibility 0/1/2.

    It reads mmpose's conversion, whose visibility is COCO's. AI Challenger's own files use other codes (1 visible, 2
    occluded, 3 absent): a 3 is refused.
    """

    file_kind = 'AicDataset'
    source = 'AI Challenger'
    remedy = 'see docs/data.md'


@DATASETS.register_module()
class CrowdPoseDataset(CocoStyleMixin, MmposeCrowdPoseDataset):
    """mmpose's ``CrowdPoseDataset``, 14 keypoints, with checked files and visibility 0/1/2."""

    file_kind = 'CrowdPoseDataset'
    source = 'CrowdPose'
    remedy = 'see docs/data.md'


@DATASETS.register_module()
class CocoWholeBodyDataset(CocoStyleMixin, MmposeCocoWholeBodyDataset):
    """mmpose's ``CocoWholeBodyDataset``, 133 keypoints, with checked files and visibility 0/1/2."""

    file_kind = 'CocoWholeBodyDataset'
    source = 'COCO-WholeBody'
    remedy = 'see docs/data.md'
