"""The object that ``mmpose_mspn.load`` returns, and its results."""
from abc import ABC, abstractmethod
from collections import deque
from pathlib import Path
from typing import Any, Callable, Deque, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS
from torch import nn

from mmpose_mspn.apis.drawing import Drawer
from mmpose_mspn.apis.inputs import HELD_BYTES, Detector, Pair, Source, decode_image, open_images
from mmpose_mspn.apis.tracking import Tracker
from mmpose_mspn.deploy.accelerate import accelerate
from mmpose_mspn.deploy.backends import open_exported
from mmpose_mspn.utils.config_types import type_name
from mmpose_mspn.utils.errors import CheckpointError, ConfigError, MissingPackageError, UserError

Draw = Callable[..., np.ndarray]


class PoseResult:
    """The keypoints of the N people in an image.

    Args:
        keypoints: (N, K, 2) in image px.
        scores: (N, K). Those of this package's codec are 0.5 (no response) to 1.5 (a full peak).
        boxes: (N, 4), x, y, width, height in image px: the boxes that the people were predicted in.
        names: Names of the K keypoints.
        skeleton: Pairs of indices of keypoints that a drawing connects.
        source: The image (H, W, 3) BGR uint8, or its file, which is read again when ``image`` is asked for.
        drawer: Draws the result, see :meth:`draw`.

    Attributes:
        keypoints, scores, boxes, names, skeleton: The arguments; arrays are float64, boxes float32.
        track_ids: (N,) for a frame of a video, ids that follow people from frame to frame; ``None`` for an image.
    """

    def __init__(self, keypoints: np.ndarray, scores: np.ndarray, boxes: np.ndarray, names: Sequence[str],
                 skeleton: Sequence[Tuple[int, int]], source: Source, drawer: Draw) -> None:
        self.keypoints = np.asarray(keypoints, np.float64).reshape(-1, len(names), 2)
        self.scores = np.asarray(scores, np.float64).reshape(-1, len(names))
        self.boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
        self.names = list(names)
        self.skeleton = [(int(start), int(end)) for start, end in skeleton]
        self.track_ids: Optional[np.ndarray] = None
        self._source, self._drawer = source, drawer

    def __len__(self) -> int:
        """N, the number of people."""
        return len(self.keypoints)

    def __repr__(self) -> str:
        return f'PoseResult({len(self)} people, {len(self.names)} keypoints)'

    @property
    def image(self) -> np.ndarray:
        """The image (H, W, 3) BGR uint8. That of a file is not kept in memory, but read at each call."""
        return self._source if isinstance(self._source, np.ndarray) else decode_image(self._source)

    def draw(self, threshold: Optional[float] = None) -> np.ndarray:
        """Draw the skeletons on a copy (H, W, 3) BGR uint8 of the image. No file is written.

        Args:
            threshold: Lowest score of a keypoint that is drawn, >= 0. The default is a fifth of a full peak.

        Raises:
            UserError: ``threshold`` is negative or NaN.
        """
        if threshold is not None and not threshold >= 0:
            raise UserError(f'threshold must be >= 0, got {threshold}')
        return self._drawer(self.image, self.keypoints, self.scores, threshold)

    def to_coco(self, image_id: int = 0, category_id: int = 1) -> List[dict]:
        """The people as entries of COCO's results format, which COCO's tools and ``tools/diagnose.py`` read.

        Args:
            image_id: Id of the image in its annotation file.
            category_id: Id of the category; 1 is COCO's person.

        Returns:
            N dicts of plain Python values: ``image_id``, ``category_id``, ``bbox`` (x, y, width, height in image px),
            ``keypoints`` (K × x, y, score, in one list) and ``score``, the mean score of the keypoints.
        """
        entries = []
        for box, keypoints, scores in zip(self.boxes, self.keypoints, self.scores):
            entries.append(dict(
                image_id=image_id, category_id=category_id, bbox=box.tolist(),
                keypoints=np.concatenate([keypoints, scores[:, None]], 1).ravel().tolist(),
                score=float(scores.mean())))
        return entries


BATCH_SIZE = 16
"""Default number of crops that pass the network together."""

Results = Union[PoseResult, List[PoseResult], Iterator[PoseResult]]


def check_batch_size(batch_size: Any) -> None:
    """Raise ValueError unless ``batch_size`` is an integer >= 1."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise UserError(f'batch_size must be an integer >= 1, got {batch_size!r}')


class PoseModel(ABC):
    """Predicts people's keypoints in images.

    Attributes:
        names: Names of the K keypoints.
        skeleton: Pairs of indices of keypoints that a drawing connects.
        flip_pairs: Pairs of indices of left and right keypoints.
        input_size: (width, height) of the crops in px.
        codec: Name of the class that turns heatmaps into keypoints.
        drawer: Draws results.
        detector: Finds the boxes of people in images for which none are given; ``None`` takes the whole image as one.
    """
    names: List[str]
    skeleton: List[Tuple[int, int]]
    flip_pairs: List[Tuple[int, int]]
    input_size: Tuple[int, int]
    codec: str
    drawer: Draw
    detector: Optional[Detector] = None

    def predict(self, images: Any, boxes: Any = None, batch_size: int = BATCH_SIZE,
                bbox_format: str = 'xywh') -> Results:
        """Predict the keypoints of the people in images.

        Args:
            images: The path of an image, or an array (H, W, 3) BGR uint8, as OpenCV reads it; a list of them; or an
                iterator of them, a folder of images (in the order of their names) or a video.
            boxes: For one image (N, 4) in image px, one box per person; for several, such boxes of each image, in a
                list or an iterator. ``None``, also for one of several images, takes the boxes that the model's detector
                finds, or without one the whole image as one box.
            batch_size: Number of crops, of any images, that pass the network together, and of images that pass the
                detector together, >= 1.
            bbox_format: ``'xywh'`` (x, y, width, height, as in COCO's files) or ``'xyxy'`` (two corners).

        Returns:
            For one image a :class:`~mmpose_mspn.apis.pose_model.PoseResult`, for a list the list of them, and else an
            iterator of them. The iterator decodes and predicts as it is asked for results, and keeps in memory no more
            than one batch of crops and the images that they come from. The results of a video have ``track_ids``.

        Raises:
            FileNotFoundError: An image does not exist.
            UserError: An argument is wrong, an image cannot be decoded, or keypoints are not finite. For an iterator
                this may be raised while it is read.
        """
        check_batch_size(batch_size)
        pairs, kind = open_images(images, boxes, bbox_format, self.detector, batch_size)
        results = (result for _, result in self.stream(pairs, batch_size))
        if kind == 'one':
            return next(results)
        if kind == 'video':
            return self._tracked(results)
        return list(results) if kind == 'list' else results

    def _tracked(self, results: Iterable[PoseResult]) -> Iterator[PoseResult]:
        tracker = self.tracker()
        for result in results:
            result.track_ids = tracker(result.keypoints, result.scores, result.boxes)
            yield result

    def tracker(self) -> Tracker:
        """What gives the people of a video their ids."""
        return Tracker(self.drawer.meta.get('sigmas'))

    @abstractmethod
    def stream(self, pairs: Iterable[Pair], batch_size: int,
               across_images: bool = True) -> Iterator[Tuple[Any, PoseResult]]:
        """The tag and the result of each pair, in their order.

        Args:
            pairs: Images and boxes.
            batch_size: Number of crops that pass the network together, >= 1.
            across_images: Whether crops of several images share a batch. The size of a batch moves the last digits of
                results, so without this they do not depend on the images before.
        """

    def result(self, people: np.ndarray, boxes: np.ndarray, source: Source) -> PoseResult:
        """A result of this model.

        Args:
            people: (N, K, 3), x, y in image px and score.
            boxes: (N, 4), x, y, width, height in image px.
        """
        people = people.reshape(-1, len(self.names), 3)
        return PoseResult(people[..., :2], people[..., 2], boxes, self.names, self.skeleton, source, self.drawer)

    def __repr__(self) -> str:
        return (f'{type(self).__name__}({len(self.names)} keypoints, input {self.input_size[0]}×{self.input_size[1]} '
                f'px, codec {self.codec})')


class TorchPoseModel(PoseModel):
    """A pose estimator of mmpose.

    Args:
        model: Pose estimator of :func:`~mmpose_mspn.apis.load.load_pose_model`, on its device.
        drawer: Draws results.
        fast: Whether to predict with an accelerated copy, see :func:`mmpose_mspn.accelerate`.
        dtype: Type in which the copy predicts; ``None`` for float32.
        reload: Loads ``model`` once more. Beside an accelerated copy the model itself is not kept, which would double
            the memory.

    Attributes:
        network: The estimator that predicts: ``model``, or its accelerated copy.

    Raises:
        UserError: The config's test pipeline makes no crops.
    """

    def __init__(self, model: nn.Module, drawer: Draw, fast: bool = True, dtype: Optional[torch.dtype] = None,
                 reload: Optional[Callable[[], nn.Module]] = None) -> None:
        self.network = accelerate(model, dtype) if fast else model
        self._reload = reload if fast else None
        self.drawer, self.config, meta = drawer, model.cfg, model.dataset_meta
        steps = model.cfg.test_dataloader.dataset.pipeline
        affine = next((step for step in steps if type_name(step) == 'TopdownAffine'), None)
        if affine is None:
            raise ConfigError("the config's test pipeline has no step TopdownAffine, which makes the crops of people: "
                              'take the config of a top-down model')
        self.input_size = tuple(affine['input_size'])
        decoder = (model.cfg.model.get('head') or {}).get('decoder') or {}
        self.codec = str(decoder.get('type', 'none')).split('.')[-1]
        self.names = [meta['keypoint_id2name'][index] for index in range(len(meta['keypoint_id2name']))]
        self.skeleton = [(int(start), int(end)) for start, end in meta['skeleton_links']]
        self.flip_pairs = [(left, right) for left, right in enumerate(meta['flip_indices']) if left < right]
        self._meta = dict(meta)
        init_default_scope(model.cfg.get('default_scope') or 'mmpose')
        self.pipeline = Compose(steps)

    @property
    def exportable(self) -> nn.Module:
        """The estimator that :func:`mmpose_mspn.export` takes, which an accelerated copy is not: then it is loaded."""
        return self._reload() if self._reload else self.network

    def stream(self, pairs: Iterable[Pair], batch_size: int,
               across_images: bool = True) -> Iterator[Tuple[Any, PoseResult]]:
        waiting: Deque[_Pending] = deque()
        batch: List[Tuple[_Pending, dict]] = []
        held = 0
        for pair in pairs:
            pending = _Pending(pair)
            waiting.append(pending)
            held += pair.image.nbytes if pending.source is pair.image else 0
            for box in pair.boxes:
                batch.append((pending, self.crop(pair.image, box)))
                if len(batch) == batch_size:
                    self._run(batch)
            if held > HELD_BYTES or not across_images:
                self._run(batch)
            while waiting and waiting[0].complete:
                done = waiting.popleft()
                held -= done.source.nbytes if isinstance(done.source, np.ndarray) else 0
                yield done.tag, self._finished(done)
        self._run(batch)
        for done in waiting:
            yield done.tag, self._finished(done)

    def _finished(self, done: '_Pending') -> PoseResult:
        return self.result(np.array(done.people, np.float64), done.boxes, done.source)

    def crop(self, image: np.ndarray, box: np.ndarray) -> dict:
        """The crop of a box, x, y, width, height in image px, as the config's test pipeline makes it."""
        corners = np.concatenate([box[:2], box[:2] + box[2:]])
        return self.pipeline(dict(
            img=image, bbox=corners[None], bbox_score=np.ones(1, np.float32), **self._meta))

    def _run(self, batch: List[Tuple['_Pending', dict]]) -> None:
        """Predict a batch of crops, give the keypoints to their images, and empty the batch."""
        if not batch:
            return
        with torch.no_grad():
            samples = self.network.test_step(pseudo_collate([crop for _, crop in batch]))
        for (pending, _), sample in zip(batch, samples):
            pending.people.append(self._checked(sample.pred_instances, pending))
        batch.clear()

    def _checked(self, instances: Mapping, pending: '_Pending') -> np.ndarray:
        """Keypoints and scores (K, 3) of a person."""
        keypoints, scores = instances.keypoints[0], instances.keypoint_scores[0]
        if len(keypoints) != len(self.names):
            raise ConfigError(f'the model predicts {len(keypoints)} keypoints, but its dataset_meta names '
                              f'{len(self.names)}: set the dataset\'s metainfo in the config')
        person = np.concatenate([keypoints, scores[:, None]], 1)
        if not np.isfinite(person).all():
            raise CheckpointError(f'{pending.describe()}: the model\'s keypoints are not finite: its checkpoint holds '
                                  'weights that are not, take another')
        return person


class _Pending:
    """An image whose keypoints are not all there yet. The image of a path is not kept."""

    def __init__(self, pair: Pair) -> None:
        self.source, self.boxes, self.tag = pair.source, pair.boxes, pair.tag
        self.people: List[np.ndarray] = []

    @property
    def complete(self) -> bool:
        return len(self.people) == len(self.boxes)

    def describe(self) -> str:
        return str(self.tag or ('an image' if isinstance(self.source, np.ndarray) else self.source))


DATASETS_OF_CONFIGS = ('CocoDataset', 'MpiiDataset', 'CrowdPoseDataset', 'CocoWholeBodyDataset')


class OnnxPoseModel(PoseModel):
    """A model that ``mmpose_mspn.export`` wrote.

    Args:
        path: The ``.onnx`` file.

    Attributes:
        metadata: All that the file says about itself.

    Raises:
        MissingPackageError: Neither onnxruntime nor OpenVINO is installed.
        UserError: The file does not hold such a model.
    """

    def __init__(self, path: Union[str, Path]) -> None:
        try:
            self.pose = open_exported(path)
        except ImportError as error:
            raise MissingPackageError(f'{path} needs onnxruntime or OpenVINO ({error}): pip install '
                                      'onnxruntime') from error
        self.metadata = self.pose.metadata
        self.names, self.input_size = list(self.pose.names), tuple(self.pose.input_size)
        self.skeleton = [(int(start), int(end)) for start, end in self.pose.skeleton]
        self.flip_pairs = [(int(left), int(right)) for left, right in self.pose.flip_pairs]
        self.codec = 'in the graph'
        self.drawer = Drawer(self._meta())

    def stream(self, pairs: Iterable[Pair], batch_size: int,
               across_images: bool = True) -> Iterator[Tuple[Any, PoseResult]]:
        # The runtime takes one image at a time, so batches never run across images.
        for pair in pairs:
            people = self.pose(pair.image, pair.boxes, batch_size=batch_size)
            yield pair.tag, self.result(people, pair.boxes, pair.source)

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
