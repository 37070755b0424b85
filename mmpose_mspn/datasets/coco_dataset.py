"""mmpose's COCO-style datasets with checked files and visibility 0/1/2."""
import os.path as osp
from json import JSONDecodeError
from typing import List, Optional, Tuple

import numpy as np
from mmpose.datasets.datasets import AicDataset as MmposeAicDataset
from mmpose.datasets.datasets import CocoDataset as MmposeCocoDataset
from mmpose.datasets.datasets import CocoWholeBodyDataset as MmposeCocoWholeBodyDataset
from mmpose.datasets.datasets import CrowdPoseDataset as MmposeCrowdPoseDataset
from mmpose.structures.bbox import bbox_xywh2xyxy

from mmpose_mspn.data_check.coco import (
    CocoFile,
    box_category,
    check_coco,
    check_detections,
    fields_of,
    is_person,
    read_coco,
)
from mmpose_mspn.data_check.files import open_image
from mmpose_mspn.data_check.problems import REMEDIES, raise_first
from mmpose_mspn.datasets.file_checks import NO_BOX, NO_KEYPOINTS, FileChecksMixin
from mmpose_mspn.datasets.transforms import LoadVisibility
from mmpose_mspn.registry import DATASETS
from mmpose_mspn.utils.errors import DataError, UserError
from mmpose_mspn.utils.files import check_json_keys, read_json

UNKNOWN_IMAGE = 'in images that the file does not list'
OTHER_CATEGORY = 'of another category than {}'


class CocoStyleMixin(FileChecksMixin):
    """For mmpose's COCO-style datasets: file checks, and :class:`LoadVisibility` on every sample.

    :mod:`mmpose_mspn.data_check.coco` says what ``ann_file`` and ``bbox_file`` must hold. The step runs when the
    annotations are loaded, so that a wrong visibility is refused before training begins. If the dataset's own pipeline
    names the step, its result is left to that place.
    """

    # Whose fields the files have: a key of COCO_FIELDS.
    file_kind: str = 'CocoDataset'

    def _load_annotations(self) -> Tuple[List[dict], List[dict]]:
        check_json_keys('ann_file', self.ann_file)
        try:
            loaded = super()._load_annotations()
        except (JSONDecodeError, AssertionError):
            raise
        except Exception as error:  # which error mmpose raises depends on what is wrong in the file
            self._check_content(read_coco('ann_file', self.ann_file))
            if isinstance(error, DataError):
                raise
            raise DataError(f'ann_file {self.ann_file} cannot be loaded ({type(error).__name__}: {error}): '
                            f'{REMEDIES["unreadable file"]}') from error
        self._check_content(self.coco.dataset)
        return loaded

    def _check_content(self, content: dict) -> CocoFile:
        """Refuse ``ann_file`` at its first problem."""
        file = f'ann_file {self.ann_file}'
        fields = fields_of(self.file_kind, self._metainfo.get('num_keypoints'))
        if not self.test_mode:
            fields = fields._replace(image=())  # only the evaluation reads them
        elif 'categories' not in content:
            raise DataError(f'{file} has no categories, which a test needs: add "categories": [{{"id": 1, "name": '
                            '"person"}] with the category_id of the annotations')
        coco = raise_first(check_coco(content, fields, file))
        # The annotated sizes of the images, in arrays that data workers can share.
        self._image_ids = np.array(sorted(coco.images), np.int64)
        self._image_sizes = np.array([(coco.images[number]['width'], coco.images[number]['height'])
                                      for number in sorted(coco.images)], np.float32).reshape(-1, 2)
        self._is_checked = np.zeros(len(self._image_ids), bool)
        elsewhere = sum(annotation['image_id'] not in coco.images for annotation in coco.annotations)
        if elsewhere:
            self._skipped[UNKNOWN_IMAGE] += elsewhere
        return coco

    def prepare_data(self, idx: int) -> Optional[dict]:
        item = super().prepare_data(idx)
        if isinstance(item, dict):
            sample = item.get('data_samples')
            value = item.get if sample is None else sample.get
            self._check_image(value('img_id'), value('img_path'), value('ori_shape'), sample is None)
        return item

    def _check_image(self, img_id: Optional[int], path: Optional[str], shape: Optional[Tuple[int, ...]],
                     by_header: bool) -> None:
        """Refuse an image of another size than annotated.

        Where a dataset around this one loads the images, their headers are read, once each.
        """
        if img_id is None or path is None or shape is None and not by_header:
            return
        index = np.searchsorted(self._image_ids, img_id)
        if shape is None:
            if self._is_checked[index]:
                return
            self._is_checked[index] = True
            size, _ = open_image(path, decode=False)
            shape = size and size.loaded[::-1]
        if shape is not None:
            self._check_size(tuple(self._image_sizes[index]), path, tuple(shape[:2]))

    def _check_size(self, annotated: Tuple[float, float], path: str, shape: Tuple[int, int]) -> None:
        """Refuse an image of another size than annotated, because its boxes are cut at the annotated one.

        Width and height are swapped if a photograph was annotated as it is stored, while the loader turns it by its
        EXIF tag.
        """
        if annotated == shape[::-1]:
            return
        turned, remedy = '', 'the annotations belong to another image, or this one was resized: take both of one source'
        if annotated == shape:
            turned = ', turned by its EXIF tag if it has one,'
            remedy = 'annotate the image as loaded, or remove the tag from the file'
        raise DataError(f'image {path} has {shape[1]} x {shape[0]} px as loaded{turned or ","} but '
                        f'{annotated[0]:.0f} x {annotated[1]:.0f} px in ann_file {self.ann_file}: {remedy}; '
                        'tools/check_data.py lists all such images')

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
        except UserError as error:
            raise DataError(f'ann_file {self.ann_file}: {error}') from error
        in_pipeline = any(isinstance(step, LoadVisibility) for step in self.pipeline.transforms)
        return info if in_pipeline else loaded

    def _load_detection_results(self) -> List[dict]:
        """A sample for each box, as mmpose makes it, but of the annotation file's category, where mmpose takes 1.

        Raises:
            DataError: ``bbox_file`` has faulty entries, boxes in images that ``ann_file`` does not list, or people of a
                category that it does not list.
        """
        file = f'bbox_file {self.bbox_file}'
        detections = read_json('bbox_file', self.bbox_file, list)
        content = read_coco('ann_file', self.ann_file)
        categories, images, _ = self._check_content(content)
        category = box_category(content)
        people = [box for _, box in raise_first(check_detections(detections, images, file, category))]
        unknown = sorted({box['image_id'] for box in people} - set(images))
        if unknown:
            raise DataError(f'{file} has boxes in {len(unknown)} images that are not in {self.ann_file}, such as '
                            f'{unknown[:3]}: use the boxes of these images')
        if people and category not in categories:
            raise DataError(f'{file} has people of category {category}, but the categories of {self.ann_file} are '
                            f'{categories}, so that no prediction would count: give both the category {category}')
        if len(people) < len(detections):
            self._skipped[OTHER_CATEGORY.format(category)] += len(detections) - len(people)
        self._metainfo['CLASSES'] = content['categories']
        samples = [self._sample_of_box(box, images[box['image_id']], number) for number, box in enumerate(people)]
        with_area = [sample for sample in samples if (sample['bbox'][0, 2:] > sample['bbox'][0, :2]).all()]
        if len(with_area) < len(samples):
            self._skipped[NO_BOX] += len(samples) - len(with_area)
        return with_area

    def _sample_of_box(self, box: dict, image: dict, number: int) -> dict:
        count = self._metainfo['num_keypoints']
        return dict(
            img_id=box['image_id'],
            img_path=osp.join(self.data_prefix['img'], image['file_name']),
            img_shape=(image['height'], image['width']),
            bbox=bbox_xywh2xyxy(np.array([box['bbox'][:4]], np.float32)),
            bbox_score=np.array([box['score']], np.float32),
            keypoints=np.zeros((1, count, 2), np.float32),
            keypoints_visible=np.ones((1, count), np.float32),
            category_id=box['category_id'],
            id=number)


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
