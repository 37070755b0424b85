"""The share of the machine's speed that the prediction of the 4-stage network reaches."""
from statistics import median
from typing import Callable, Dict, Tuple

import torch
from peers import pair
from rows import prediction
from timing import seconds
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

PREDICTION = '4-stage prediction, batch 8, flip test, decode'
PIECE = 4
"""Number of crops in a forward pass."""
Shape = Tuple[int, int, int, int, int, int]
"""Kernel, stride, input and output channels, rows, columns."""


def layer_shapes(model: nn.Module, crops: torch.Tensor) -> Dict[Shape, int]:
    """Return the shapes of the 1×1 and 3×3 convolutions in a prediction, and how often each runs."""
    found: Dict[Shape, int] = {}

    def note(conv: nn.Conv2d, inputs: tuple, output: torch.Tensor) -> None:
        shape = (conv.kernel_size[0], conv.stride[0], conv.in_channels, conv.out_channels, *inputs[0].shape[2:])
        found[shape] = found.get(shape, 0) + 1

    hooks = [module.register_forward_hook(note) for module in model.modules()
             if isinstance(module, nn.Conv2d) and module.kernel_size[0] in (1, 3)]
    predict(model, crops)
    for hook in hooks:
        hook.remove()
    return found


def predict(model: nn.Module, crops: torch.Tensor) -> None:
    with torch.no_grad():
        model.head.forward_last(model.backbone(crops))


def rate(shape: Shape, device: str) -> float:
    """Return the GFLOP/s of a single layer, channels last: the best of several runs."""
    kernel, stride, channels, out, rows, columns = shape
    x = torch.randn(PIECE, channels, rows, columns, device=device).to(memory_format=torch.channels_last)
    weight = torch.randn(out, channels, kernel, kernel, device=device).to(memory_format=torch.channels_last)

    def work() -> None:
        with torch.no_grad():
            F.conv2d(x, weight, None, stride, kernel // 2)

    work()
    return layer_operations(shape, PIECE) / min(seconds(work, device) for _ in range(7))


def layer_operations(shape: Shape, crops: int) -> float:
    """Return the GFLOP of a layer for a number of crops."""
    kernel, stride, channels, out, rows, columns = shape
    return 2e-9 * kernel**2 * channels * out * crops * (rows // stride) * (columns // stride)


def operations(work: Callable[[], object]) -> float:
    """Return the GFLOP of ``work`` per crop."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        work()
    return counter.get_total_flops() / PIECE / 1e9


def efficiency(rounds: int, device: str) -> Dict[str, str]:
    """Return sentences on the share of the fastest layer's speed that the prediction reaches.

    The layer and the predictions are measured in turns, because the speed of the machine varies.
    """
    crops = torch.randn(PIECE, 3, 256, 192, device=device)
    exact, theirs = pair(4, device)
    needed = dict(ours=operations(lambda: predict(exact, crops)),
                  mmpose=operations(lambda: theirs.head(theirs.backbone(crops))))
    layers = layer_shapes(exact, crops)
    rates = {shape: rate(shape, device) for shape in layers}
    fastest = {kernel: max((shape for shape in rates if shape[0] == kernel), key=rates.get) for kernel in (1, 3)}
    sides = prediction(4, 8)(device, None)
    predictions = dict(ours=sides.ours, mmpose=sides.mmpose)
    reached: Dict[str, list] = {name: [] for name in predictions}
    shares: Dict[str, list] = {name: [] for name in predictions}
    for work in predictions.values():
        work()
    for _ in range(rounds):
        for name, work in predictions.items():
            best = max(rate(shape, device) for shape in fastest.values())
            reached[name].append(needed[name] * 16 / seconds(work, device))  # 8 crops and their mirror images
            shares[name].append(100 * reached[name][-1] / best)
    said = {name: f'{needed[name]:.1f} GFLOP per crop at {median(reached[name]):.0f} GFLOP/s, '
            f'{median(shares[name]):.0f} % ({min(shares[name]):.0f}-{max(shares[name]):.0f} of {rounds} turns)'
            for name in predictions}
    needs = {shape: count * layer_operations(shape, 1) for shape, count in layers.items()}
    all_layers = sum(needs.values()) / sum(needs[shape] / rates[shape] for shape in layers)
    slow = sorted(rates.items(), key=lambda entry: entry[1])[:3]
    return dict(
        text=f'Speed of "{PREDICTION}" as a share of that of its fastest layer (3×3 {rates[fastest[3]]:.0f}, 1×1 '
        f'{rates[fastest[1]]:.0f} GFLOP/s), which is measured again before each prediction: this package '
        f'{said["ours"]}; mmpose\'s port {said["mmpose"]}. All layers, measured one by one, reach '
        f'{100 * all_layers / max(rates.values()):.0f} %.',
        slowest='The slowest layers (kernel, stride, input channels, output channels, rows, columns: GFLOP/s): '
        + '; '.join(f'{shape}: {value:.0f}' for shape, value in slow) + '.')
