"""Exported models behind the interface of ``mmpose_mspn.load``: the runtime does everything."""
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, Tuple, Union

from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS

from mmpose_mspn.deploy.backends import open_exported

from .drawing import Drawer
from .pose_inputs import Pair
from .pose_model import PoseModel
from .pose_result import PoseResult

DATASETS_OF_CONFIGS = ('CocoDataset', 'MpiiDataset', 'CrowdPoseDataset', 'CocoWholeBodyDataset')


class OnnxPoseModel(PoseModel):
    """A model that ``mmpose_mspn.export`` wrote.

    Args:
        path: The ``.onnx`` file.

    Attributes:
        metadata: All that the file says about itself.

    Raises:
        ImportError: Neither onnxruntime nor OpenVINO is installed.
        ValueError: The file does not hold such a model.
    """

    def __init__(self, path: Union[str, Path]) -> None:
        try:
            self.pose = open_exported(path)
        except ImportError as error:
            raise ImportError(f'{path} needs onnxruntime or OpenVINO ({error}): pip install onnxruntime') from error
        self.metadata = self.pose.metadata
        self.names, self.input_size = list(self.pose.names), tuple(self.pose.input_size)
        self.skeleton = [(int(start), int(end)) for start, end in self.pose.skeleton]
        self.flip_pairs = [(int(one), int(other)) for one, other in self.pose.flip_pairs]
        self.codec = 'in the graph'
        self.drawer = Drawer(self._meta())

    def stream(self, pairs: Iterable[Pair], batch_size: int,
               across_images: bool = True) -> Iterator[Tuple[Any, PoseResult]]:
        # The runtime takes one image at a time, so batches never run across images.
        for pair in pairs:
            found = self.pose(pair.image, pair.boxes, batch_size=batch_size)
            yield pair.tag, self.result(found, pair.boxes, pair.source)

    def _meta(self) -> Dict[str, Any]:
        """mmpose's metainfo for drawing: that of a dataset with these keypoints, with its colors, or one without."""
        for dataset in DATASETS_OF_CONFIGS:
            meta = parse_pose_metainfo(DATASETS.get(f'mmpose.{dataset}').METAINFO)
            if list(meta['keypoint_id2name'].values()) == self.names:
                return meta
        ids = dict(enumerate(self.names))
        return dict(
            dataset_name='exported', num_keypoints=len(ids), keypoint_id2name=ids,
            keypoint_name2id={name: index for index, name in ids.items()}, skeleton_links=self.skeleton,
            keypoint_colors=[(0, 255, 0)] * len(ids), skeleton_link_colors=[(255, 128, 0)] * len(self.skeleton))
