"""Models that onnxruntime or OpenVINO runs behind PyTorch's ``predict``."""
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Optional

from torch import Tensor, nn

import mspn_runtime
from mmpose_mspn.deploy.accelerated_pose_estimator import SessionPoseEstimator
from mmpose_mspn.deploy.onnx_file import (
    check_calibration,
    one_by_one,
    quantize,
    require_exporter,
    require_packages,
    trace,
    write,
)
from mmpose_mspn.deploy.pose_graph import PoseGraph, refuse_unexportable
from mmpose_mspn.utils.errors import CheckpointError, ConfigError
from mmpose_mspn.utils.files import FilePath

BACKENDS = dict(onnxruntime=('fp32', 'int8'), openvino=('fp32', 'bf16', 'int8'))
"""Backends and the precisions in which they compute."""


def fastest_backend() -> str:
    """The backend that computes int8 in the least time of those that are installed."""
    return 'openvino' if find_spec('openvino') else 'onnxruntime'


def accelerate_by(model: nn.Module, backend: str, precision: str = 'fp32', calibration: Optional[Tensor] = None,
                  stages: Optional[int] = None, flip_indices: Optional[list] = None) -> SessionPoseEstimator:
    """A pose estimator that predicts as the given one, with its network and its decode run by a backend.

    Args:
        model: The estimator, on a CPU. It is left as it is.
        backend: ``'onnxruntime'`` or ``'openvino'``.
        precision: ``'fp32'``, ``'int8'`` or, of OpenVINO, ``'bf16'``.
        calibration: Of int8: crops (N, 3, h, w), uint8, as the test pipeline packs them, N >= 16.
        stages: Run only the first stages of an MSPN, 1 ... S.
        flip_indices: For each keypoint the one that takes its place in a mirrored crop; default: those of the model's
            ``dataset_meta``.

    Raises:
        MissingPackageError: A package is missing, or torch is older than 2.6.
        ConfigError: An argument is out of its range, or the model is of a kind that cannot be exported.
    """
    if backend not in BACKENDS or precision not in BACKENDS[backend]:
        raise ConfigError(f'backend and precision must be one of {BACKENDS}, got {backend!r} and {precision!r}')
    if (precision == 'int8') != (calibration is not None):
        raise ConfigError('calibration, crops (N, 3, h, w), uint8, belongs to precision int8, which needs it, got '
                          f'precision {precision} and calibration {None if calibration is None else "of crops"}')
    require_exporter()
    require_packages(backend)
    if (model.test_cfg or {}).get('output_heatmaps'):
        raise ConfigError('output_heatmaps of the test_cfg needs PyTorch: omit it, or omit backend')
    if flip_indices is None:
        flip_indices = (getattr(model, 'dataset_meta', None) or {}).get('flip_indices')
    if flip_indices is None and (model.test_cfg or {}).get('flip_test'):
        raise ConfigError("model has no dataset_meta with flip_indices, which the flip test needs: load it with "
                          "mmpose's init_model")
    graph = PoseGraph(model, flip_indices or [], 'normalized', stages=stages)
    exported = trace(graph)
    if precision == 'int8':
        check_calibration(len(calibration))
        exported = quantize(exported, one_by_one(graph.normalized(calibration).numpy()))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'model.onnx'
        write(exported, path, {})
        run = _open(path, backend, precision)
    return SessionPoseEstimator(model, run)


def load_exported(path: FilePath, model: nn.Module, backend: str = 'onnxruntime') -> SessionPoseEstimator:
    """A pose estimator that predicts by an exported file; its weights are those of the file.

    Args:
        path: ``.onnx`` file of :func:`mmpose_mspn.export` with ``input='crops'``.
        model: The estimator of the file's config, whose weights are not used.
        backend: ``'onnxruntime'`` or ``'openvino'``.

    Raises:
        FileNotFoundError: The file does not exist.
        MissingPackageError: The backend is not installed.
        ConfigError: The file is of another kind, or does not fit the model's input size or keypoints.
    """
    require_packages(backend)
    refuse_unexportable(model)
    pose = open_exported(path, backend)
    if pose.metadata['input'] != 'crops':
        raise ConfigError(f'{path} takes {pose.metadata["input"]}, a test needs crops: export it with --input crops')
    expected = model.head.decoder.input_size, model.head.out_channels
    of_file = pose.input_size, len(pose.names)
    if of_file != expected:
        raise ConfigError(f'{path} has input_size {of_file[0]} and {of_file[1]} keypoints, the config '
                          f'{expected[0]} and {expected[1]}: take the config that it was exported from')
    return SessionPoseEstimator(model, pose.run, takes_pixels=True)


def open_exported(path: FilePath, backend: Optional[str] = None) -> mspn_runtime.Pose:
    """Open an exported file.

    Args:
        path: ``.onnx`` file of :func:`mmpose_mspn.export`.
        backend: ``'onnxruntime'`` or ``'openvino'``; default: the first that is installed.

    Raises:
        FileNotFoundError: The file does not exist.
        MissingPackageError: The backend is not installed.
        CheckpointError: The file does not hold such a model.
    """
    try:
        return mspn_runtime.Pose(str(path), backend)
    except (ImportError, FileNotFoundError):
        raise
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    except Exception as error:  # the runtimes have their own classes of errors
        raise CheckpointError(f'{path} cannot be read as a model of mmpose_mspn.export '
                              f'({str(error).splitlines()[0][:160]}): export it again') from error


def _open(path: Path, backend: str, precision: str):
    opened = mspn_runtime.with_openvino if backend == 'openvino' else mspn_runtime.with_onnxruntime
    return opened(str(path), 0, 'bf16' if precision == 'bf16' else 'f32')[0]
