"""Training data as a function of the seed and the iteration, so that a resumed run sees what it would have seen."""
import random
from itertools import islice
from typing import Dict, Iterator, List, Optional, Tuple

import numpy as np
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from mmpose_mspn.registry import HOOKS

Draw = Tuple[int, int]
"""(epoch, index) of a sample."""


@HOOKS.register_module()
class ResumableDataHook(Hook):
    """Makes resuming exact, and quick.

    mmengine shuffles by seed and epoch, but augments by random numbers that run on in each worker, and saves none of
    their states. Here every sample draws from the seed, the epoch and its index alone, whatever the number of workers
    and whichever worker loads it. mmengine resumes a run that counts iterations by loading and dropping all batches
    that came before; here the loader starts at the right one.

    The network's own random numbers (dropout; MSPN has none) are not covered. On a GPU, results repeat as far as
    its kernels do (``randomness=dict(deterministic=True)``).

    Raises:
        ValueError: The train loader's sampler is neither a DefaultSampler nor an InfiniteSampler, nor one that shuffles
            by epoch as the first.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        loop = runner.train_loop
        loader = _seeded(loop.dataloader, runner.seed)
        if isinstance(loop, IterBasedTrainLoop):
            loop.dataloader_iterator = _Skipped(loader, loop.iter)
        loop.dataloader = loader

    def after_train(self, runner: Runner) -> None:
        """End the workers now: left to the garbage collector, they end whenever that runs."""
        loop = runner.train_loop
        if isinstance(loop, IterBasedTrainLoop):
            loop.dataloader_iterator.close()
        loop.dataloader._iterator = None


def _seeded(loader: DataLoader, seed: int) -> DataLoader:
    """The same loader, its samples seeded one by one."""
    if not isinstance(loader.sampler, InfiniteSampler) and not hasattr(loader.sampler, 'epoch'):
        raise ValueError('ResumableDataHook needs train_dataloader.sampler=dict(type=\'DefaultSampler\', …) or '
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
    """A dataset whose samples depend on the seed and on (epoch, index); otherwise as it is."""

    def __init__(self, dataset: Dataset, seed: int) -> None:
        self.dataset, self.seed = dataset, seed

    def __getitem__(self, draw: Draw) -> object:
        epoch, index = draw
        state = np.random.SeedSequence([self.seed, epoch, index]).generate_state(4)
        np.random.seed(state)
        random.seed(state.tobytes())
        if get_worker_info() is not None:  # in the training process they are the network's
            torch.manual_seed(int(state[0]))
        return self.dataset[index]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> object:
        # While it is unpickled there is no dataset yet; and what Python or torch calls by itself is not passed on.
        if name == 'dataset' or name.startswith('__'):
            raise AttributeError(name)
        return getattr(self.dataset, name)


class EpochBatches(Sampler):
    """Batches of draws; ``start`` leaves out the first ones of an epoch without loading them."""

    def __init__(self, batches: Sampler) -> None:
        self.batches, self.sampler = batches, batches.sampler
        self.start = 0

    def __iter__(self) -> Iterator[List[Draw]]:
        start, self.start = self.start, 0
        sampler = self.sampler
        if isinstance(sampler, InfiniteSampler):  # from its start: others may have drawn from it
            sampler.indices = InfiniteSampler(sampler.dataset, sampler.shuffle, sampler.seed).indices
        for number, batch in islice(enumerate(self.batches), start, None):
            yield [(self._epoch(number * len(batch) + place), index) for place, index in enumerate(batch)]

    def _epoch(self, place: int) -> int:
        """Epoch of the sample that this process draws at ``place``."""
        sampler = self.sampler
        if isinstance(sampler, InfiniteSampler):  # all batches are full, all processes draw in turn
            return (place * sampler.world_size + sampler.rank) // len(sampler)
        return sampler.epoch

    def __len__(self) -> int:
        return len(self.batches)


class _Skipped:
    """Batches of all epochs to come, for mmengine's loop.

    The loop drops as many batches as were trained on; these are ``None``, and nothing is loaded for them.
    """

    def __init__(self, loader: DataLoader, trained: int) -> None:
        self._to_drop = trained
        self._batches = self._from(loader, trained)

    def __iter__(self) -> '_Skipped':
        return self

    def __next__(self) -> Optional[dict]:
        if self._to_drop:
            self._to_drop -= 1
            return None
        return next(self._batches)

    def close(self) -> None:
        self._batches.close()

    @staticmethod
    def _from(loader: DataLoader, trained: int) -> Iterator[dict]:
        endless = isinstance(loader.batch_sampler.sampler, InfiniteSampler)
        epoch, loader.batch_sampler.start = (0, trained) if endless else divmod(trained, len(loader))
        while True:
            loader.batch_sampler.sampler.set_epoch(epoch)
            yield from loader
            epoch += 1
