"""The crop of people in operators that a graph can hold, equal to OpenCV 4's to the last gray level.

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
    """(2N, 3, 4), float64: the equations of the affine maps from image to crop that mmpose asks OpenCV to solve.

    OpenCV solves six equations, of which three hold the numbers of x alone (the first N here) and three those of y.
    Among equals its pivot is the first row, and when it comes to those of y, their first two rows are swapped.
    """
    w, h = size
    x, y = centers.unbind(1)
    left = (x.double() - widths.double() / 2).float()
    below, one = y + (x - left), torch.ones_like(x)
    of_x = [torch.stack([px, py, one, one * u], 1)
            for px, py, u in ((x, y, w / 2), (left, y, 0.), (left, below, 0.))]
    of_y = [torch.stack([px, py, one, one * v], 1)
            for px, py, v in ((left, y, h / 2), (x, y, h / 2), (left, below, h / 2 + w / 2))]
    return torch.cat([torch.stack(of_x, 1), torch.stack(of_y, 1)]).double()


def _inverse(matrix: Tensor) -> Sequence[Tensor]:
    """The six numbers (N,) of the maps from crop to image, with OpenCV's steps and so its rounding."""
    for i in range(2):
        pivot = matrix[:, i:, i].abs().argmax(1, keepdim=True) + i
        order = torch.arange(3)
        order = torch.where(order == pivot, i, torch.where(order == i, pivot, order))
        matrix = matrix.gather(1, order[:, :, None].expand(-1, -1, 4))
        factor = matrix[:, i + 1:, i:i + 1] * (-1 / matrix[:, i:i + 1, i:i + 1])
        matrix = torch.cat([matrix[:, :i + 1], matrix[:, i + 1:] + factor * matrix[:, i:i + 1]], 1)
    third = matrix[:, 2, 3] / matrix[:, 2, 2]
    second = (matrix[:, 1, 3] - matrix[:, 1, 2] * third) / matrix[:, 1, 1]
    first = (matrix[:, 0, 3] - matrix[:, 0, 1] * second - matrix[:, 0, 2] * third) / matrix[:, 0, 0]
    (a, d), (b, e), (c, f) = (number.unflatten(0, (2, -1)).unbind(0) for number in (first, second, third))
    scale = 1 / (a * e - b * d)
    a, b, d, e = e * scale, b * -scale, d * -scale, a * scale
    return a, b, -a * c - b * f, d, e, -d * c - e * f
