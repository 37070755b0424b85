"""Prediction of keypoints in images, folders and videos, as drawings and as JSON."""
import logging
import time
from pathlib import Path
from typing import Callable, Dict, List, Optional, Union

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.structures import InstanceData
from mmengine.visualization import Visualizer
from mmpose.apis import inference_topdown
from mmpose.registry import VISUALIZERS
from mmpose.structures import PoseDataSample, merge_data_samples
from torch import nn

from mmpose_mspn.deploy.accelerate import accelerate, named_dtype
from mmpose_mspn.diagnosis.report import check_page_packages

from .boxes import PERSONS, BoxCategory, Boxes, DetectorBoxes, FileBoxes, select_boxes, whole_image
from .diagnosis import report_pictures
from .inputs import Frame, Images, Video, open_source
from .loading import check_file, choose_device, load_pose_model
from .outputs import open_writer, prepare_folder, write_predictions

PathLike = Union[str, Path]

REPORT = 'report'
"""Folder of the report in the output folder."""
KEYPOINT_THRESHOLD = 0.7
"""Default lowest score of a keypoint that is drawn: a fifth of a full peak. The scores of this package's codec are
0.5 + heatmap / 255, from 0.5 without a response to 1.5 at a full peak. Those of mmpose's own codecs are 0 to 1, and 0.3
is a common threshold for them."""


def infer(source: PathLike,
          config: PathLike,
          checkpoint: PathLike,
          out_dir: PathLike,
          boxes: Optional[PathLike] = None,
          ann_file: Optional[PathLike] = None,
          det_config: Optional[PathLike] = None,
          det_checkpoint: Optional[PathLike] = None,
          bbox_thr: float = 0.3,
          kpt_thr: float = KEYPOINT_THRESHOLD,
          device: Optional[str] = None,
          fast: Optional[str] = None,
          category: Optional[str] = None,
          report: bool = False) -> Dict[str, int]:
    """Predict the keypoints of people, draw them and write them to a JSON file.

    The drawings are written to ``out_dir`` under the names of the images, or as ``<name>.mp4`` for a video. The file
    ``predictions.json`` in that folder holds

    - ``keypoint_names``,
    - ``skeleton``: pairs of keypoint indices,
    - ``images``: for each image ``image`` (the file name), ``width``, ``height``, for a video ``frame`` (from 0), and
      ``instances`` with ``bbox`` (x, y, width, height in image px), ``bbox_score``, ``keypoints`` (K × [x, y, score],
      x and y in image px) and ``score``, the product of the box's score and the mean score of the keypoints
      (docs/protocol.md, "Test protocol").

    The file is written atomically after the last image.

    Args:
        source: An image, a folder of images (without its subfolders) or a video.
        config: Config of the pose estimator. The pipeline of its ``test_dataloader`` makes the crops.
        checkpoint: Weights of the pose estimator.
        out_dir: Folder for the results, created if it is missing. It must not be the folder of the source.
        boxes: COCO file with person boxes, see :class:`~mmpose_mspn.apis.boxes.FileBoxes`. Not for videos.
        ann_file: Annotation file that maps the ``image_id`` of ``boxes`` to file names.
        det_config: Config of a detector of mmdet that finds the person boxes. Without ``boxes`` and ``det_config``, the
            whole image is one box.
        det_checkpoint: Weights of the detector.
        bbox_thr: Lowest score of a box that is used, 0 to 1.
        kpt_thr: Lowest score of a keypoint that is drawn, >= 0, see :data:`KEYPOINT_THRESHOLD`. All keypoints are
            written to the JSON file.
        device: Device of torch. The default is the first GPU if there is one and the CPU otherwise.
        fast: Data type of an accelerated copy of the model, see :func:`mmpose_mspn.accelerate`: ``'float32'``,
            ``'bfloat16'`` or ``'float16'``. The default is the model itself.
        category: Name or id of the category of ``boxes`` to use; the default is that of the config, which is ``person``
            unless it names a ``category``, or the only one.
        report: Whether to write ``report/index.html`` to ``out_dir`` as well: a page that shows the people with the
            lowest scores and the heatmaps of every stage. Not for videos.

    Returns:
        Counts: ``images`` (or frames of a video) that were predicted on, ``instances`` in them, ``skipped`` images that
        cannot be decoded, ``skipped_boxes`` without a positive size, and ``other_files`` of the folder that are not
        images.

    Raises:
        FileNotFoundError: A file is missing.
        OSError: ``out_dir`` cannot be written to.
        ImportError: ``det_config`` is given and mmdet is not installed, or ``report`` and its packages are not.
        ValueError: An argument or the content of a file is wrong, or no image can be decoded.
    """
    _check_options(boxes, ann_file, det_config, det_checkpoint, bbox_thr, kpt_thr, fast)
    if category is not None and boxes is None:
        raise ValueError(f'category {category} chooses among boxes, but there are no boxes: give boxes or omit it')
    check_file('config', config)
    check_file('checkpoint', checkpoint)
    device = choose_device(device)
    frames = open_source(source)
    if report:
        check_page_packages()
        if isinstance(frames, Video):
            raise ValueError(f'report is for images, but the source {frames.path} is a video: leave report away')
    out_dir = prepare_folder(out_dir, frames)
    # Built before the pose estimator, because the scope of the model that is built last remains the default scope.
    find_boxes = _box_source(frames, boxes, ann_file, det_config, det_checkpoint, device, category,
                             _box_category(config))
    model = load_pose_model(config, checkpoint, device)
    whole_model = model
    if fast is not None:
        model = accelerate(model, named_dtype(fast))
    visualizer = _build_visualizer(model)

    images: List[dict] = []
    skipped_boxes = 0
    with open_writer(out_dir, frames) as writer:
        for frame in frames:
            found, scores, empty = select_boxes(*find_boxes(frame), bbox_thr)
            if empty:
                skipped_boxes += empty
                print_log(f'{_describe(frame)}: {empty} boxes of zero size are skipped', 'current', logging.WARNING)
            samples = predict(model, frame, found)
            images.append(_image_record(frame, found, scores, samples))
            writer.write(frame, _draw(visualizer, frame, samples, kpt_thr))
    if not images:
        raise ValueError(f'no image of source {source} can be decoded: see the log, and name a source that can')
    meta = model.dataset_meta
    write_predictions(out_dir, dict(
        keypoint_names=_keypoint_names(meta),
        skeleton=[[int(start), int(end)] for start, end in meta['skeleton_links']],
        images=images))
    if report:
        report_pictures(whole_model, out_dir / REPORT, images, frames.folder)
    return dict(
        images=len(images),
        instances=sum(len(image['instances']) for image in images),
        skipped=frames.skipped,
        skipped_boxes=skipped_boxes,
        other_files=frames.other_files)


def predict(model: nn.Module, frame: Frame, boxes: np.ndarray) -> List[PoseDataSample]:
    """Predict the keypoints in each box of an image.

    Args:
        model: Pose estimator of :func:`~mmpose_mspn.apis.loading.load_pose_model`.
        frame: The image.
        boxes: (N, 4), x, y, width, height in image px.

    Returns:
        N samples with ``pred_instances`` in image px, in the order of the boxes.

    Raises:
        ValueError: The number of keypoints is not that of the model's ``dataset_meta``, or keypoints are not finite.
    """
    if not len(boxes):  # mmpose would predict on the whole image
        return []
    samples = inference_topdown(model, frame.image, boxes.astype(np.float32), bbox_format='xywh')
    names = len(_keypoint_names(model.dataset_meta))
    for sample in samples:
        found = sample.pred_instances
        if found.keypoints.shape[1] != names:
            raise ValueError(f'the model predicts {found.keypoints.shape[1]} keypoints, but its dataset_meta names '
                             f'{names}: set the dataset\'s metainfo in the config')
        if not (np.isfinite(found.keypoints).all() and np.isfinite(found.keypoint_scores).all()):
            raise ValueError(f'{_describe(frame)}: the model\'s keypoints are not finite: its checkpoint holds weights '
                             'that are not, take another')
    return samples


def _check_options(boxes: Optional[PathLike], ann_file: Optional[PathLike], det_config: Optional[PathLike],
                   det_checkpoint: Optional[PathLike], bbox_thr: float, kpt_thr: float, fast: Optional[str]) -> None:
    if fast is not None:
        named_dtype(fast, 'fast')
    if boxes is not None and (det_config is not None or det_checkpoint is not None):
        raise ValueError('boxes and det_config / det_checkpoint exclude each other: give the boxes or a detector')
    if (det_config is None) != (det_checkpoint is None):
        raise ValueError('det_config and det_checkpoint belong together, got '
                         f'det_config={det_config} and det_checkpoint={det_checkpoint}')
    if ann_file is not None and boxes is None:
        raise ValueError(f'ann_file {ann_file} names the images of boxes, but there are no boxes: give boxes or omit '
                         'ann_file')
    if not 0 <= bbox_thr <= 1:
        raise ValueError(f'bbox_thr must be 0 to 1, got {bbox_thr}')
    if not kpt_thr >= 0:
        raise ValueError(f'kpt_thr must be >= 0, got {kpt_thr}')


def _box_source(frames: Union[Images, Video], boxes: Optional[PathLike], ann_file: Optional[PathLike],
                det_config: Optional[PathLike], det_checkpoint: Optional[PathLike],
                device: str, category: Optional[str], expected: BoxCategory) -> Callable[[Frame], Boxes]:
    if boxes is not None:
        if isinstance(frames, Video):
            raise ValueError(f'boxes are for images, but the source {frames.path} is a video: give det_config and '
                             'det_checkpoint, or none of them to use the whole frame')
        return FileBoxes(boxes, ann_file, frames, category, expected)
    if det_config is not None:
        return DetectorBoxes(det_config, det_checkpoint, device, expected.name)
    return whole_image


def _box_category(config: PathLike) -> BoxCategory:
    """The ``category`` of a config that tools/new_dataset.py wrote, a person for all others."""
    named = Config.fromfile(config).get('category')
    return BoxCategory(**named) if named else PERSONS


def _build_visualizer(model: nn.Module) -> Visualizer:
    """Build the config's visualizer, by default mmpose's, without backends, because this module writes the drawings.

    Its name is unique, because mmengine returns an earlier visualizer of the same name with its earlier settings.
    """
    settings = dict(model.cfg.get('visualizer') or dict(type='PoseLocalVisualizer'))
    settings.update(name=f'infer-{time.time_ns()}', vis_backends=None, save_dir=None)
    visualizer = VISUALIZERS.build(settings)
    visualizer.set_dataset_meta(model.dataset_meta)
    return visualizer


def _draw(visualizer: Visualizer, frame: Frame, samples: List[PoseDataSample], kpt_thr: float) -> np.ndarray:
    """Draw the skeletons on a copy (H, W, 3) BGR uint8 of the frame's image."""
    sample = merge_data_samples(samples) if samples else PoseDataSample()
    # The visualizer draws in RGB.
    drawn = visualizer.add_datasample(frame.name, frame.image[..., ::-1], sample, draw_gt=False, kpt_thr=kpt_thr)
    return np.ascontiguousarray(drawn[..., ::-1])


def _image_record(frame: Frame, boxes: np.ndarray, scores: np.ndarray, samples: List[PoseDataSample]) -> dict:
    height, width = frame.image.shape[:2]
    record = dict(image=frame.name, width=width, height=height)
    if frame.number is not None:
        record['frame'] = frame.number
    record['instances'] = [_instance_record(box, float(score), sample.pred_instances)
                           for box, score, sample in zip(boxes, scores, samples)]
    return record


def _instance_record(box: np.ndarray, box_score: float, found: InstanceData) -> dict:
    keypoint_scores = found.keypoint_scores[0]
    keypoints = np.concatenate([found.keypoints[0], keypoint_scores[:, None]], 1)
    return dict(
        bbox=box.tolist(),
        bbox_score=box_score,
        keypoints=keypoints.tolist(),
        score=box_score * float(keypoint_scores.mean()))


def _keypoint_names(meta: dict) -> List[str]:
    return [meta['keypoint_id2name'][index] for index in range(len(meta['keypoint_id2name']))]


def _describe(frame: Frame) -> str:
    return frame.name if frame.number is None else f'{frame.name}, frame {frame.number}'
