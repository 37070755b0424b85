"""How close to the machine the 4-stage network's prediction is."""
from typing import Dict, List, Tuple

import torch
from peers import pair
from timing import seconds
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

PREDICTION = '4-stage prediction, batch 8, flip test, decode'
PIECE = 4
"""Crops that pass the network at a time."""
Shape = Tuple[int, int, int, int, int, int]
"""Kernel, stride, channels in and out, rows, columns."""


def layer_shapes(model: nn.Module, crops: torch.Tensor) -> Dict[Shape, int]:
    """The 1×1 and 3×3 convolutions that prediction runs, and how often."""
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
    """GFLOP/s of a layer alone, channels last: the best of several runs."""
    kernel, stride, channels, out, rows, columns = shape
    x = torch.randn(PIECE, channels, rows, columns, device=device).to(memory_format=torch.channels_last)
    weight = torch.randn(out, channels, kernel, kernel, device=device).to(memory_format=torch.channels_last)

    def work() -> None:
        with torch.no_grad():
            F.conv2d(x, weight, None, stride, kernel // 2)

    work()
    places = PIECE * (rows // stride) * (columns // stride)
    operations = 2 * kernel**2 * channels * out * places
    return operations / min(seconds(work, device) for _ in range(7)) / 1e9


def efficiency(results: List[dict], device: str) -> Dict[str, str]:
    """Sentences on the share of the fastest rate; none if the row was not measured."""
    rows = [result for result in results if result['row'] == PREDICTION]
    if not rows:
        return {}
    crops = torch.randn(PIECE, 3, 256, 192, device=device)
    ours, theirs = pair(4, device)
    operations = {}
    for name, work in (('ours', lambda: predict(ours, crops)), ('mmpose', lambda: theirs.head(theirs.backbone(crops)))):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            work()
        operations[name] = counter.get_total_flops() / PIECE
    rates = {shape: rate(shape, device) for shape in layer_shapes(ours, crops)}
    best = {kernel: max(value for shape, value in rates.items() if shape[0] == kernel) for kernel in (1, 3)}
    crops_predicted = 16  # 8 and their mirrored ones
    reached = {name: operations[name] * crops_predicted / rows[0][name] / 1e6 for name in operations}
    share = {name: f'{value:.0f} GFLOP/s, {100 * value / max(best.values()):.0f} % of the fastest layer'
             for name, value in reached.items()}
    slow = sorted(rates.items(), key=lambda entry: entry[1])[:3]
    return dict(
        text=f'The fastest layers of the network alone: 3×3 {best[3]:.0f}, 1×1 {best[1]:.0f} GFLOP/s. "{PREDICTION}" '
        f'takes {operations["ours"] / 1e9:.1f} GFLOP a crop here, at {share["ours"]}; '
        f'mmpose\'s port takes {operations["mmpose"] / 1e9:.1f} GFLOP, at {share["mmpose"]}.',
        slowest='The slowest layers alone (kernel, stride, channels in, out, rows, columns: GFLOP/s): '
        + '; '.join(f'{shape}: {value:.0f}' for shape, value in slow) + '.')
