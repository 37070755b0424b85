"""Prediction of keypoints in images, folders and videos, as drawings and as JSON: what ``tools/infer.py`` does."""
import hashlib
import json
import logging
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Tuple, Union

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log

from mmpose_mspn.apis.boxes import PERSONS, BoxCategory, Boxes, FileBoxes, open_detector, select_boxes, whole_image
from mmpose_mspn.apis.config import load_config
from mmpose_mspn.apis.drawing import KEYPOINT_THRESHOLD, Drawer, PictureWriter, VideoWriter, open_writer, output_folder
from mmpose_mspn.apis.inputs import Frame, Images, Pair, Video, batches, open_source
from mmpose_mspn.apis.load import check_file, choose_device, load, load_parts
from mmpose_mspn.apis.pose_model import BATCH_SIZE, PoseModel, TorchPoseModel, check_batch_size
from mmpose_mspn.apis.prediction_files import (
    KIND,
    PREDICTIONS,
    PartFile,
    parse_shard,
    warn_of_earlier_run,
    write_predictions,
)
from mmpose_mspn.apis.tracking import Tracker
from mmpose_mspn.checkpoints.published import checkpoint_file
from mmpose_mspn.deploy.accelerate import named_dtype
from mmpose_mspn.utils.errors import DataError, UserError
from mmpose_mspn.utils.files import read_json
from mmpose_mspn.utils.outputs import check_outputs

PathLike = Union[str, Path]

REPORT = 'report'
"""Folder of the report in the output folder."""


def infer(source: PathLike,
          config: Optional[PathLike],
          checkpoint: Optional[PathLike],
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
          report: bool = False,
          model: Optional[PathLike] = None,
          batch_size: Optional[int] = None,
          resume: bool = False,
          shard: Optional[str] = None,
          detector: Optional[str] = None) -> Dict[str, int]:
    """Predict the keypoints of people, draw them and write them to a JSON file.

    The drawings are written to ``out_dir`` under the names of the images, or as ``<name>.mp4`` for a video. The file
    ``predictions.json`` in that folder holds

    - ``keypoint_names``,
    - ``skeleton``: pairs of keypoint indices,
    - ``images``: for each image ``image`` (the file name), ``width``, ``height``, for a video ``frame`` (from 0), and
      ``instances`` with ``bbox`` (x, y, width, height in image px), ``bbox_score``, ``keypoints`` (K × [x, y, score],
      x and y in image px), ``score``, the product of the box's score and the mean score of the keypoints
      (docs/protocol.md, "Test protocol"), and for a video ``track_id``, which follows a person from frame to frame.

    It is written atomically after the last image. Until then, and for good with ``shard``, the images are lines of the
    part file of :mod:`mmpose_mspn.apis.prediction_files`, each written when it is predicted and drawn.

    Args:
        source: An image, a folder of images (without its subfolders) or a video.
        config: Config of the pose estimator. The pipeline of its ``test_dataloader`` makes the crops.
        checkpoint: Weights of the pose estimator: a file, or a name or URL as for :func:`mmpose_mspn.load`.
        out_dir: Folder for the results, created if it is missing. It must not be the folder of the source.
        boxes: COCO file with person boxes, see :class:`~mmpose_mspn.apis.boxes.FileBoxes`. Not for videos.
        ann_file: Annotation file that maps the ``image_id`` of ``boxes`` to file names.
        det_config: Config of a detector of mmdet that finds the person boxes. Without ``boxes`` and ``det_config``, the
            whole image is one box.
        det_checkpoint: Weights of the detector.
        bbox_thr: Lowest score of a box that is used, 0 to 1.
        kpt_thr: Lowest score of a keypoint that is drawn, >= 0, see
            :data:`~mmpose_mspn.apis.drawing.KEYPOINT_THRESHOLD`. All keypoints are written to the JSON file.
        device: Device of torch. The default is the first GPU if there is one and the CPU otherwise.
        fast: Data type of an accelerated copy of the model, see :func:`mmpose_mspn.accelerate`: ``'float32'``,
            ``'bfloat16'`` or ``'float16'``. The default is the model itself.
        category: Name or id of the category of ``boxes`` to use; the default is that of the config, which is ``person``
            unless it names a ``category``, or the only one.
        report: Whether to write ``report/index.html`` to ``out_dir`` as well: a page that shows the people with the
            lowest scores and the heatmaps of every stage. Not for videos, shards and exported models.
        model: In place of ``config`` and ``checkpoint``: the name of published weights, a checkpoint that carries its
            config, or an exported ``.onnx`` file.
        batch_size: Number of crops, of any images, that pass the network together, and of images that pass the detector
            together, >= 1. It saves time on a GPU; the last digits of the predictions then depend on which images come
            together. The default is the crops of one image, at most 16 at once, so that a run that was killed and
            resumed or divided into shards predicts exactly what a single run does.
        resume: Whether to continue where an unfinished run with the same arguments stopped.
        shard: ``'i/n'``: predict only the i-th of n parts of the images, which
            :func:`~mmpose_mspn.apis.prediction_files.merge_parts` merges. Not for videos.
        detector: In place of ``det_config`` and ``det_checkpoint``: a name of mmpose's default detectors, such as
            ``'human'``.

    Returns:
        Counts: ``images`` (or frames of a video) that were predicted on, ``instances`` in them, ``skipped`` images that
        cannot be decoded, ``skipped_boxes`` without a positive size or outside of their image, and ``other_files`` of
        the folder that are not images. They include what a resumed run had done before.

    Raises:
        FileNotFoundError: A file is missing.
        OSError: ``out_dir`` cannot be written to.
        MissingPackageError: ``det_config`` is given and mmdet is not installed, or ``report`` and its packages are not.
        UserError: An argument or the content of a file is wrong, or no image can be decoded.
    """
    check_options(boxes, ann_file, det_config, det_checkpoint, detector, bbox_thr, kpt_thr, fast, category)
    check_model(config, checkpoint, model)
    checkpoint, model = (None if file is None else checkpoint_file(file) for file in (checkpoint, model))
    if batch_size is not None:
        check_batch_size(batch_size)
    part_of = parse_shard(shard)
    device = choose_device(device)
    frames = open_source(source)
    cfg = None if config is None else load_config(str(config))
    about = describe_run(
        frames, cfg, files=dict(checkpoint=checkpoint, model=model, boxes=boxes, ann_file=ann_file,
                                det_config=det_config, det_checkpoint=det_checkpoint),
        options=dict(bbox_thr=bbox_thr, kpt_thr=kpt_thr, fast=fast, category=category, detector=detector))
    if isinstance(frames, Video):
        refuse_for_videos(frames, report=report, shard=shard)
    if report:
        check_report(shard, model, out_dir)
    out_dir = output_folder(out_dir, frames)
    # Built before the pose estimator, because the scope of the model that is built last remains the default scope.
    detector = (det_config, det_checkpoint) if det_config else detector
    find_boxes = _box_source(frames, boxes, ann_file, detector, device, category, _box_category(cfg))
    pose, whole_model = _load(cfg, checkpoint, model, device, fast)
    if isinstance(frames, Images):
        frames.paths = part_of.of(frames.paths)
    outputs = [out_dir / PREDICTIONS]
    if isinstance(frames, Video):
        outputs.append(out_dir / f'{frames.path.stem}.mp4')
    check_outputs('out_dir', outputs, KIND)
    labels = dict(keypoint_names=pose.names, skeleton=[list(link) for link in pose.skeleton])
    part = PartFile(out_dir, part_of, {**about, **describe_drawings(pose.drawer)}, labels, resume)
    warn_of_earlier_run(out_dir, part)
    counts = dict(images=0, instances=0, skipped=0, skipped_boxes=0, other_files=frames.other_files)
    superfluous = False
    try:
        if not part.complete:
            with open_writer(out_dir, frames) as writer:
                tracker = pose.tracker() if isinstance(frames, Video) else None
                todo = _leave_out_done(frames, part, writer, pose, kpt_thr, tracker)
                if isinstance(frames, Images):
                    check_outputs('out_dir', [out_dir / path.name for path in frames.paths], KIND)
                pairs = _pairs(todo, find_boxes, bbox_thr, batch_size if batch_size and detector else 1)
                for picture, result in pose.stream(pairs, batch_size or BATCH_SIZE, batch_size is not None):
                    if tracker:
                        result.track_ids = tracker(result.keypoints, result.scores, result.boxes)
                    writer.write(picture.frame, result.draw(kpt_thr))
                    part.write(*picture.record(result))
            if not part.images and not shard:
                superfluous = True
                raise DataError(f'no image of source {source} can be decoded: see the log, and name a source that can')
            part.finish()
        counts.update(part.counts() if shard else write_predictions([part.path], out_dir), skipped=frames.skipped)
        superfluous = not shard
    finally:
        part.close(remove=superfluous or not part.images and not part.complete)
    if report:
        from mmpose_mspn.apis.diagnosis import report_pictures
        images = read_json(PREDICTIONS, out_dir / PREDICTIONS, dict)['images']
        report_pictures(whole_model, out_dir / REPORT, images, frames.folder)
    return counts


class _FrameWithBoxes(NamedTuple):
    """A frame and the boxes in which people are predicted: (N, 4) and (N,), both float64."""
    frame: Frame
    boxes: np.ndarray
    scores: np.ndarray
    skipped_boxes: int

    def record(self, result) -> Tuple[dict, int]:
        """The image's entry in ``predictions.json``, and the number of its boxes that were skipped."""
        height, width = self.frame.image.shape[:2]
        record = dict(image=self.frame.name, width=width, height=height)
        if self.frame.number is not None:
            record['frame'] = self.frame.number
        record['instances'] = [
            dict(bbox=box.tolist(), bbox_score=float(box_score),
                 keypoints=np.concatenate([keypoints, scores[:, None]], 1).tolist(),
                 score=float(box_score) * float(scores.astype(np.float32).mean()))
            for box, box_score, keypoints, scores in zip(self.boxes, self.scores, result.keypoints, result.scores)]
        for person, track_id in zip(record['instances'], () if result.track_ids is None else result.track_ids):
            person['track_id'] = int(track_id)
        return record, self.skipped_boxes

    def __str__(self) -> str:
        return _describe(self.frame)


def _pairs(frames: Iterator[Frame], find_boxes: Callable[[List[Frame]], Iterable[Boxes]], bbox_thr: float,
           size: int) -> Iterator[Pair]:
    """The frames with the boxes that are used, which are found for ``size`` frames together."""
    both = ((frame, boxes) for batch in batches(frames, size) for frame, boxes in zip(batch, find_boxes(batch)))
    for frame, all_boxes in both:
        boxes, scores, skipped = select_boxes(*all_boxes, bbox_thr, frame.image.shape)
        if skipped:
            print_log(f'{_describe(frame)}: {skipped} boxes of zero size or outside of the image are skipped',
                      'current', logging.WARNING)
        yield Pair(frame.image, frame.image, boxes.astype(np.float32), _FrameWithBoxes(frame, boxes, scores, skipped))


def _leave_out_done(frames: Union[Images, Video], part: PartFile, writer: Union[PictureWriter, VideoWriter],
                    pose: PoseModel, kpt_thr: float, tracker: Optional[Tracker]) -> Iterator[Frame]:
    """The frames that an earlier run has not predicted on.

    A video cannot be continued in the middle, so the frames that the earlier run has predicted on are drawn again, and
    the tracker goes on with their ids.
    """
    if not part.done:
        return iter(frames)
    print_log(f'{part.path}: resumed after {part.done} images', 'current')
    if isinstance(frames, Images):
        done = {line['image']['image'] for line in part.records()}
        frames.paths = [path for path in frames.paths if path.name not in done]
        return iter(frames)
    rest = iter(frames)
    for line, frame in zip(part.records(), islice(rest, part.done)):
        people = line['image']['instances']
        keypoints = np.array([person['keypoints'] for person in people], np.float64)
        boxes = np.array([person['bbox'] for person in people])
        result = pose.result(keypoints, boxes, frame.image)
        tracker(result.keypoints, result.scores, result.boxes, [person['track_id'] for person in people])
        writer.write(frame, result.draw(kpt_thr))
    return rest


def _load(cfg: Optional[Config], checkpoint: Optional[PathLike], model: Optional[PathLike], device: str,
          fast: Optional[str]) -> Tuple[PoseModel, Any]:
    """The model that predicts and, of a checkpoint with a config, the whole network for the report."""
    if model is not None:
        if Path(model).suffix.lower() == '.onnx':
            return load(model, dtype=fast), None
        pose = load(model, device=device, dtype=fast, fast=fast is not None)
        return pose, pose.network
    whole, drawer = load_parts(cfg, checkpoint, device)
    return TorchPoseModel(whole, drawer, fast is not None, None if fast is None else named_dtype(fast)), whole


def _box_source(frames: Union[Images, Video], boxes: Optional[PathLike], ann_file: Optional[PathLike],
                detector: Any, device: str, category: Optional[str],
                expected: BoxCategory) -> Callable[[List[Frame]], Iterable[Boxes]]:
    """What finds the boxes of several frames."""
    if boxes is not None:
        if isinstance(frames, Video):
            raise UserError(f'boxes are for images, but the source {frames.path} is a video: give a detector, or '
                            'none to use the whole frame')
        return partial(map, FileBoxes(boxes, ann_file, frames, category, expected))
    if detector is not None:
        find_boxes = open_detector(detector, device, expected.name)
        return lambda batch: find_boxes([frame.image for frame in batch])
    return partial(map, whole_image)


def _box_category(cfg: Optional[Config]) -> BoxCategory:
    """The ``category`` of a config that tools/new_dataset.py wrote, a person for all others."""
    named = cfg.get('category') if cfg is not None else None
    return BoxCategory(**named) if named else PERSONS


def _describe(frame: Frame) -> str:
    return frame.name if frame.number is None else f'{frame.name}, frame {frame.number}'


def check_model(config: Optional[PathLike], checkpoint: Optional[PathLike], model: Optional[PathLike]) -> None:
    """Check that either a config and a checkpoint or a model is given, and that the config exists."""
    if model is None:
        if config is None or checkpoint is None:
            raise UserError('config and checkpoint belong together: give both, or a model that carries its config '
                            '(--model)')
        check_file('config', config)
    elif config is not None or checkpoint is not None:
        raise UserError(f'model {model} takes the place of config and checkpoint: give it alone')


def check_options(boxes: Optional[PathLike], ann_file: Optional[PathLike], det_config: Optional[PathLike],
                  det_checkpoint: Optional[PathLike], detector: Optional[str], bbox_thr: float, kpt_thr: float,
                  fast: Optional[str], category: Optional[str]) -> None:
    """Check the options that need no file to be read."""
    if fast is not None:
        named_dtype(fast, 'fast')
    if boxes is not None and (det_config is not None or det_checkpoint is not None or detector is not None):
        raise UserError('boxes and a detector (detector, or det_config and det_checkpoint) exclude each other: give '
                        'one of them')
    if detector is not None and (det_config is not None or det_checkpoint is not None):
        raise UserError(f'detector {detector} takes the place of det_config and det_checkpoint: give it alone')
    if (det_config is None) != (det_checkpoint is None):
        raise UserError('det_config and det_checkpoint belong together, got '
                        f'det_config={det_config} and det_checkpoint={det_checkpoint}')
    if ann_file is not None and boxes is None:
        raise UserError(f'ann_file {ann_file} names the images of boxes, but there are no boxes: give boxes or omit '
                        'ann_file')
    if not 0 <= bbox_thr <= 1:
        raise UserError(f'bbox_thr must be 0 to 1, got {bbox_thr}')
    if not kpt_thr >= 0:
        raise UserError(f'kpt_thr must be >= 0, got {kpt_thr}')
    if category is not None and boxes is None:
        raise UserError(f'category {category} chooses among boxes, but there are no boxes: give boxes or omit it')


def refuse_for_videos(video: Video, **options: Any) -> None:
    """Refuse options that are set and do not apply to a video."""
    for name, value in options.items():
        if value:
            raise UserError(f'{name} is for images, but the source {video.path} is a video: omit {name}')


def check_report(shard: Optional[str], model: Optional[PathLike], out_dir: PathLike) -> None:
    """Check that the report can be written: its packages, and that the run has all images and heatmaps."""
    from mmpose_mspn.apis.diagnosis import check_report_folder
    from mmpose_mspn.diagnosis.report import check_page_packages
    check_page_packages()
    check_report_folder('out_dir', Path(out_dir) / REPORT, predicts=False)
    if shard is not None:
        raise UserError('report shows the people of all images, but shard predicts a part of them: omit one')
    if model is not None and Path(model).suffix.lower() == '.onnx':
        raise UserError(f'report shows heatmaps, which the exported model {model} does not give: give config and '
                        'checkpoint')


def describe_run(frames: Union[Images, Video], cfg: Optional[Config],
                 files: Mapping[str, Optional[Union[str, Path]]], options: Mapping[str, object]) -> Dict[str, object]:
    """Plain values that are equal for two runs, on whatever machines, whose predictions may be mixed.

    Args:
        frames: The source, of which the names and the sizes of the files count.
        cfg: Config of the model, of which the model, the pipeline that makes the crops, and the category of the boxes
            count.
        files: Files by the name of the option, of which the content counts. ``None`` where none is given.
        options: Options that change the predictions or the drawings.
    """
    paths = [frames.path] if isinstance(frames, Video) else frames.paths
    source = [f'{path.name} {path.stat().st_size if path.exists() else "gone"}' for path in paths]
    parts = None
    if cfg is not None:
        dataset = (cfg.get('test_dataloader') or {}).get('dataset') or {}
        parts = _digest(repr((cfg.get('model'), dataset.get('pipeline'), cfg.get('category'))))
    hashes = {name: _hash(path) for name, path in files.items()}
    return dict(source=_digest('\n'.join(source)), config=parts, **hashes, **options)


def describe_drawings(drawer: Drawer) -> Dict[str, object]:
    """Plain values that are equal for two drawers that draw the same."""
    return dict(metainfo=_digest(json.dumps(drawer.meta, sort_keys=True, default=_plain)),
                visualizer=_digest(json.dumps(drawer.settings, sort_keys=True, default=_plain)))


def _plain(value: object) -> object:
    """A value that JSON has, for one that it lacks: an array, a number of numpy, a set or an object."""
    return value.tolist() if hasattr(value, 'tolist') else sorted(value) if isinstance(value, set) else str(value)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _hash(path: Optional[Union[str, Path]]) -> Optional[str]:
    if path is None or not Path(path).is_file():  # a missing file is refused where it is read
        return None
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
