"""int8 models: onnxruntime's static quantization of the convolutions."""
import logging
import tempfile
from pathlib import Path
from typing import Dict, Optional, Sequence, Set

import numpy as np

MIN_CROPS = 16
"""Lowest number of crops whose activations give the ranges of the int8 values."""
KINDS = ('Conv', 'Add', 'Relu', 'MaxPool', 'Resize')
"""Operators that compute in int8."""


def check_calibration(crops: int) -> None:
    """Refuse too few crops.

    Raises:
        ValueError: There are fewer than :data:`MIN_CROPS`.
    """
    if crops < MIN_CROPS:
        raise ValueError(f'calibration must have at least {MIN_CROPS} crops, whose activations give the ranges of the '
                         f'int8 values, got {crops}: give more')


def quantize(model, batches: Sequence[Dict[str, np.ndarray]]):
    """A model whose convolutions compute in int8, in the QDQ format that onnxruntime and OpenVINO run.

    Weights have a range per channel, activations one per tensor. The first convolution, which reads pixels, the
    predictor, which writes heatmaps, and all that follows it stay in float32.

    Args:
        model: ``onnx.ModelProto`` in float32; it is changed.
        batches: Inputs by name, whose activations give the ranges.

    Returns:
        An ``onnx.ModelProto``.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process
    inside = _between_convolutions(model)
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


def _between_convolutions(model) -> Set[str]:
    """Names of the nodes that lie between the first and the last convolution of a graph."""
    nodes = list(model.graph.node)
    convolutions = [index for index, node in enumerate(nodes) if node.op_type == 'Conv']
    first, last = convolutions[0], convolutions[-1]
    return {node.name for node in nodes[first + 1:last] if node.op_type in KINDS}


class _Batches:
    """Batches of inputs, as onnxruntime's calibration asks for them."""

    def __init__(self, batches: Sequence[Dict[str, np.ndarray]]) -> None:
        self._left = list(batches)

    def get_next(self) -> Optional[Dict[str, np.ndarray]]:
        return self._left.pop(0) if self._left else None
