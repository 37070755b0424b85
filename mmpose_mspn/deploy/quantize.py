"""int8 models: onnxruntime's static quantization of the convolutions."""
import logging
import tempfile
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Set

import numpy as np

MIN_CROPS = 16
"""Lowest number of crops whose activations give the ranges of the int8 values."""
KINDS = ('Conv', 'Add', 'Relu', 'MaxPool', 'Resize')
"""Operators that compute in int8."""
PREDICTORS = 'head.predictors.'
"""Part of the names of the weights of an MSPN's predictor; that of other heads is their last convolution."""


def check_calibration(crops: int) -> None:
    """Refuse too few crops.

    Raises:
        ValueError: There are fewer than :data:`MIN_CROPS`.
    """
    if crops < MIN_CROPS:
        raise ValueError(f'calibration must have at least {MIN_CROPS} crops, whose activations give the ranges of the '
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
