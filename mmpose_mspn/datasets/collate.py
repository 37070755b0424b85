"""Batches that a data worker sends in two or three pieces of memory instead of several per person.

A worker hands each tensor to the training process by a file descriptor, and each tensor takes a copy of its own to a
GPU: with mmengine's ``pseudo_collate``, three per person. Here the worker puts the crops into one tensor, and each kind
of label into one.
"""
import copy
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor

from mmpose_mspn.registry import FUNCTIONS

Place = Tuple[str, str]
"""Names of a sample's element, such as ``gt_instance_labels``, and of the tensor in it."""


class _Item(NamedTuple):
    """What a dataset returns."""
    inputs: Tensor
    data_samples: BaseDataElement


@FUNCTIONS.register_module()
def stack_samples(items: Sequence[dict], _scope_: Optional[str] = None) -> dict:
    """A batch in which tensors of the same kind are one tensor.

    In a config, ``collate_fn=dict(type='mmpose_mspn.stack_samples')`` of a data loader sets it in place of mmengine's
    ``pseudo_collate``. Models, data preprocessors and heads of mmpose take the batches of both.

    Args:
        items: B samples as ``PackPoseInputs`` returns them: ``inputs`` (3, h, w) and ``data_samples``.
        _scope_: Not used; mmengine passes on what it adds to the parts of ``_base_ = 'mmpose_mspn::…'``.

    Returns:
        ``inputs`` (B, 3, h, w), or a list of B images where their sizes differ, and ``data_samples``, a
        :class:`StackedSamples`.
    """
    samples = [_Item(**item) for item in items]
    inputs = [sample.inputs for sample in samples]
    return dict(
        inputs=torch.stack(inputs) if _can_stack(inputs) else inputs,
        data_samples=StackedSamples([sample.data_samples for sample in samples]))


class StackedSamples(BaseDataElement):
    """The samples of a batch, whose labels are stored in one tensor per kind.

    Iterating over it, or :meth:`to`, gives samples whose labels are views of these tensors. mmengine's data
    preprocessors call :meth:`to`, torch's data loader calls :meth:`pin_memory`.

    Args:
        samples: B samples. They are not changed.
    """

    def __init__(self, samples: List[BaseDataElement]) -> None:
        super().__init__()
        self.stacked: Dict[Place, Tensor] = {}
        for place in _places(samples[0]):
            tensors = [getattr(sample, place[0], {}).get(place[1]) for sample in samples]
            if _can_stack(tensors):
                self.stacked[place] = torch.stack(tensors)
        self.samples = [_without(sample, self.stacked) for sample in samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[BaseDataElement]:
        return iter(self._views(self.stacked, self.samples))

    def __getitem__(self, index) -> BaseDataElement:
        return self._views(self.stacked, self.samples)[index]

    def to(self, *args, **kwargs) -> List[BaseDataElement]:
        """The samples with all tensors moved or converted as by ``Tensor.to``; each kind of label moves at once."""
        stacked = {place: tensor.to(*args, **kwargs) for place, tensor in self.stacked.items()}
        return self._views(stacked, [
            sample.to(*args, **kwargs) if _may_hold_tensors(sample) else sample for sample in self.samples])

    def pin_memory(self) -> 'StackedSamples':
        """This object with its labels in pinned memory, from which a GPU copies while the host goes on."""
        self.stacked = {place: tensor.pin_memory() for place, tensor in self.stacked.items()}
        return self

    @staticmethod
    def _views(stacked: Dict[Place, Tensor], samples: List[BaseDataElement]) -> List[BaseDataElement]:
        """The samples with their rows of ``stacked``."""
        with_rows = []
        for index, sample in enumerate(samples):
            sample = _shallow(sample)
            for (element, name), tensors in stacked.items():
                labels = _shallow(getattr(sample, element))
                labels.set_field(tensors[index], name)
                setattr(sample, element, labels)
            with_rows.append(sample)
        return with_rows


def _shallow(element: BaseDataElement) -> BaseDataElement:
    """A copy that shares its values. mmengine's ``new`` would copy the metainfo deeply, for each person of a batch."""
    copied = copy.copy(element)
    for names in ('_data_fields', '_metainfo_fields'):
        vars(copied)[names] = set(vars(element)[names])
    return copied


def _can_stack(tensors: Sequence[object]) -> bool:
    """Whether these are tensors of one shape and one type."""
    return all(isinstance(tensor, Tensor) for tensor in tensors) and len(
        {(tensor.shape, tensor.dtype) for tensor in tensors}) == 1


def _places(sample: BaseDataElement) -> List[Place]:
    """Where the sample has tensors inside of its elements."""
    return [(element, name) for element, value in sample.items() if isinstance(value, BaseDataElement)
            for name, content in value.items() if isinstance(content, Tensor)]


def _may_hold_tensors(sample: BaseDataElement) -> bool:
    """Whether ``to`` may have anything to move; elements of several levels hold lists."""
    for value in sample.values():
        if isinstance(value, BaseDataElement):
            if any(hasattr(content, 'to') or isinstance(content, (list, dict)) for content in value.values()):
                return True
        elif hasattr(value, 'to'):
            return True
    return False


def _without(sample: BaseDataElement, places: Dict[Place, Tensor]) -> BaseDataElement:
    """A copy of the sample without the tensors at these places."""
    sample = _shallow(sample)
    for element, name in places:
        labels = _shallow(getattr(sample, element))
        delattr(labels, name)
        setattr(sample, element, labels)
    return sample
