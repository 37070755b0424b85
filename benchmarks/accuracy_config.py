"""The config of a training of benchmarks/accuracy.py.

It changes a config of the official schedule, not the demo's, so that a change of the demo leaves the results valid.
"""
import copy
import hashlib
import json
import math
import pickle
from functools import lru_cache
from pathlib import Path
from typing import List, Optional

import numpy as np
from accuracy_plan import MMPOSE, SCALES, VARIANTS, Run, Scale
from common import CONFIGS, ROOT
from mmcv.transforms import BaseTransform
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose
from mmpose.registry import DATASETS, TRANSFORMS
from torch.utils.data import Dataset

from mmpose_mspn.apis.config import load_config
from mmpose_mspn.apis.options import can_fuse, use_amp, use_fast_training
from mmpose_mspn.utils.files import write_atomically

BASE = ROOT / CONFIGS / 'td-hm_2xmspn50_8xb32-96k_coco-256x192.py'
TEST_BATCH = 64
WARM_UP = 0.06
"""Share of the training in which the learning rate rises."""
CHECKPOINTS = 4
"""In a training; an interrupted one loses at most what follows the last of them."""
CELL = 2
"""px of the crop."""


def mmpose_codec(codec: dict, kernel_size: int) -> dict:
    """mmpose's codec of the same sizes."""
    return dict(type='MegviiHeatmap', input_size=tuple(codec['input_size']), heatmap_size=tuple(codec['heatmap_size']),
                kernel_size=kernel_size)


@TRANSFORMS.register_module()
class LabeledOrNot(BaseTransform):
    """Makes visibility 0/1 of 0/1/2, which is what mmpose's datasets give its codecs."""

    def transform(self, results: dict) -> dict:
        return dict(results, keypoints_visible=np.minimum(results['keypoints_visible'], 1))


def build_config(run: Run, data: Path, work: Path) -> Config:
    """The config of a run.

    Args:
        run: The run.
        data: Folder of the people.
        work: Folder of all runs.
    """
    scale, variant = SCALES[run.scale], VARIANTS[run.variant]
    cfg = copy.deepcopy(_base(f'{data}/'))
    _network(cfg, run, scale)
    changes = copy.deepcopy(variant.model)
    if changes.get('head', {}).get('decoder', {}).get('kernel_sizes') == -1:
        changes['head']['decoder']['kernel_sizes'] = scale.kernel_sizes[-1:] * len(scale.kernel_sizes)
    cfg.merge_from_dict(dict(model=changes))
    _loaders(cfg, scale, round(scale.batch_size * variant.batch))
    if variant.rule == MMPOSE:
        _use_mmposes_rule(cfg)
    _use_crops(cfg.train_dataloader, indices=max(scale.people)).people = run.people
    _use_crops(cfg.test_dataloader, bbox_file=None)
    _schedule(cfg, run, scale)
    cfg.work_dir, cfg.launcher = str(work / run.name), 'none'
    if variant.fast:
        use_amp(cfg)
        use_fast_training(cfg)
    return cfg


@lru_cache
def _base(data_root: str) -> Config:
    """The config that all others change, read once."""
    return load_config(str(BASE), data_root=data_root)


def _network(cfg: Config, run: Run, scale: Scale) -> None:
    """The scale's network with the run's stages."""
    # Even; operations rise by the square of the channels.
    variant = VARIANTS[run.variant]
    channels = 2 * round(scale.channels * math.sqrt(variant.operations) / 2)
    cfg.model.backbone.update(
        num_stages=run.stages, unit_channels=2 * channels, init_cfg=None,
        encoder=dict(type='ResNet', depth=18, stem_channels=channels, base_channels=channels))
    cfg.model.head.update(num_stages=run.stages, unit_channels=2 * channels, init_cfg=[
        dict(type='Kaiming', layer='Conv2d'), dict(type='Constant', layer='BatchNorm2d', val=variant.norm_weight)])
    cfg.model.head.decoder.update(
        input_size=scale.input_size, heatmap_size=tuple(side // CELL for side in scale.input_size),
        kernel_sizes=scale.kernel_sizes)


def _loaders(cfg: Config, scale: Scale, batch_size: int) -> None:
    """Batches that the training's own process makes; flips are the only augmentation."""
    affine = dict(type='TopdownAffine', input_size=scale.input_size)
    cfg.train_dataloader.dataset.pipeline = [
        *cfg.test_crop, dict(type='RandomFlip', direction='horizontal', prob=0.5), affine,
        dict(type='GenerateTarget', encoder=cfg.model.head.decoder.to_dict()),
        dict(type='PackPoseInputs', meta_keys=cfg.train_meta)]
    cfg.test_dataloader.dataset.pipeline = [*cfg.test_crop, affine, dict(type='PackPoseInputs')]
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler')
    for loader, size in ((cfg.train_dataloader, batch_size), (cfg.test_dataloader, TEST_BATCH)):
        loader.update(num_workers=0, persistent_workers=False, batch_size=size)


def _use_crops(loader: dict, **changes: object) -> dict:
    """Let a loader read crops that are cut once, and return the config of its dataset."""
    source = loader.dataset.to_dict()
    pipeline = source.pop('pipeline')
    # mmengine 0.7 would leave a plain dictionary as it is.
    loader.dataset = ConfigDict(type='CroppedPeople', source={**source, **changes}, pipeline=pipeline)
    return loader.dataset


def _use_mmposes_rule(cfg: Config) -> None:
    """mmpose's targets, masks, losses and decode, as its config of this network has them."""
    stages, head = cfg.model.head.num_stages, cfg.model.head
    codecs = [mmpose_codec(head.decoder, size) for size in head.decoder.kernel_sizes]
    coarse = dict(type='KeypointMSELoss', use_target_weight=True, loss_weight=0.25)
    fine = dict(type='KeypointOHKMMSELoss', use_target_weight=True, loss_weight=1.)
    columns, rows = head.decoder.heatmap_size
    cfg.model = dict(
        type='TopdownPoseEstimator',
        data_preprocessor=dict(cfg.model.data_preprocessor, type='PoseDataPreprocessor'),
        backbone=cfg.model.backbone,
        head=dict(type='MSPNHead', out_shape=(rows, columns), unit_channels=head.unit_channels,
                  out_channels=head.out_channels, num_stages=stages, num_units=4,
                  level_indices=[0, 1, 2, 3] * (stages - 1) + [1, 2, 3, 4],
                  loss=[coarse, coarse, coarse, fine] * stages, decoder=codecs[-1], init_cfg=head.init_cfg),
        test_cfg=cfg.model.test_cfg)
    loader = cfg.train_dataloader
    loader.collate_fn = dict(type='pseudo_collate')
    place = next(index for index, step in enumerate(loader.dataset.pipeline) if step['type'] == 'GenerateTarget')
    loader.dataset.pipeline[place] = dict(type='GenerateTarget', multilevel=True, encoder=codecs)
    loader.dataset.pipeline.insert(place, dict(type='LabeledOrNot'))


def _schedule(cfg: Config, run: Run, scale: Scale) -> None:
    warm_up = max(1, round(WARM_UP * run.iterations))
    cfg.train_cfg = dict(by_epoch=False, max_iters=run.iterations)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.optim_wrapper.optimizer.update(
        lr=scale.learning_rate * VARIANTS[run.variant].rate, fused=can_fuse('Adam'))
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.1, begin=0, end=warm_up + 1, by_epoch=False),
        dict(type='CosineAnnealingLR', eta_min=0, begin=warm_up, end=run.iterations + 1, by_epoch=False)]
    cfg.default_hooks.checkpoint.update(
        interval=-(-run.iterations // CHECKPOINTS), max_keep_ckpts=1, save_best=None, rule=None)
    cfg.default_hooks.logger.interval = 50
    # Both save time and change results by rounding only.
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type='mmpose_mspn.ChannelsLastHook'),
                        dict(type='mmpose_mspn.FreedMemoryHook', keep=True)]
    cfg.randomness = dict(seed=run.seed)


def fingerprint(cfg: Config) -> str:
    """Of a config, without its folders."""
    content = {name: value for name, value in cfg.to_dict().items() if name not in ('work_dir', 'load_from', 'resume')}
    said = json.dumps(content, sort_keys=True, default=str).replace(cfg.data_root, '')
    return hashlib.sha256(said.encode()).hexdigest()[:16]


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
