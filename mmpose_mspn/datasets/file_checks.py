"""Files of datasets that cannot be used, refused when they are loaded rather than in the middle of a training."""
import json
import os.path as osp
from collections import Counter
from typing import Dict, List, Optional

import mmcv
import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from mmpose_mspn.utils.errors import DataError
from mmpose_mspn.utils.files import below_root

NO_KEYPOINTS = 'without keypoints'
NO_BOX = 'without a box of positive width and height'
CROWD = 'marked as crowds'
SHARED_KEYS = ('dataset_name', 'upper_body_ids', 'lower_body_ids', 'flip_pairs', 'dataset_keypoint_weights',
               'skeleton_links')
"""Keys of a sample that describe its dataset, and that mmpose's transforms and models only read."""


class FileChecksMixin:
    """For mmpose's COCO-style datasets: clear errors, and a count of the people that are skipped.

    mmpose silently drops crowds, people without labeled keypoints and empty boxes; here they are counted and logged
    once. The :attr:`other_files` lie below ``data_root``, as ``ann_file`` does; see
    :func:`mmpose_mspn.utils.files.below_root`.

    Raises:
        FileNotFoundError: ``ann_file`` or one of the :attr:`other_files` does not exist.
        DataError: A file is empty or of another format, ``bbox_file`` names images that ``ann_file`` does not have, or
            no person remains.
    """

    # For messages: the dataset's name, what to do if it is missing, and what its files must hold.
    source = 'COCO'
    remedy = '`make data` writes synthetic people in the same layout'
    needs = '"images" and people with a box and labeled keypoints'
    # Attributes that name further files.
    other_files = ('bbox_file', )

    def _join_prefix(self) -> None:
        super()._join_prefix()
        for name in self.other_files:
            path = getattr(self, name)
            if path:
                setattr(self, name, below_root(path, self.data_root))
        for name in ('ann_file', *self.other_files):
            path = getattr(self, name)
            if not path:
                continue
            if not osp.exists(path):
                raise FileNotFoundError(f'{name} {path} does not exist: put {self.source} there, or change data_root '
                                        f'(now {self.data_root}); {self.remedy}')
            if not osp.isfile(path):
                raise DataError(f'{name} {path} is not a file: name a file')
            if osp.getsize(path) == 0:
                raise DataError(f'{name} {path} is empty: fetch or write it again')

    def load_data_list(self) -> List[dict]:
        self._skipped: Dict[str, int] = Counter()
        try:
            people = super().load_data_list()
        except (json.JSONDecodeError, AssertionError) as error:
            raise DataError(f"ann_file {self.ann_file} is not in COCO's format ({error}): write a JSON object with "
                            '"images", "annotations" and "categories"') from error
        skipped = ', '.join(f'{count} {reason}' for reason, count in sorted(self._skipped.items()))
        file = self.bbox_file or self.ann_file
        if not people:
            raise DataError(f'{file} holds no person to {"test" if self.test_mode else "train"} on'
                             + (f'; skipped: {skipped}' if skipped else '') + f': it needs {self.needs}')
        if skipped:
            print_log(f'{file}: {len(people)} people; skipped: {skipped}', 'current')
        return people

    def _get_topdown_data_infos(self, instance_list: List[dict]) -> List[dict]:
        kept = []
        for info in instance_list:
            if self._is_valid_instance(info):
                kept.append(info)
            else:
                self._skipped[_why_invalid(info)] += 1
        return kept

    def get_data_info(self, idx: int) -> dict:
        """The sample as mmpose's datasets give it, except that all samples share the values of :data:`SHARED_KEYS`.

        Copying them for each sample took a tenth of a data worker's time.
        """
        info = BaseDataset.get_data_info(self, idx)
        info.update((key, self._metainfo[key]) for key in SHARED_KEYS)
        # mmpose's KeypointConverter changes this list in place.
        info['flip_indices'] = list(self._metainfo['flip_indices'])
        return info

    def prepare_data(self, idx: int) -> Optional[dict]:
        try:
            return super().prepare_data(idx)
        except Exception as error:
            path = self.get_data_info(idx)['img_path']
            if _decodes(path):
                raise
            raise DataError(f'image {path} is missing or does not decode: fetch it again; tools/check_data.py with '
                            '--decode lists all such images') from error


def _why_invalid(info: dict) -> str:
    """Why mmpose considers an annotation invalid."""
    if info.get('iscrowd'):
        return CROWD
    if info.get('num_keypoints') == 0 or np.max(info['keypoints']) <= 0:
        return NO_KEYPOINTS
    return NO_BOX


def _decodes(path: str) -> bool:
    """Whether the file is an image that mmcv reads."""
    try:
        return mmcv.imread(path) is not None
    except Exception:  # decoders raise errors of any type
        return False
