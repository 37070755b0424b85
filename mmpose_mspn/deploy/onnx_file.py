"""ONNX files: written from a :class:`PoseGraph`, quantized to int8, and what they say about themselves."""
import hashlib
import json
import logging
import tempfile
import warnings
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Set

import numpy as np
import torch
from torch import nn

from mmpose_mspn.deploy.pose_graph import PoseGraph
from mmpose_mspn.utils.errors import ConfigError, MissingPackageError
from mmpose_mspn.utils.files import FilePath, write_atomically
from mmpose_mspn.version import __version__

DOC_STRING = 'A pose estimator of mmpose_mspn.export: mspn_runtime.py runs it, and its metadata describe it.'
FORMAT_VERSION = '1'
"""Of what a file says about itself; ``mspn_runtime.py`` reads this version."""
OPSET = 18
LOWEST_TORCH = (2, 6)
"""The first whose exporter takes a graph of ``torch.export`` with sizes that stay dynamic."""
PACKAGES = ('onnx', 'onnxscript', 'onnxruntime')
INPUTS = dict(crops=['crops'], normalized=['crops'], image=['image', 'boxes'])
"""Names of a graph's inputs by its source."""
OUTPUTS = ['keypoints', 'scores', 'heatmaps']
MIN_CROPS = 16
"""Lowest number of crops whose activations give the ranges of the int8 values."""
KINDS = ('Conv', 'Add', 'Relu', 'MaxPool', 'Resize')
"""Operators that compute in int8."""
PREDICTORS = 'head.predictors.'
"""Part of the names of the weights of an MSPN's predictor; that of other heads is their last convolution."""


def require_packages(*names: str) -> None:
    """Check that packages are installed.

    Raises:
        MissingPackageError: One is not; the message says how to install it.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        extra = 'openvino' if missing == ['openvino'] else 'export'
        raise MissingPackageError(f'{" and ".join(missing)} must be installed: pip install "mmpose_mspn[{extra}]"')


def require_exporter() -> None:
    """Check that ONNX files can be written.

    Raises:
        MissingPackageError: torch is older than :data:`LOWEST_TORCH`, or a package is not installed.
    """
    if torch.__version__ < LOWEST_TORCH:
        raise MissingPackageError(f'ONNX files are written with torch>={".".join(map(str, LOWEST_TORCH))}, but torch '
                                  f'{torch.__version__} was found: export where such a version is installed, from '
                                  'the same checkpoint')
    require_packages(*PACKAGES)


def trace(graph: PoseGraph, heatmaps: bool = False):
    """The ONNX model of a graph, for any number of people.

    Args:
        graph: The graph.
        heatmaps: Whether the model has a third output, the heatmaps that its decode gets.

    Returns:
        An ``onnx.ModelProto``.
    """
    require_exporter()
    w, h = graph.input_size
    people = {0: torch.export.Dim('people')}
    if graph.source == 'image':
        # Two people, because torch takes a size of one for a constant.
        inputs = (torch.zeros(h, w, 3, dtype=torch.uint8), torch.tensor([[0., 0., w, h]] * 2))
        shapes = ({0: torch.export.Dim('height'), 1: torch.export.Dim('width')}, people)
    else:
        inputs = (torch.zeros(2, 3, h, w, dtype=torch.float32 if graph.source == 'normalized' else torch.uint8), )
        shapes = (people, )
    graph.eval()
    with torch.no_grad(), _quiet():
        graph(*inputs)  # fills the caches of constants with real tensors
        program = torch.onnx.export(graph, inputs, dynamo=True, verbose=False, opset_version=OPSET,
                                    input_names=INPUTS[graph.source], output_names=OUTPUTS, dynamic_shapes=shapes)
    model = program.model_proto
    if not heatmaps:
        del model.graph.output[2]
    return model


def description(model: nn.Module, graph: PoseGraph, padding: Sequence[float], precision: str,
                checkpoint: Optional[FilePath] = None) -> Dict[str, str]:
    """What a file says about itself, as strings; those that begin with ``[`` or ``{`` are JSON.

    Args:
        model: The exported estimator, with ``cfg`` and ``dataset_meta``.
        graph: Its graph.
        padding: Factors of a box's (width, height) before the crop is cut.
        precision: ``'fp32'``, ``'fp16'`` or ``'int8'``.
        checkpoint: File of the weights.
    """
    meta = model.dataset_meta
    names = [meta['keypoint_id2name'][index] for index in range(len(meta['keypoint_id2name']))]
    metric = model.cfg.get('test_evaluator') or {}
    metric = metric[0] if isinstance(metric, (list, tuple)) else metric
    score_rule = dict(keypoint='heatmap / 255 + 0.5', person=metric.get('score_mode', 'bbox_keypoint'),
                      keypoint_score_thr=metric.get('keypoint_score_thr', 0.))
    return dict(
        format='mmpose_mspn',
        format_version=FORMAT_VERSION,
        package_version=__version__,
        input=graph.source,
        input_size=json.dumps(graph.input_size),
        color_order='BGR',
        box_padding=json.dumps(list(padding)),
        keypoint_names=json.dumps(names),
        skeleton=json.dumps([[int(start), int(end)] for start, end in meta['skeleton_links']]),
        flip_indices=json.dumps([int(index) for index in meta['flip_indices']]),
        flip_test=json.dumps(graph.flip_test),
        score_rule=json.dumps(score_rule),
        precision=precision,
        dataset=str(meta.get('dataset_name', '')),
        config=model.cfg.pretty_text,
        checkpoint_sha256=hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest() if checkpoint else '',
        weights_sha256=_weights_hash(model))


def write(model, path: FilePath, about: Dict[str, str]) -> None:
    """Write an ``onnx.ModelProto`` with its description, atomically."""
    del model.metadata_props[:]
    model.doc_string = DOC_STRING
    for key, value in about.items():
        model.metadata_props.add(key=key, value=value)
    write_atomically(path, model.SerializeToString())


def _weights_hash(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's warnings about its own operators and its log."""
    loggers = [logging.getLogger(name) for name in ('onnxscript', 'onnx_ir', 'torch.onnx')]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels):
                logger.setLevel(level)


def check_calibration(crops: int) -> None:
    """Refuse too few crops.

    Raises:
        ConfigError: There are fewer than :data:`MIN_CROPS`.
    """
    if crops < MIN_CROPS:
        raise ConfigError(f'calibration must have at least {MIN_CROPS} crops, whose activations give the ranges of the '
                          f'int8 values, got {crops}: give more')


def one_by_one(crops: np.ndarray) -> List[Dict[str, np.ndarray]]:
    """Inputs of a graph, each with one of the crops (N, 3, h, w).

    onnxruntime keeps all activations of a batch until it has taken their ranges: those of eight crops in four stages
    took more than 17 GB.
    """
    return [dict(crops=crops[index:index + 1]) for index in range(len(crops))]


def quantize(model, batches: Sequence[Dict[str, np.ndarray]]):
    """A model whose convolutions compute in int8, in the QDQ format that onnxruntime and OpenVINO run.

    Weights have a range per channel, activations one per tensor. The predictor, which writes heatmaps, and all that
    follows it stay in float32. The first convolution is among those in int8: it reads pixels, which have 8 bits, and
    between it and the next one onnxruntime would pool in float32 and lose a quarter of the time.

    Args:
        model: ``onnx.ModelProto`` in float32; it is changed.
        batches: Inputs by name, whose activations give the ranges.

    Returns:
        An ``onnx.ModelProto``.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process
    inside = _computed_in_int8(model)
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # it warns of its own preprocessing
    try:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, 'float.onnx'), Path(folder, 'int8.onnx')
            onnx.save(model, source)
            quant_pre_process(source, source, skip_symbolic_shape=True, skip_optimization=True)
            quantize_static(
                source, target, _Batches(batches), quant_format=QuantFormat.QDQ, per_channel=True,
                # Weights of 7 bits: sums of two products of 8 bits overflow on x86 processors without VNNI.
                reduce_range=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, op_types_to_quantize=list(KINDS),
                nodes_to_quantize=sorted(inside), calibrate_method=CalibrationMethod.MinMax,
                extra_options=dict(ActivationSymmetric=False))
            return onnx.load(target)
    finally:
        logging.getLogger().setLevel(level)


def _computed_in_int8(model) -> Set[str]:
    """Names of the nodes from the first convolution to the predictor, without the predictor."""
    nodes = list(model.graph.node)
    convolutions = [index for index, node in enumerate(nodes) if node.op_type in ('Conv', 'ConvTranspose')]
    of_predictor = [index for index in convolutions if PREDICTORS in nodes[index].input[1]]
    end = min([*of_predictor, convolutions[-1]])
    return {node.name for node in nodes[convolutions[0]:end] if node.op_type in KINDS}


class _Batches:
    """Batches of inputs, as onnxruntime's calibration asks for them."""

    def __init__(self, batches: Sequence[Dict[str, np.ndarray]]) -> None:
        self._left = list(batches)

    def get_next(self) -> Optional[Dict[str, np.ndarray]]:
        return self._left.pop(0) if self._left else None
