"""The checks of the benchmark's rows pass on GPUs that compute convolutions in TF32 by default."""
import pytest
import rows
import timing
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


def to_tf32(x: Tensor) -> Tensor:
    """Round float32 to the 10 bits of TF32's mantissa, to nearest."""
    return ((x.detach().contiguous().view(torch.int32) + (1 << 12)) & ~((1 << 13) - 1)).view(torch.float32)


class EmulatedTF32(TorchFunctionMode):
    """Convolutions as cuDNN computes them on Ampere and newer GPUs, unless it is told otherwise."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.conv2d and torch.backends.cudnn.allow_tf32:
            args = (to_tf32(args[0]), to_tf32(args[1]), *args[2:])
        return func(*args, **(kwargs or {}))


def test_the_emulated_rounding():
    assert to_tf32(torch.tensor([1., 1 + 2**-10, 1 + 2**-12, -3.])).tolist() == [1, 1 + 2**-10, 1, -3]
    assert to_tf32(torch.tensor(1 + 2**-11 + 2**-13)).item() == 1 + 2**-10


def test_a_prediction_row_is_checked_in_float32():
    torch.manual_seed(0)
    row = timing.Row('1-stage prediction, batch 1', None, rows.prediction(1, 1))
    with EmulatedTF32():
        with pytest.raises(AssertionError):  # what the check is protected from
            row.make('cpu', None).check()
        with timing.exact_float32():
            assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32
            assert 'heatmaps to' in row.make('cpu', None).check()
        assert torch.backends.cudnn.allow_tf32  # the timing keeps torch's default
        assert row.measure(1, 'cpu', None)['ratio'] > 0
