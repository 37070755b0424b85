"""Keypoints of the people in images, folders and videos: drawn, and as JSON."""
import logging
import time
from pathlib import Path
from typing import Callable, Dict, List, Optional, Union

import numpy as np
from mmengine.logging import print_log
from mmengine.structures import InstanceData
from mmengine.visualization import Visualizer
from mmpose.apis import inference_topdown
from mmpose.registry import VISUALIZERS
from mmpose.structures import PoseDataSample, merge_data_samples
from torch import nn

from mmpose_mspn.deploy.accelerate import accelerate, named_dtype

from .boxes import Boxes, DetectorBoxes, FileBoxes, usable, whole_image
from .inputs import Frame, Images, Video, open_source
from .loading import check_file, choose_device, load_pose_model
from .outputs import open_writer, prepare_folder, write_predictions

PathLike = Union[str, Path]

KEYPOINT_THRESHOLD = 0.7
"""Score from which a joint is drawn. Our codec scores 0.5 + heatmap / 255: 0.5 is no evidence, 1.5 a full peak, so this
is a fifth of a peak. mmpose's own codecs score 0 to 1: 0.3 is usual there."""


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
          fast: Optional[str] = None) -> Dict[str, int]:
    """Find the keypoints of people, draw them and write them down.

    ``out_dir`` gets each picture under its own name with the skeletons drawn (of a video, ``<name>.mp4``), and
    ``predictions.json``: ``keypoint_names``, ``skeleton`` (pairs of keypoint indices) and ``images``, each with
    ``image``, ``width``, ``height``, of a video ``frame`` (from 0), and ``instances``: ``bbox`` (x, y, width, height),
    ``bbox_score``, ``keypoints`` (K × [x, y, score]), all in image px, and ``score``, the box's score × the mean of the
    keypoints' (PROTOCOL, "Instance score"). Predictions are written at the end, so that they are whole or not there.

    People come from ``boxes``, or from a detector, or the whole image counts as one box.

    Args:
        source: An image, a folder of images (not its subfolders) or a video.
        config: Config of the pose estimator, with the ``test_dataloader`` whose pipeline makes the crops.
        checkpoint: Its weights.
        out_dir: Folder of the results, made if missing; not the folder of the source.
        boxes: COCO file with person boxes: see :class:`~mmpose_mspn.apis.boxes.FileBoxes`. Not for videos.
        ann_file: Annotation file that says which file an ``image_id`` of ``boxes`` is.
        det_config: Config of a detector of mmdet; with ``det_checkpoint``.
        det_checkpoint: The detector's weights.
        bbox_thr: Boxes with a lower score are left out, 0 … 1.
        kpt_thr: Joints with a lower score are not drawn, >= 0; all are written. See :data:`KEYPOINT_THRESHOLD`.
        device: Of torch; default: the first GPU where there is one, else the CPU.
        fast: ``'float32'``, ``'bfloat16'`` or ``'float16'``: predict with :func:`mmpose_mspn.accelerate`'s copy.

    Returns:
        Counts: ``images`` predicted on (of a video, frames), ``instances`` found in them, images ``skipped`` because
        they do not decode, ``skipped_boxes`` of no size, ``other_files`` of the folder that are no images.

    Raises:
        FileNotFoundError: A file is missing.
        OSError: ``out_dir`` cannot be written to.
        ImportError: A detector is asked for and mmdet is not installed.
        ValueError: An argument, or what is in a file, is wrong; nothing decodes.
    """
    _check_options(boxes, ann_file, det_config, det_checkpoint, bbox_thr, kpt_thr, fast)
    check_file('config', config)
    check_file('checkpoint', checkpoint)
    device = choose_device(device)
    frames = open_source(source)
    out_dir = prepare_folder(out_dir, frames)
    # Before the pose estimator: the scope of the model built last stays the default.
    find_boxes = _box_source(frames, boxes, ann_file, det_config, det_checkpoint, device)
    model = load_pose_model(config, checkpoint, device)
    if fast is not None:
        model = accelerate(model, named_dtype(fast))
    visualizer = _build_visualizer(model)

    images: List[dict] = []
    skipped_boxes = 0
    with open_writer(out_dir, frames) as writer:
        for frame in frames:
            found, scores, empty = usable(*find_boxes(frame), bbox_thr)
            if empty:
                skipped_boxes += empty
                print_log(f'{_describe(frame)}: {empty} boxes of zero size are skipped', 'current', logging.WARNING)
            samples = predict(model, frame, found)
            images.append(_image_record(frame, found, scores, samples))
            writer.write(frame, _draw(visualizer, frame, samples, kpt_thr))
    if not images:
        raise ValueError(f'nothing of source {source} decodes: see the log, and name pictures or a video that do')
    meta = model.dataset_meta
    write_predictions(out_dir, dict(
        keypoint_names=_keypoint_names(meta),
        skeleton=[[int(start), int(end)] for start, end in meta['skeleton_links']],
        images=images))
    return dict(
        images=len(images),
        instances=sum(len(image['instances']) for image in images),
        skipped=frames.skipped,
        skipped_boxes=skipped_boxes,
        other_files=frames.other_files)


def predict(model: nn.Module, frame: Frame, boxes: np.ndarray) -> List[PoseDataSample]:
    """A sample for each of the boxes (N, 4), x, y, width, height in image px, in their order.

    Raises:
        ValueError: The model's keypoints are not those of its ``dataset_meta``, or are not finite.
    """
    if not len(boxes):  # which mmpose would take for the whole image
        return []
    samples = inference_topdown(model, frame.image, boxes.astype(np.float32), bbox_format='xywh')
    names = len(_keypoint_names(model.dataset_meta))
    for sample in samples:
        found = sample.pred_instances
        if found.keypoints.shape[1] != names:
            raise ValueError(f'the model predicts {found.keypoints.shape[1]} keypoints, but its dataset_meta names '
                             f'{names}: set the dataset\'s metainfo in the config')
        if not (np.isfinite(found.keypoints).all() and np.isfinite(found.keypoint_scores).all()):
            raise ValueError(f'{_describe(frame)}: the model\'s keypoints are not finite: its checkpoint is broken, '
                             'take another')
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
        raise ValueError(f'ann_file says which images the ids in boxes are, but there are no boxes, got {ann_file}')
    if not 0 <= bbox_thr <= 1:
        raise ValueError(f'bbox_thr must be 0 ... 1, got {bbox_thr}')
    if not kpt_thr >= 0:
        raise ValueError(f'kpt_thr must be >= 0, got {kpt_thr}')


def _box_source(frames: Union[Images, Video], boxes: Optional[PathLike], ann_file: Optional[PathLike],
                det_config: Optional[PathLike], det_checkpoint: Optional[PathLike],
                device: str) -> Callable[[Frame], Boxes]:
    if boxes is not None:
        if isinstance(frames, Video):
            raise ValueError(f'boxes are for images, but the source {frames.path} is a video: give det_config and '
                             'det_checkpoint, or neither for the whole frame')
        return FileBoxes(boxes, ann_file, frames)
    if det_config is not None:
        return DetectorBoxes(det_config, det_checkpoint, device)
    return whole_image


def _build_visualizer(model: nn.Module) -> Visualizer:
    """The config's visualizer, or mmpose's, without backends: the pictures are written here.

    mmengine keeps visualizers by name and would hand out an earlier one with an earlier model's settings.
    """
    settings = dict(model.cfg.get('visualizer') or dict(type='PoseLocalVisualizer'))
    settings.update(name=f'infer-{time.time_ns()}', vis_backends=None, save_dir=None)
    visualizer = VISUALIZERS.build(settings)
    visualizer.set_dataset_meta(model.dataset_meta)
    return visualizer


def _draw(visualizer: Visualizer, frame: Frame, samples: List[PoseDataSample], kpt_thr: float) -> np.ndarray:
    """The frame's picture (H, W, 3) BGR uint8 with the skeletons."""
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
