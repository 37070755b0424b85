"""Training data that depend only on the seed and the iteration, so that a resumed run is given the same data."""
import random
from itertools import islice, repeat
from typing import Dict, Iterator, List, Optional, Tuple

import numpy as np
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from mmpose_mspn.registry import HOOKS
from mmpose_mspn.utils.errors import ConfigError

Draw = Tuple[int, int]
"""(epoch, index) of a sample."""


@HOOKS.register_module()
class ResumableDataHook(Hook):
    """Makes an interrupted and resumed run train to bit-identical weights, without loading the past data again.

    mmengine shuffles by seed and epoch, but it augments with random number generators that continue in each worker, and
    it does not save their states. Here the random numbers of a sample depend on the seed, the epoch and the sample's
    index only, so neither the number of workers nor the worker that loads the sample matters. mmengine resumes a run
    that counts iterations by loading and dropping all earlier batches; here the loader starts at the right batch.

    Random numbers of the network itself (dropout; MSPN has none) are not covered. On a GPU, results are reproducible as
    far as its kernels are (``randomness=dict(deterministic=True)``).

    Raises:
        ConfigError: The train loader's sampler is neither an InfiniteSampler nor one with an ``epoch`` by which it
            shuffles, such as DefaultSampler.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        loop = runner.train_loop
        loader = _seeded(loop.dataloader, runner.seed)
        if isinstance(loop, IterBasedTrainLoop):
            loop.dataloader_iterator = _remaining(loader, loop.iter)
        loop.dataloader = loader

    def after_train(self, runner: Runner) -> None:
        """End the workers now instead of whenever the garbage collector runs."""
        loop = runner.train_loop
        if isinstance(loop, IterBasedTrainLoop):
            loop.dataloader_iterator.close()
        loop.dataloader._iterator = None


def _seeded(loader: DataLoader, seed: int) -> DataLoader:
    """The loader with a seed for each sample."""
    if not isinstance(loader.sampler, InfiniteSampler) and not hasattr(loader.sampler, 'epoch'):
        raise ConfigError('ResumableDataHook needs train_dataloader.sampler=dict(type=\'DefaultSampler\', …) or '
                         f'\'InfiniteSampler\', got {type(loader.sampler).__name__}')
    if isinstance(loader.dataset, SeededDataset):
        return loader
    options: Dict[str, object] = dict(
        num_workers=loader.num_workers, collate_fn=loader.collate_fn, pin_memory=loader.pin_memory,
        worker_init_fn=loader.worker_init_fn, timeout=loader.timeout,
        multiprocessing_context=loader.multiprocessing_context, persistent_workers=loader.persistent_workers)
    if loader.num_workers:
        options['prefetch_factor'] = loader.prefetch_factor
    loader._iterator = None  # ends persistent workers that the loop has started
    return DataLoader(SeededDataset(loader.dataset, seed), batch_sampler=EpochBatches(loader.batch_sampler), **options)


class SeededDataset(Dataset):
    """A dataset whose samples' random numbers depend on the seed, the epoch and the index.

    Args:
        dataset: The dataset; its attributes can be read from this one.
        seed: The seed of the run, >= 0.
    """

    def __init__(self, dataset: Dataset, seed: int) -> None:
        self.dataset, self.seed = dataset, seed

    def __getitem__(self, draw: Draw) -> object:
        epoch, index = draw
        state = np.random.SeedSequence([self.seed, epoch, index]).generate_state(4)
        np.random.seed(state)
        random.seed(state.tobytes())
        if get_worker_info() is not None:  # in the training process torch's generator belongs to the network
            torch.manual_seed(int(state[0]))
        return self.dataset[index]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> object:
        # During unpickling, ``dataset`` is not set yet. Special methods are looked up on this class alone.
        if name == 'dataset' or name.startswith('__'):
            raise AttributeError(name)
        return getattr(self.dataset, name)


class EpochBatches(Sampler):
    """Batches of draws instead of indices.

    Args:
        batches: The loader's batch sampler.

    Attributes:
        start: Number of batches that the next pass leaves out at its beginning, without loading them.
    """

    def __init__(self, batches: Sampler) -> None:
        self.batches, self.sampler = batches, batches.sampler
        self.start = 0

    def __iter__(self) -> Iterator[List[Draw]]:
        start, self.start = self.start, 0
        sampler = self.sampler
        if isinstance(sampler, InfiniteSampler):  # start anew: mmengine's loop may have drawn from it
            sampler.indices = InfiniteSampler(sampler.dataset, sampler.shuffle, sampler.seed).indices
        for number, batch in islice(enumerate(self.batches), start, None):
            yield [(self._epoch(number * len(batch) + place), index) for place, index in enumerate(batch)]

    def _epoch(self, place: int) -> int:
        """The epoch of the sample that this process draws as number ``place``, from 0."""
        sampler = self.sampler
        if isinstance(sampler, InfiniteSampler):  # all batches are full, and the processes draw in turn
            return (place * sampler.world_size + sampler.rank) // len(sampler)
        return sampler.epoch

    def __len__(self) -> int:
        return len(self.batches)


def _remaining(loader: DataLoader, trained: int) -> Iterator[Optional[dict]]:
    """The batches from an iteration on, over all epochs, for mmengine's loop.

    A resumed loop first asks for the batches that the run has trained on, to drop them. They are ``None`` here, and
    nothing is loaded for them.

    Args:
        trained: Number of batches that the run has trained on.
    """
    yield from repeat(None, trained)
    endless = isinstance(loader.batch_sampler.sampler, InfiniteSampler)
    epoch, loader.batch_sampler.start = (0, trained) if endless else divmod(trained, len(loader))
    while True:
        loader.batch_sampler.sampler.set_epoch(epoch)
        yield from loader
        epoch += 1
