"""The crop of people in operators that a graph can hold, equal to OpenCV 4's to the last grey level.

``mspn_runtime.py`` has the same computation in numpy, with the reasons for its steps.
"""
from typing import Sequence, Tuple

import torch
from torch import Tensor, nn


class GraphCrop(nn.Module):
    """Crops of boxes, as the test pipeline's box widening and ``TopdownAffine`` cut them.

    Args:
        size: (w, h) of the crops in px.
        padding: Factors of a box's (width, height).
    """

    def __init__(self, size: Sequence[int], padding: Sequence[float]) -> None:
        super().__init__()
        self.size = tuple(size)
        self.register_buffer('padding', torch.tensor(padding, dtype=torch.float32))
        self.register_buffer('aspect', torch.tensor(size[0] / size[1], dtype=torch.float32))

    def forward(self, image: Tensor, boxes: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Cut the crops.

        Args:
            image: (H, W, 3), uint8.
            boxes: (N, 4), x, y, width, height in image px, float32.

        Returns:
            Crops (N, 3, h, w), uint8, and the centers and sizes (N, 2), float32, of their regions in image px.
        """
        ends = boxes[:, :2] + boxes[:, 2:]
        width, height = ((ends - boxes[:, :2]) * self.padding).unbind(1)
        wide = width > height * self.aspect
        sizes = torch.stack([torch.where(wide, width, height * self.aspect),
                             torch.where(wide, width / self.aspect, height)], 1)
        centers = (boxes[:, :2] + ends) / 2
        return self._cut(image, centers, sizes[:, 0]), centers, sizes

    def _cut(self, image: Tensor, centers: Tensor, widths: Tensor) -> Tensor:
        w, h = self.size
        a, b, c, d, e, f = (value[:, None, None] for value in _inverse(_equations(centers, widths, self.size)))
        column = torch.arange(w, dtype=torch.float64)
        row = torch.arange(h, dtype=torch.float64)[:, None]
        x = torch.round(a * column * 1024) + torch.round((b * row + c) * 1024) + 16
        y = torch.round(d * column * 1024) + torch.round((e * row + f) * 1024) + 16
        # Whole numbers in float64, since graphs have no shift of signed integers.
        x, y = torch.floor(x / 32), torch.floor(y / 32)
        left, top = torch.floor(x / 32), torch.floor(y / 32)
        right, down = (x - left * 32).long(), (y - top * 32).long()
        left, top = left.long(), top.long()
        pixels = image.flatten(0, 1)
        rows, columns = image.shape[0], image.shape[1]
        total = 0
        for below in (0, 1):
            for beside in (0, 1):
                i, j = top + below, left + beside
                inside = (i >= 0) & (i < rows) & (j >= 0) & (j < columns)
                weight = (down if below else 32 - down) * (right if beside else 32 - right) * inside
                place = torch.where(inside, i * columns + j, 0)
                total = total + pixels[place].int() * weight[..., None].int()
        crops = torch.floor((total.float() + 512) / 1024).to(torch.uint8)
        return crops.permute(0, 3, 1, 2)


def _equations(centers: Tensor, widths: Tensor, size: Tuple[int, int]) -> Tensor:
    """(N, 6, 7), float64: the equations of the affine maps from image to crop that mmpose asks OpenCV to solve."""
    w, h = size
    x, y = centers.unbind(1)
    left = (x.double() - widths.double() / 2).float()
    below = y + (x - left)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    rows = []
    for (px, py), (u, v) in (((x, y), (w / 2, h / 2)), ((left, y), (0., h / 2)), ((left, below), (0., h / 2 + w / 2))):
        rows.append(torch.stack([px, py, one, zero, zero, zero, one * u], 1))
        rows.append(torch.stack([zero, zero, zero, px, py, one, one * v], 1))
    return torch.stack(rows, 1).double()


def _inverse(equations: Tensor) -> Sequence[Tensor]:
    """The six numbers (N,) of the maps from crop to image, with OpenCV's steps and so its rounding."""
    matrix = equations
    for i in range(6):
        pivot = matrix[:, i:, i].abs().argmax(1) + i
        order = torch.arange(6).expand(matrix.shape[0], 6)
        order = torch.where(order == pivot[:, None], i, torch.where(order == i, pivot[:, None], order))
        matrix = matrix.gather(1, order[:, :, None].expand(-1, -1, 7))
        factor = matrix[:, i + 1:, i:i + 1] * (-1 / matrix[:, i:i + 1, i:i + 1])
        matrix = torch.cat([matrix[:, :i + 1], matrix[:, i + 1:] + factor * matrix[:, i:i + 1]], 1)
    found: list = [None] * 6
    for i in range(5, -1, -1):
        value = matrix[:, i, 6]
        for k in range(i + 1, 6):
            value = value - matrix[:, i, k] * found[k]
        found[i] = value / matrix[:, i, i]
    a, b, c, d, e, f = found
    scale = 1 / (a * e - b * d)
    a, b, d, e = e * scale, b * -scale, d * -scale, a * scale
    return a, b, -a * c - b * f, d, e, -d * c - e * f
