"""Networks that torch.compile compiles for batches of one size.

On a GPU the compiler joins biases, additions and ReLUs to kernels of one pass over memory, and CUDA graphs start the
kernels of a batch together, for which the processor needs as long as the GPU when batches are small. On a CPU it packs
the weights and joins what follows a convolution, as ``packed.py`` does without a compiler.
"""
import sys
from contextlib import contextmanager, nullcontext
from functools import cache
from types import FunctionType
from typing import Any, Callable, Iterator, Optional

import torch
from mmpose.models.pose_estimators import TopdownPoseEstimator as MmposeTopdownPoseEstimator
from torch import Tensor, nn

from mmpose_mspn.deploy.heatmap_heads import HEATMAP_HEADS, predicted_heatmaps
from mmpose_mspn.deploy.packed import refuse_move
from mmpose_mspn.models.pose_estimators.ensemble import EnsemblePoseEstimator
from mmpose_mspn.models.pose_estimators.topdown import TopdownPoseEstimator
from mmpose_mspn.models.utils.shallow_copy import shallow_copy
from mmpose_mspn.utils.numbers import is_integer

REMEDIES = dict(cpu='a C++ compiler is needed, such as g++, on the PATH or named by CXX',
                cuda='the package triton and a GPU of compute capability 7.0 or higher are needed')
"""The devices for which networks are compiled, and what torch.compile needs on them."""
LONGEST_REASON = 200
"""Characters of torch's message that errors repeat."""
WARM_UP = 3
"""Number of batches without people at first: torch compiles at the first one, and records CUDA graphs at the second."""


def compile_networks(estimator: nn.Module, batch: int, device: torch.device) -> None:
    """Compile the network of a pose estimator, or those of an ensemble's members, in place.

    Args:
        estimator: A top-down estimator in eval mode on ``device``, or an ensemble of those.
        batch: Number of people in a batch.
        device: The device.

    Raises:
        ValueError: ``torch.compile`` does not work on this machine, or not with this network.
    """
    check_compiler(device)
    flips = bool((estimator.test_cfg or {}).get('flip_test'))
    # mmpose's own estimator runs the network twice for the flip test, this package's once.
    together = 2 if flips and isinstance(estimator, (TopdownPoseEstimator, EnsemblePoseEstimator)) else 1
    for part in _networks(estimator):
        network = CompiledNetwork(shallow_copy(part), batch * together, device)
        network.warm_up()
        part.backbone, part.neck = network, None
        part.head = shallow_copy(part.head)
        part.head.forward = part.head.forward_last = _as_they_are


def refuse_uncompilable(estimator: nn.Module, batch: Any) -> None:
    """Check that networks of a model's kind can be compiled.

    Raises:
        ValueError: ``batch`` is not a number of people, or the model is of another kind or on another device.
    """
    if not is_integer(batch) or batch < 1:
        raise ValueError(f'compile must be the number of people in a batch, an integer >= 1, got {batch!r}')
    for part in _networks(estimator):
        if not isinstance(part, MmposeTopdownPoseEstimator) or not isinstance(part.head, HEATMAP_HEADS):
            found = ' with '.join(type(one).__name__ for one in (part, getattr(part, 'head', None)))
            raise ValueError('compile needs a top-down estimator whose head is MSPNHead, CPNHead or mmpose\'s '
                             f'HeatmapHead, got {found}: omit compile')
    device = next(estimator.parameters()).device
    if device.type not in REMEDIES:
        raise ValueError(f'compile is for models on {" or ".join(REMEDIES)}, got one on {device}: omit compile')


def _networks(estimator: nn.Module) -> list:
    return list(estimator.members) if isinstance(estimator, EnsemblePoseEstimator) else [estimator]


def _as_they_are(heatmaps: Tensor) -> Tensor:
    """What a head computes behind a :class:`CompiledNetwork`, whose features are the heatmaps."""
    return heatmaps


@cache
def check_compiler(device: torch.device) -> None:
    """Check that ``torch.compile`` works on this machine, by compiling an addition.

    Raises:
        ValueError: It does not. The message says why, and what it needs.
    """
    ones = torch.ones(4, device=device)
    try:
        with _fixed_modes(device):
            if bool((_compiled(_incremented, device)(ones) == 2).all()):
                return
        reason = 'it is switched off, as by TORCHDYNAMO_DISABLE'
    except Exception as error:  # of Dynamo, of the compiler behind it, or of a program that this calls
        reason = _reason(error)
    raise ValueError(f'compile: torch.compile does not work here ({reason}); {REMEDIES[device.type]}; or omit '
                     'compile')


def _incremented(x: Tensor) -> Tensor:
    """``x + 1`` where it is compiled, and ``x`` where it is not."""
    return x + 1 if torch._dynamo.is_compiling() else x


def _heatmaps(network: nn.Module, crops: Tensor) -> Tensor:
    return predicted_heatmaps(network.head, network.extract_feat(crops))


def _compiled(function: Callable, device: torch.device) -> Callable:
    """The function as ``torch.compile`` compiles it for fixed shapes."""
    # Dynamo allows a few compilations of each code object, so every network gets one of its own.
    own = FunctionType(function.__code__.replace(), function.__globals__, function.__name__)
    mode = dict(mode='reduce-overhead') if device.type == 'cuda' else {}  # CUDA graphs
    return torch.compile(own, fullgraph=True, dynamic=False, **mode)


@contextmanager
def _fixed_modes(device: torch.device) -> Iterator[None]:
    """The modes for which networks are compiled; for others, they would be compiled anew."""
    keeps_subnormals = sys.float_info.min / 2 > 0
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(device.type, enabled=False):
        yield
    if keeps_subnormals:  # the libraries that torch 2.1 compiles set the process to round them to 0
        torch.set_flush_denormal(False)


def _with_constants(device: torch.device):
    """A context in which weights are compiled as constants, so that a CPU's are packed."""
    if device.type != 'cpu':
        return nullcontext()
    from torch._inductor import config
    return config.patch(freezing=True)


def _reason(error: Exception) -> str:
    text = ' '.join(str(error).split()).split(' Set TORCHDYNAMO_VERBOSE')[0]
    return f'{type(error).__name__}: {text[:LONGEST_REASON]}'


class CompiledNetwork(nn.Module):
    """From normalized crops to heatmaps, compiled for batches of one size.

    It takes the place of the backbone of an estimator, whose head then only decodes. It is compiled once: a smaller
    batch is filled up with zeros, whose heatmaps are dropped. Copies and pickles are compiled anew when they are used.

    Args:
        network: The estimator, whose head is one of
            :data:`~mmpose_mspn.deploy.heatmap_heads.HEATMAP_HEADS`. Nothing but its ``extract_feat`` and the forward
            pass of its head is used.
        batch: Number of crops, mirrored ones included.
        device: Where the weights are.
    """
    KIND = 'compiled networks'

    def __init__(self, network: nn.Module, batch: int, device: torch.device) -> None:
        super().__init__()
        self.network = network
        w, h = network.head.decoder.input_size
        self.shape = (batch, 3, h, w)
        self.dtype = next((weight.dtype for weight in network.backbone.parameters()), torch.float32)
        self.home = device
        self._run: Optional[Callable] = None

    def forward(self, crops: Tensor) -> Tensor:
        """Heatmaps (B, K, H, W), in memory of their own.

        Args:
            crops: (B, 3, h, w), normalized.

        Raises:
            ValueError: The crops are of another size, or more than the network is compiled for.
        """
        batch, _, h, w = self.shape
        if crops.shape[2:] != (h, w) or len(crops) > batch:
            raise ValueError(f'the network is compiled for up to {batch} crops of {w} × {h} px, mirrored ones '
                             f'included, got {len(crops)} of {crops.shape[3]} × {crops.shape[2]} px: accelerate the '
                             'model with the number of people, the test_cfg and the codec of this test')
        if self._run is None:
            self.warm_up()
        with _fixed_modes(self.home):
            filled = crops.new_zeros(self.shape, dtype=self.dtype)
            filled[:len(crops)] = crops
            # The next replay of the CUDA graph writes over its results.
            return self._run(self.network, filled)[:len(crops)].clone()

    def warm_up(self) -> None:
        """Compile now.

        Raises:
            ValueError: ``torch.compile`` cannot compile the network.
        """
        run = _compiled(_heatmaps, self.home)
        zeros = torch.zeros(self.shape, dtype=self.dtype, device=self.home)
        try:
            with _fixed_modes(self.home), _with_constants(self.home):
                for _ in range(WARM_UP):
                    run(self.network, zeros)
        except Exception as error:  # of Dynamo or of the compiler behind it
            parts = ' and '.join(type(part).__name__ for part in (self.network.backbone, self.network.head))
            raise ValueError(f'compile: torch.compile cannot compile {parts} ({_reason(error)}); omit '
                             'compile') from error
        self._run = run

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:  # every move and conversion
        moved = fn(torch.empty(0, device=self.home))
        refuse_move(self, moved.device, moved.dtype)
        return self

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        raise RuntimeError('a compiled network takes no other weights: load them into the model that was accelerated, '
                           'then accelerate it again')

    def __getstate__(self) -> dict:
        return dict(self.__dict__, _run=None)

    def extra_repr(self) -> str:
        return f'shape={self.shape}, device={self.home}'
