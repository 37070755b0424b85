"""mmpose's metrics, with checks of what they measure and what they measure it against."""
from typing import Optional, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmpose.evaluation.metrics import CocoMetric as MmposeCocoMetric
from mmpose.evaluation.metrics import CocoWholeBodyMetric as MmposeCocoWholeBodyMetric
from mmpose.evaluation.metrics import MpiiPCKAccuracy as MmposeMpiiPCKAccuracy

from mmpose_mspn.data_check.coco import Evaluation, check_evaluated, read_coco
from mmpose_mspn.data_check.problems import raise_first
from mmpose_mspn.registry import METRICS
from mmpose_mspn.utils.errors import CheckpointError, ConfigError
from mmpose_mspn.utils.outputs import check_outputs, record_output, refuse_empty

KIND = 'results'
"""The kind of output of a metric, see :mod:`mmpose_mspn.utils.outputs`."""


class FinitePredictionsMixin(BaseMetric):
    """For metrics: stop at the first prediction that is not finite.

    The COCO evaluation counts a keypoint at NaN as right, so that a broken network would reach an AP of 1.

    Raises:
        CheckpointError: A keypoint, its score or the score of a box is NaN or infinite.
    """

    def process(self, data_batch: Sequence[dict], data_samples: Sequence[dict]) -> None:
        """Check the samples of a batch, and pass them on."""
        for sample in data_samples:
            check_finite(sample)
        super().process(data_batch, data_samples)


def check_finite(sample: dict) -> None:
    """Refuse a sample whose predictions are not finite."""
    predicted = sample.get('pred_instances') or {}
    for field in ('keypoints', 'keypoint_scores', 'bbox_scores'):
        if field in predicted and not np.isfinite(np.asarray(predicted[field], float)).all():
            place = sample.get('img_path') or sample.get('img_id')
            raise CheckpointError(f'the predicted {field} for image {place} (id {sample.get("id")}) are not finite: '
                                  'the network has diverged or its checkpoint is broken; take another checkpoint')


class GroundTruthMixin(FinitePredictionsMixin):
    """For mmpose's COCO metrics: refuse, before the run, annotations that the evaluation cannot use after it.

    Args:
        ann_file: Annotation file, if it is not that of the dataset.
        kwargs: Further arguments of mmpose's metric.

    Raises:
        FileNotFoundError: ``ann_file`` does not exist.
        DataError: ``ann_file`` is not in COCO's format, or an annotation lacks what the evaluation reads.
        CheckpointError: A prediction is not finite.
        OutputError: A file of ``outfile_prefix`` is another's.
        ConfigError: A prediction is of an image that ``ann_file`` does not list.
    """

    def __init__(self, ann_file: Optional[str] = None, **kwargs) -> None:
        prefix = kwargs.get('outfile_prefix')
        if prefix is not None:
            refuse_empty('outfile_prefix', prefix)
            check_outputs('outfile_prefix', [f'{prefix}.keypoints.json', f'{prefix}.gt.json'], KIND)
        if ann_file is not None:
            self._check(read_coco('ann_file of the evaluator', ann_file), ann_file, **kwargs)
        super().__init__(ann_file=ann_file, **kwargs)

    @property
    def dataset_meta(self) -> Optional[dict]:
        """Meta information of the dataset."""
        return super().dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        loaded = self.coco is not None
        MmposeCocoMetric.dataset_meta.fset(self, dataset_meta)
        if self.coco is not None and not loaded:
            self._check(self.coco.dataset, self.coco.anno_file[0], format_only=self.format_only,
                        use_area=self.use_area, iou_type=self.iou_type)

    def process(self, data_batch: Sequence[dict], data_samples: Sequence[dict]) -> None:
        """Check the samples of a batch, and store what the evaluation needs of them."""
        if self.coco is not None and not self.format_only:
            for sample in data_samples:
                if sample['img_id'] not in self.coco.imgs:
                    raise ConfigError(f'image {sample["img_id"]} ({sample.get("img_path")}) is not in the annotations '
                                      f'that the evaluator uses, {self.coco.anno_file[0]}: name the ann_file of the '
                                      'tested dataset, or omit ann_file of the evaluator')
        super().process(data_batch, data_samples)

    def results2json(self, keypoints: dict, outfile_prefix: str = './results') -> None:
        """Write the results to ``<outfile_prefix>.keypoints.json``."""
        super().results2json(keypoints, outfile_prefix)
        file = f'{outfile_prefix}.keypoints.json'
        record_output(file, KIND, file)

    def gt_to_coco_json(self, gt_dicts: Sequence[dict], outfile_prefix: str) -> str:
        """Write the annotations of the samples, where there is no ``ann_file``, to ``<outfile_prefix>.gt.json``."""
        file = super().gt_to_coco_json(gt_dicts, outfile_prefix)
        record_output(file, KIND, file)
        return file

    @staticmethod
    def _check(content: dict, ann_file: str, format_only: bool = False, use_area: bool = True,
               iou_type: str = 'keypoints', **kwargs) -> None:
        if not format_only:
            evaluation = Evaluation(use_area, iou_type == 'keypoints_crowd')
            raise_first(check_evaluated(content, evaluation, f'ann_file {ann_file}'))


@METRICS.register_module()
class CocoMetric(GroundTruthMixin, MmposeCocoMetric):
    """mmpose's ``CocoMetric`` with checked predictions and annotations."""


@METRICS.register_module()
class CocoWholeBodyMetric(GroundTruthMixin, MmposeCocoWholeBodyMetric):
    """mmpose's ``CocoWholeBodyMetric`` with checked predictions and annotations."""


@METRICS.register_module()
class MpiiPCKAccuracy(FinitePredictionsMixin, MmposeMpiiPCKAccuracy):
    """mmpose's ``MpiiPCKAccuracy`` with checked predictions."""
