"""Export of a trained pose estimator to one ONNX file, which is checked against PyTorch before it is kept."""
import copy
import logging
import tempfile
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log
from torch import nn

import mspn_runtime
from mmpose_mspn.deploy.check import CLOSE, TOLERANCE, compare
from mmpose_mspn.deploy.onnx_file import (
    check_calibration,
    description,
    one_by_one,
    quantize,
    require_exporter,
    trace,
    write,
)
from mmpose_mspn.deploy.pictures import Picture, crops_of, pictures_of_config, random_pictures
from mmpose_mspn.deploy.pose_graph import PoseGraph, refuse_unexportable
from mmpose_mspn.models.pose_estimators.topdown import first_stages
from mmpose_mspn.utils.config_types import type_name
from mmpose_mspn.utils.errors import ConfigError
from mmpose_mspn.utils.files import FilePath
from mmpose_mspn.utils.outputs import check_outputs, move_output, write_output

INPUTS = ('crops', 'image')
PRECISIONS = ('fp32', 'fp16', 'int8')
CHECKED_PEOPLE, CHECKED_IN_INT8 = 16, 200
"""People on whom a file is checked: in int8 few keypoints move far, which 16 people may not show."""
KIND = 'export'
CALIBRATION_PEOPLE = 64
LEAST_CLOSE = 0.5
"""Lowest share of confident keypoints that are unmoved, in a file of a lower precision that is kept."""
KEEP_CROPS = ('LoadImage', 'LoadVisibility', 'KeypointConverter', 'GenerateTarget', 'PackPoseInputs')
"""Steps that change neither the box nor the crop."""


def export(model: nn.Module,
           path: FilePath,
           input: str = 'crops',
           precision: str = 'fp32',
           calibration: Optional[Sequence[Picture]] = None,
           pictures: Optional[Sequence[Picture]] = None,
           flip: bool = True,
           heatmaps: bool = False,
           stages: Optional[int] = None,
           checkpoint: Optional[FilePath] = None) -> Dict[str, float]:
    """Write a pose estimator as an ONNX file, with ``mspn_runtime.py``, which runs it, beside it.

    The graph holds the normalization, the network with its norms folded and its last predictor alone, the flip test
    and the official decode. Its outputs are ``keypoints`` (N, K, 2) and ``scores`` (N, K), float32, for any number N of
    people, also none. What the file says about itself (its metadata) is listed in docs/deploy.md.

    The file is kept only if its keypoints are those of PyTorch for the same crops, which are those of OpenCV 4: within
    :data:`TOLERANCE` image px in float32; in lower precisions, at least :data:`LEAST_CLOSE` of the confident keypoints
    within :data:`CLOSE` px of the crop.

    Args:
        model: Top-down estimator with ``cfg`` and ``dataset_meta``, as from mmpose's ``init_model``, or what
            ``mmpose_mspn.load`` returns for a checkpoint.
        path: The ``.onnx`` file.
        input: ``'crops'``: the one input ``crops`` (N, 3, h, w), uint8, BGR, as the test pipeline packs them, and
            keypoints in px of the crop. ``'image'``: ``image`` (H, W, 3), uint8, BGR, and ``boxes`` (N, 4), x, y,
            width, height in image px, float32, and keypoints in image px.
        precision: ``'fp32'``; ``'fp16'``: weights and activations of the backbone in float16; ``'int8'``: convolutions
            before the predictor in int8.
        calibration: At least 16 people whose activations give the int8 ranges; default: 64 of the training data.
        pictures: People on whom the file is checked; default: 16 of the test data (int8: 200), or where there are none
            those of ``calibration``, or random images.
        flip: Whether the flip test is in the graph, if the model's ``test_cfg`` asks for it.
        heatmaps: Whether the graph has a third output ``heatmaps`` (N, K, H, W).
        stages: Export only the first stages of an MSPN, 1 ... S.
        checkpoint: File of the weights, whose hash the metadata then names.

    Returns:
        See :func:`mmpose_mspn.deploy.check.compare`.

    Raises:
        MissingPackageError: onnx, onnxscript or onnxruntime is not installed, or torch is older than 2.6.
        ConfigError: An argument is out of its range, the model cannot be exported, or the file differs from PyTorch.
    """
    require_exporter()
    model = getattr(model, 'exportable', model)  # of what mmpose_mspn.load returns
    path = Path(path)
    _check_arguments(model, path, input, precision, calibration)
    runtime, beside = Path(mspn_runtime.__file__), path.parent / 'mspn_runtime.py'
    is_there = beside.is_file() and beside.read_bytes() == runtime.read_bytes()
    check_outputs('path', [path, *[beside] * (not is_there)], KIND)
    padding = box_padding(model.cfg, model.head.decoder.input_size)
    graph = PoseGraph(model, model.dataset_meta['flip_indices'], input, flip, stages, precision == 'fp16', padding)
    about = description(model, graph, padding, precision, checkpoint)
    if precision == 'int8' and calibration is None:
        calibration = pictures_of_config(model.cfg, 'train', CALIBRATION_PEOPLE)
    if pictures is None:
        count = CHECKED_IN_INT8 if precision == 'int8' else CHECKED_PEOPLE
        pictures = _pictures_to_check(model, calibration, count)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        exported = trace(graph, heatmaps=True)
        if precision == 'int8':
            exported = quantize(exported, _batches(calibration, input, model))
        write(exported, made, about)
        gaps = compare(made, _as_exported(model, flip, stages), pictures)
        _refuse_differing(gaps, precision)
        if not heatmaps:  # which only the comparison has needed
            del exported.graph.output[2]
            write(exported, made, about)
        move_output(made, path, KIND)
    if not is_there:
        write_output(beside, runtime.read_bytes(), KIND)
    return gaps


def _refuse_differing(gaps: Dict[str, float], precision: str) -> None:
    if gaps['other_crops']:
        said = (f'OpenCV {cv2.__version__} cuts other crops of {gaps["other_crops"]} of {gaps["people"]} people than '
                'the exported file, which cuts as OpenCV 4')
        if int(cv2.__version__.split('.')[0]) <= 4:
            raise ConfigError(f'{said}: the file is not kept; please report this')
        print_log(f'{said}: PyTorch moves keypoints with this OpenCV, the file does not', 'current', logging.WARNING)
    if precision == 'fp32' and not gaps['largest_px'] <= TOLERANCE:
        raise ConfigError(f'the exported keypoints lie up to {gaps["largest_px"]:.3g} image px from those of PyTorch, '
                          f'more than {TOLERANCE:g} px: the file is not kept; please report this model')
    if precision != 'fp32' and not gaps['confident']:
        print_log(f'no keypoint of the pictures of the check is confident, so it says nothing of {precision}: measure '
                  'the file with tools/test.py, or name test data with --data-root', 'current', logging.WARNING)
    if not gaps['close'] >= LEAST_CLOSE:
        raise ConfigError(f'only {gaps["close"]:.0%} of the confident keypoints in {precision} lie within {CLOSE:g} px '
                          f'of the crop from those of PyTorch, fewer than {LEAST_CLOSE:.0%}: the file is not kept; '
                          'take another precision, or calibrate with pictures like those that the model will see')


def _check_arguments(model: nn.Module, path: Path, source: str, precision: str,
                     calibration: Optional[Sequence[Picture]]) -> None:
    if path.suffix != '.onnx':
        raise ConfigError(f'path must end with .onnx, got {path}')
    if source not in INPUTS:
        raise ConfigError(f'input must be one of {", ".join(INPUTS)}, got {source!r}')
    if precision not in PRECISIONS:
        raise ConfigError(f'precision must be one of {", ".join(PRECISIONS)}, got {precision!r}')
    if calibration is not None:
        if precision != 'int8':
            raise ConfigError(f'calibration is for precision int8, got {precision}: omit it')
        check_calibration(sum(len(picture.boxes) for picture in calibration))
    refuse_unexportable(model)
    for name in ('cfg', 'dataset_meta'):
        if getattr(model, name, None) is None:
            raise ConfigError(f'model has no {name}, which the file describes: load it with mmpose_mspn.load or with '
                              "mmpose's init_model")


def _pictures_to_check(model: nn.Module, calibration: Optional[Sequence[Picture]], count: int) -> Sequence[Picture]:
    try:
        return pictures_of_config(model.cfg, 'test', count)
    except FileNotFoundError as error:
        chosen = 'random images' if calibration is None else 'the pictures of the calibration'
        print_log(f'the file is checked on {chosen}, because the test data are missing: {error}', 'current',
                  logging.WARNING)
        return random_pictures(count) if calibration is None else calibration[:count]


def _batches(pictures: Sequence[Picture], source: str, model: nn.Module) -> List[Dict[str, np.ndarray]]:
    """Pictures as inputs of a graph."""
    if source == 'image':
        return [dict(image=image, boxes=boxes) for image, boxes in pictures]
    return one_by_one(crops_of(pictures, model.cfg, model.dataset_meta).numpy())


def _as_exported(model: nn.Module, flip: bool, stages: Optional[int]) -> nn.Module:
    """The model with the flip test and the stages that are exported; it shares its weights."""
    part = copy.copy(model) if stages is None else first_stages(model, stages)
    part.test_cfg = {**(part.test_cfg or {}), **({} if flip else dict(flip_test=False))}
    return part


def box_padding(cfg: Config, input_size: Sequence[int]) -> List[float]:
    """The factors of a box's (width, height) before the crop is cut, by the test pipeline of a config.

    Args:
        cfg: Config with ``test_dataloader``.
        input_size: (w, h) in px of the model's crops.

    Raises:
        ConfigError: The pipeline has a step that an exported model cannot repeat, or lacks one.
    """
    if not cfg.get('test_dataloader'):
        raise ConfigError('the config has no test_dataloader, whose pipeline says how crops are cut: add one')
    factors, cut = None, False
    for step in cfg.test_dataloader.dataset.pipeline:
        name = type_name(step)
        if name == 'WidenBBox' and not any(step.get('random', (0, 0))):
            factors = 1 + np.array(step['fixed'], np.float32)
        elif name == 'GetBBoxCenterScale':
            factors = np.full(2, step.get('padding', 1.25), np.float32)
        elif name == 'TopdownAffine' and not step.get('use_udp') and tuple(step['input_size']) == tuple(input_size):
            cut = True
        elif name not in KEEP_CROPS:
            raise ConfigError(f'step {dict(step)} of the pipeline of test_dataloader cannot be exported: take '
                              'WidenBBox without random, or GetBBoxCenterScale, and TopdownAffine without use_udp of '
                              f'input_size {tuple(input_size)}')
    if factors is None or not cut:
        raise ConfigError('the pipeline of test_dataloader must have WidenBBox or GetBBoxCenterScale, and '
                          'TopdownAffine')
    return factors.tolist()
