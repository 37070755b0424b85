"""ONNX files: written from a :class:`PoseGraph`, and what they say about themselves."""
import hashlib
import json
import logging
import warnings
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Dict, Iterator, Optional, Sequence

import torch
from torch import nn

from mmpose_mspn.deploy.pose_graph import PoseGraph
from mmpose_mspn.utils.files import FilePath, write_atomically
from mmpose_mspn.version import __version__

FORMAT_VERSION = '1'
"""Of what a file says about itself; ``mspn_runtime.py`` reads this version."""
OPSET = 18
LOWEST_TORCH = (2, 6)
"""The first whose exporter takes a graph of ``torch.export`` with sizes that stay dynamic."""
PACKAGES = ('onnx', 'onnxscript', 'onnxruntime')
INPUTS = dict(crops=['crops'], normalized=['crops'], image=['image', 'boxes'])
"""Names of a graph's inputs by its source."""
OUTPUTS = ['keypoints', 'scores', 'heatmaps']


def require_packages(*names: str) -> None:
    """Check that packages are installed.

    Raises:
        ImportError: One is not; the message says how to install it.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        extra = 'openvino' if missing == ['openvino'] else 'export'
        raise ImportError(f'{" and ".join(missing)} must be installed: pip install "mmpose_mspn[{extra}]"')


def require_exporter() -> None:
    """Check that ONNX files can be written.

    Raises:
        ImportError: torch is older than :data:`LOWEST_TORCH`, or a package is not installed.
    """
    if torch.__version__ < LOWEST_TORCH:
        raise ImportError(f'ONNX files are written with torch>={".".join(map(str, LOWEST_TORCH))}, but torch '
                          f'{torch.__version__} was found: export where such a version is installed, from the same '
                          'checkpoint')
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
        skeleton=json.dumps([[int(one), int(other)] for one, other in meta['skeleton_links']]),
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
    for key, value in about.items():
        model.metadata_props.add(key=key, value=value)
    write_atomically(path, model.SerializeToString())


def _weights_hash(model: nn.Module) -> str:
    found = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


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
