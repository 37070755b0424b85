"""Pictures on which an exported model is checked and calibrated."""
from pathlib import Path
from typing import List, NamedTuple, Sequence, Union

import cv2
import mmcv
import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from mmpose.registry import DATASETS
from torch import Tensor, stack

from mmpose_mspn.utils.errors import DataError

PathLike = Union[str, Path]


class Picture(NamedTuple):
    """An image (H, W, 3), BGR, uint8, and boxes (N, 4), x, y, width, height in image px, float32."""
    image: np.ndarray
    boxes: np.ndarray


def pictures_of_files(paths: Sequence[PathLike]) -> List[Picture]:
    """Pictures from files, each of one person whose box is the whole picture.

    Raises:
        DataError: A file cannot be decoded.
    """
    pictures = []
    for path in paths:
        image = mmcv.imread(str(path))
        if image is None:
            raise DataError(f'{path} cannot be decoded as an image: omit it')
        pictures.append(Picture(image, np.array([[0, 0, image.shape[1], image.shape[0]]], np.float32)))
    return pictures


def pictures_of_config(cfg: Config, split: str, people: int) -> List[Picture]:
    """People of the dataset of a config's loader, evenly spaced over it; one per picture.

    Args:
        cfg: The config.
        split: ``'train'`` or ``'test'``.
        people: Largest number of people.

    Raises:
        FileNotFoundError: The config has no such loader, or its files are missing.
    """
    loader = cfg.get(f'{split}_dataloader')
    if not loader:
        raise FileNotFoundError(f'the config has no {split}_dataloader, whose people are needed: add one')
    if not {'ann_file', 'datasets'} & set(loader.dataset):  # as in the config that a checkpoint carries
        raise FileNotFoundError(f'the config names no data in its {split}_dataloader')
    dataset = DATASETS.build({**loader.dataset, 'pipeline': []})
    pictures = []
    for index in np.unique(np.linspace(0, len(dataset) - 1, min(people, len(dataset))).astype(int)):
        info = dataset.get_data_info(int(index))
        box = np.array(info['bbox'], np.float32).reshape(-1, 4)
        box = np.concatenate([box[:, :2], box[:, 2:] - box[:, :2]], 1)
        pictures.append(Picture(mmcv.imread(info['img_path']), box))
    return pictures


def random_pictures(count: int, seed: int = 0) -> List[Picture]:
    """Smooth random images of 320 x 256 px, each with a random box that may reach beyond it."""
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        image = cv2.resize(rng.integers(0, 256, (16, 20, 3), np.uint8), (320, 256), interpolation=cv2.INTER_CUBIC)
        box = np.concatenate([rng.uniform(-20, 160, 2), rng.uniform(40, 180, 2)])
        pictures.append(Picture(image, box[None].astype(np.float32)))
    return pictures


def crops_of(pictures: Sequence[Picture], cfg: Config, meta: dict) -> Tensor:
    """Crops (N, 3, h, w), uint8, that the test pipeline of a config cuts of pictures; ``meta`` is the dataset's."""
    pipeline = Compose(cfg.test_dataloader.dataset.pipeline)
    crops = []
    for image, boxes in pictures:
        for x, y, width, height in boxes:
            data = dict(img=image, bbox=np.array([[x, y, x + width, y + height]], np.float32),
                        bbox_score=np.ones(1, np.float32), **meta)
            crops.append(pipeline(data)['inputs'])
    return stack(crops)
