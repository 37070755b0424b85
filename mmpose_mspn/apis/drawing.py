"""Skeletons on pictures, drawn by mmpose's visualizer."""
import time
from types import SimpleNamespace
from typing import Any, Mapping, Optional

import numpy as np
from mmengine.structures import InstanceData
from mmpose.registry import VISUALIZERS
from mmpose.structures import PoseDataSample
from mmpose.visualization import PoseLocalVisualizer

from .pose_result import PoseResult

KEYPOINT_THRESHOLD = 0.7
"""Default lowest score of a keypoint that is drawn: a fifth of a full peak. The scores of this package's codec are
0.5 + heatmap / 255, from 0.5 without a response to 1.5 at a full peak. Those of mmpose's own codecs are 0 to 1, and 0.3
is a common threshold for them."""
VISUALIZER = dict(type='PoseLocalVisualizer')


class _ByOpenCV(PoseLocalVisualizer):
    """mmpose's visualizer without the figure of matplotlib, which its OpenCV backend does not use, but makes."""

    def _initialize_fig(self, fig_cfg: Any) -> tuple:
        return None, SimpleNamespace(get_dpi=lambda: 0.), None  # canvas, figure, axes


class Drawer:
    """Draws results.

    Args:
        meta: mmpose's ``dataset_meta``, with the skeleton and the colors.
        settings: Config of the visualizer; the default is mmpose's. Its backends are ignored: nothing is written.
        threshold: Lowest score of a keypoint that is drawn, unless a call names another.
    """

    def __init__(self, meta: Mapping, settings: Optional[Mapping] = None,
                 threshold: float = KEYPOINT_THRESHOLD) -> None:
        self.meta, self.settings, self.threshold = meta, dict(settings or VISUALIZER), threshold
        self._visualizer = None

    def __call__(self, result: PoseResult, threshold: Optional[float] = None) -> np.ndarray:
        """A copy (H, W, 3) BGR uint8 of the result's image with the skeletons."""
        if self._visualizer is None:
            # Its name is unique, because mmengine returns an earlier visualizer of the same name with its settings.
            settings = {**self.settings, 'name': f'poses-{time.time_ns()}', 'vis_backends': None, 'save_dir': None}
            if (VISUALIZERS.get(settings['type']) is PoseLocalVisualizer
                    and settings.get('backend', 'opencv') == 'opencv'):
                settings['type'] = _ByOpenCV
            self._visualizer = VISUALIZERS.build(settings)
            self._visualizer.set_dataset_meta(dict(self.meta))
        sample = PoseDataSample()
        if len(result):
            sample.pred_instances = InstanceData(
                keypoints=result.keypoints, keypoint_scores=result.scores, keypoints_visible=result.scores)
        # The visualizer draws in RGB.
        drawn = self._visualizer.add_datasample(
            'result', np.ascontiguousarray(result.image[..., ::-1]), sample, draw_gt=False,
            kpt_thr=self.threshold if threshold is None else threshold)
        return np.ascontiguousarray(drawn[..., ::-1])
