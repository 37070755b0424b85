"""The official decode in operators that a graph can hold; :class:`CoarseToFineHeatmap` decodes in PyTorch."""
from typing import Tuple

import cv2
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmpose_mspn.codecs.coarse_to_fine_heatmap import BORDER, PEAK, SHIFT, CoarseToFineHeatmap


class GraphDecode(nn.Module):
    """``batch_decode`` of a codec as tensors, equal to it in ties too.

    The blur is computed in float64, in which the official code decides between cells that are equal in float32. Where
    a runtime computes it in float32, as OpenVINO does, cells that mirror each other stay equal, because each pair of
    cells at the same distance is added before it is weighted; the additions of a matrix product would separate them.

    Args:
        codec: The codec of the model's head.
    """

    def __init__(self, codec: CoarseToFineHeatmap) -> None:
        super().__init__()
        self.input_size, self.heatmap_size = codec.input_size, codec.heatmap_size
        self.reach = codec.blur_kernel_size // 2
        self.weights = cv2.getGaussianKernel(codec.blur_kernel_size, 0)[self.reach:, 0].tolist()

    def forward(self, heatmaps: Tensor) -> Tuple[Tensor, Tensor]:
        """Keypoints (B, K, 2) in px and scores (B, K), float32, of heatmaps (B, K, H, W), float32."""
        columns, rows = self.heatmap_size
        values, places = _two_highest(self.blurred(heatmaps.double()).flatten(2))
        width = columns + 2 * self.reach
        cells = torch.stack([places % width, torch.div(places, width, rounding_mode='floor')], -1) - self.reach
        cells = torch.where((values > 0)[..., None], cells, -BORDER).double()
        first, move = cells[:, :, 0], cells[:, :, 1] - cells[:, :, 0]
        length = (move * move).sum(-1, keepdim=True).sqrt()
        found = torch.where(length > 1e-3, first + SHIFT * move / length.clamp(min=1e-3), first)
        x, y = found[..., 0].clamp(0, columns - 1), found[..., 1].clamp(0, rows - 1)
        index = y.round().long() * columns + x.round().long()
        scores = heatmaps.flatten(2).gather(2, index[..., None])[..., 0] / PEAK + 0.5
        stride_x, stride_y = self.input_size[0] / columns, self.input_size[1] / rows
        keypoints = torch.stack([x * stride_x + stride_x / 2, y * stride_y + stride_y / 2], -1)
        return keypoints.float(), scores

    def blurred(self, maps: Tensor) -> Tensor:
        """The maps, float64, with the cells around them that the blur reaches: (B, K, H + 2 reach, W + 2 reach)."""
        reach = self.reach
        for dim in (-1, -2):
            size = maps.shape[dim] + 2 * reach
            padded = F.pad(maps, (2 * reach, 2 * reach, 0, 0) if dim == -1 else (0, 0, 2 * reach, 2 * reach))
            maps = self.weights[0] * padded.narrow(dim, reach, size)
            for distance, weight in enumerate(self.weights[1:], 1):
                pair = padded.narrow(dim, reach - distance, size) + padded.narrow(dim, reach + distance, size)
                maps = maps + weight * pair
        return maps


def _two_highest(cells: Tensor) -> Tuple[Tensor, Tensor]:
    """Values and places (B, K, 2) of the two highest cells of (B, K, C); of cells that tie, the first one.

    Runtimes differ in which of several equal cells TopK and ArgMax find (OpenVINO not always the first).
    """
    index = torch.arange(cells.shape[-1])
    values, places = [], []
    for _ in range(2):
        value = cells.amax(-1, keepdim=True)
        place = torch.where(cells == value, index, cells.shape[-1] - 1).amin(-1, keepdim=True)
        values.append(value)
        places.append(place)
        cells = torch.where(index == place, 0., cells)  # as the official code does
    return torch.cat(values, -1), torch.cat(places, -1)
