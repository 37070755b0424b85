"""Crops that are cut once: all trainings of benchmarks/accuracy.py read them from a file instead of from images.

The trainings mirror crops and change nothing else of them, so a person has two: as it is, and mirrored.
"""
import copy
import hashlib
import json
import pickle
from pathlib import Path
from typing import List, Optional

import numpy as np
from mmengine.dataset import Compose
from mmpose.registry import DATASETS
from torch.utils.data import Dataset

from mmpose_mspn.utils.files import write_atomically

LAST_STEP = 'TopdownAffine'
"""Of the steps that cut a crop."""
FLIP = 'RandomFlip'


@DATASETS.register_module()
class CroppedPeople(Dataset):
    """People whose crops lie in a file below their folder; it is written where it is missing.

    Args:
        source: Config of a dataset of this package, whose pipeline is that of ``pipeline``.
        pipeline: Steps, among them :data:`LAST_STEP`; those up to it run once, the others for each sample.
        people: Number of people, from the first one on; ``None``: all.
    """

    def __init__(self, source: dict, pipeline: List[dict], people: Optional[int] = None) -> None:
        place = next(index for index, step in enumerate(pipeline) if step['type'] == LAST_STEP) + 1
        self.mirrors = any(step['type'] == FLIP for step in pipeline[:place])
        folder = crops_of(source, pipeline[:place])
        self.crops = np.load(folder / 'crops.npy', mmap_mode='r')
        self.metainfo, self.samples = pickle.loads((folder / 'samples.pkl').read_bytes())
        self.people = len(self.samples) if people is None else min(people, len(self.samples))
        self.rest = Compose(pipeline[place:])

    def __len__(self) -> int:
        return self.people

    def __getitem__(self, index: int) -> dict:
        mirrored = int(self.mirrors and np.random.random() < 0.5)
        sample = dict(self.samples[index][mirrored], img=np.array(self.crops[index, mirrored]))
        return self.rest(sample)


def crops_of(source: dict, steps: List[dict]) -> Path:
    """The folder with the crops (N, 1 or 2, h, w, 3) and the other values of the samples, made if it is missing.

    Args:
        source: Config of a dataset.
        steps: That cut a crop.
    """
    said = json.dumps([{**source, 'data_root': ''}, steps], sort_keys=True, default=str)
    folder = Path(source['data_root']) / 'crops' / hashlib.sha256(said.encode()).hexdigest()[:16]
    if (folder / 'crops.npy').exists():
        return folder
    mirrors = any(step['type'] == FLIP for step in steps)
    datasets = [DATASETS.build(dict(source, pipeline=_always(steps, probability)))
                for probability in ((0., 1.) if mirrors else (0., ))]
    samples = [[dataset[index] for dataset in datasets] for index in range(len(datasets[0]))]
    crops = np.array([[sample.pop('img') for sample in person] for person in samples])
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / 'samples.pkl', pickle.dumps((datasets[0].metainfo, samples)))
    partial = folder / 'partial.npy'
    np.save(partial, crops)
    partial.replace(folder / 'crops.npy')
    return folder


def _always(steps: List[dict], probability: float) -> List[dict]:
    """The steps with a flip of this probability."""
    return [dict(step, prob=probability) if step['type'] == FLIP else copy.deepcopy(step) for step in steps]
