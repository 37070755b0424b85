"""The rows of compare.py that are timed in its process: the same work by this package and by mmpose's own MSPN."""
import atexit
import ctypes
import pickle
import shutil
import tempfile
from typing import Callable, List, Optional

import numpy as np
import torch
from common import CONFIGS, ROOT
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import OPTIMIZERS
from mmengine.utils import get_installed_path
from mmpose.apis import inference_topdown
from mmpose.codecs import MegviiHeatmap
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS
from peers import (
    FLIP,
    HEATMAP,
    INPUT,
    KERNELS,
    KEYPOINTS,
    our_labels,
    pair,
    people,
    samples,
    their_labels,
)
from timing import Row, Sides, Work
from torch import nn
from torch.utils.data import DataLoader

from mmpose_mspn import CoarseToFineHeatmap, accelerate
from mmpose_mspn.apis.config import load_config
from mmpose_mspn.apis.drawing import Drawer
from mmpose_mspn.apis.options import can_fuse, use_image_cache
from mmpose_mspn.apis.pose_model import BATCH_SIZE, TorchPoseModel
from mmpose_mspn.engine.hooks.speed_hooks import KEEP, MMAP_MAX, MMAP_THRESHOLD, MMAPS, TRIM_THRESHOLD, set_malloc
from mmpose_mspn.synthetic_people import generate

Maker = Callable[..., Sides]

GLIBC = {TRIM_THRESHOLD: 2**26, MMAP_THRESHOLD: 2**25, MMAP_MAX: MMAPS}
"""The largest values of glibc's dynamic thresholds, which are fixed once a program sets them."""
IMAGE = (480, 640, 3)
BOX = [200, 60, 180, 400]
"""x, y, width, height in image px."""
PIPELINE = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale'), dict(type='TopdownAffine', input_size=INPUT),
            dict(type='PackPoseInputs')]


def prediction(num_stages: int, batch: int, dtype: Optional[torch.dtype] = None) -> Maker:
    def make(device: str, official: object) -> Sides:
        ours, theirs = pair(num_stages, device)
        exact = ours
        ours = accelerate(ours, dtype)
        images = torch.randn(batch, 3, INPUT[1], INPUT[0], device=device)

        def predict(model: nn.Module) -> Work:
            def work() -> object:
                with torch.no_grad():
                    return model.predict(images, samples(batch))
            return work

        def check() -> str:
            with torch.no_grad():
                expected = theirs.head(theirs.extract_feat(images))[-1]
                found = exact.head.forward_last(exact.extract_feat(images))
                gap = ((found - expected).abs().max() / expected.std()).item()
                assert gap < 1e-3, gap
                distance = np.concatenate([
                    np.linalg.norm(a.pred_instances.keypoints - b.pred_instances.keypoints, axis=-1).ravel()
                    for a, b in zip(predict(ours)(), predict(exact)())])
            return (f'heatmaps to {gap:.0e} of their std; the decodes differ by design; against our own float32 '
                    f'network as built: median {np.median(distance):.3f} px')
        forward = None
        if official is not None:
            network = official.network(exact.state_dict(), num_stages, device)
            decoder = exact.head.decoder

            def forward() -> object:  # its network, flip test and our decode
                with torch.no_grad():
                    maps = network(images) + network(images.flip(-1)).flip(-1)[:, FLIP]
                    return decoder.batch_decode(maps / 2)
        return Sides(predict(ours), predict(theirs), check, forward)
    return make


def step(model: nn.Module, images: torch.Tensor, labels: list, amp: bool, fused: bool) -> Work:
    """Return a whole training step as in mmengine: forward, backward, optimizer, and clearing of the gradients."""
    model.train()
    fused = fused and can_fuse('Adam')
    optimizer = OPTIMIZERS.build(dict(type='Adam', params=model.parameters(), lr=1e-5, fused=fused))

    def work() -> float:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=amp):
            losses = model.loss(images, labels)
        total, _ = model.parse_losses(losses)
        total.backward()
        optimizer.step()
        optimizer.zero_grad()
        return total.item()

    return work


def set_memory(side: str) -> None:
    """Set the treatment of freed memory to that of a training: ours with --fast, mmpose's with glibc's defaults."""
    if set_malloc(KEEP if side == 'ours' else GLIBC) and side != 'ours':
        ctypes.CDLL(None).malloc_trim(0)  # memory that our side kept


def training(num_stages: int, batch: int, autocast: bool = False) -> Maker:
    def make(device: str, official: object) -> Sides:
        ours, theirs = pair(num_stages, device)
        ours.to(memory_format=torch.channels_last)
        images = torch.randn(batch, 3, INPUT[1], INPUT[0], device=device)
        steps = dict(ours=step(ours, images, our_labels(batch, device), autocast, fused=True),
                     mmpose=step(theirs, images, their_labels(batch, device), False, fused=False))

        def check() -> str:
            return ('the same network (see prediction); targets and masks differ by design' +
                    ("; mmpose's head fails under bf16 autocast, so its side is float32" if autocast else ''))

        def prepare(side: str) -> None:
            if device == 'cpu':
                set_memory(side)
                steps[side]()  # the first step after the change allocates all memory again
            else:
                torch.backends.cudnn.benchmark = side == 'ours'  # as --fast sets it
        return Sides(**steps, check=check, prepare=prepare)
    return make


def targets(batch: int) -> Maker:
    def make(device: str, official: object) -> Sides:
        joints, visible = people(batch)
        codec = CoarseToFineHeatmap(INPUT, HEATMAP, KERNELS)
        codecs = [MegviiHeatmap(INPUT, HEATMAP, k) for k in KERNELS]
        on_device = torch.tensor(joints, device=device), torch.tensor(visible, device=device)

        def theirs() -> object:
            rendered = [[c.encode(one[None], np.ones((1, KEYPOINTS)))['heatmaps'] for c in codecs] for one in joints]
            return torch.from_numpy(np.array(rendered)).to(device)

        def ours() -> object:
            return codec.render(*on_device)

        def check() -> str:
            apart = ((ours() - theirs()).abs().amax((3, 4)) > 1).float().mean().item()
            return f'{100 * apart:.0f} % of the maps differ by more than 1 of 255: only ours always peak at 255'
        return Sides(ours, theirs, check)
    return make


def decode(batch: int) -> Maker:
    def make(device: str, official: object) -> Sides:
        codec = CoarseToFineHeatmap(INPUT, HEATMAP, KERNELS)
        their = MegviiHeatmap(INPUT, HEATMAP, 5)
        joints, visible = people(batch)
        maps = codec.render(torch.tensor(joints), torch.tensor(visible))[:, -1]
        maps = (maps + 3 * torch.randn_like(maps)).to(device)

        def theirs() -> object:
            return [their.decode(one) for one in maps.cpu().numpy()]

        def ours() -> object:
            return codec.batch_decode(maps)

        def check() -> str:
            gap = np.linalg.norm(np.array(ours()[0]) - np.array([k for k, _ in theirs()]), axis=-1)
            return f'median {np.median(gap):.1f} px apart: this package follows the official rule'
        return Sides(ours, theirs, check)
    return make


def data_loading(batch: int, keep: bool = False) -> Maker:
    """A worker reads, crops, augments and encodes batches and sends them to the main process.

    Args:
        batch: People of a batch.
        keep: Whether our side keeps the decoded images.
    """
    def make(device: str, official: object) -> Sides:
        folder = tempfile.mkdtemp()
        atexit.register(shutil.rmtree, folder)
        generate(folder, train=40, val=1, workers=1, progress=False)
        config = f'{CONFIGS}/td-hm_mspn50_8xb32-210e_coco-256x192.py'
        ours = load_config(str(ROOT / config), data_root=folder)
        theirs = load_config(f'{get_installed_path("mmpose")}/.mim/{config}', data_root=folder)
        if keep:
            use_image_cache(ours, tempfile.mkdtemp(dir=folder))
        loaders, sizes = [], []
        for cfg in (ours, theirs):
            people = DATASETS.build(cfg.train_dataloader.dataset)
            chosen = torch.utils.data.Subset(people, range(2 * batch))
            loaders.append(DataLoader(chosen, batch, num_workers=1, collate_fn=pseudo_collate, persistent_workers=True))
            sizes.append(len(pickle.dumps(next(iter(loaders[-1])))))

        def load(loader: DataLoader) -> Work:
            return lambda: sum(1 for _ in loader)

        def check() -> str:
            return (f'two batches; the same crops and augmentation; a batch has {sizes[0] / 1e6:.1f} MB instead of '
                    f'{sizes[1] / 1e6:.1f} MB ({sizes[1] / sizes[0]:.1f}× less): keypoints instead of heatmaps')
        return Sides(*map(load, loaders), check)
    return make


def _as_loaded(model: nn.Module) -> nn.Module:
    """The model with what mmpose's ``init_model`` attaches to it."""
    model.cfg = Config(dict(
        default_scope='mmpose', model=dict(), test_dataloader=dict(dataset=dict(pipeline=PIPELINE))))
    model.dataset_meta = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/coco.py'))
    return model.eval()


def images_of_one_person(count: int, stages: int, fast: bool) -> Callable[..., Sides]:
    """``predict`` on arrays with a box each, and as many calls of ``inference_topdown`` on mmpose's own MSPN."""
    def make(device: str, official: object) -> Sides:
        ours, theirs = (_as_loaded(model) for model in pair(stages, device))
        model = TorchPoseModel(ours, Drawer(ours.dataset_meta), fast=fast)
        draw = np.random.default_rng(0)
        images = [draw.integers(0, 256, IMAGE, dtype=np.uint8) for _ in range(count)]
        box = np.array([BOX], np.float32)

        def predict() -> List[np.ndarray]:
            return [result.keypoints for result in model.predict(images, [box] * count)]

        def one_by_one(network: nn.Module) -> List[np.ndarray]:
            return [inference_topdown(network, image, box, 'xywh')[0].pred_instances.keypoints for image in images]

        def check() -> str:
            gaps = np.linalg.norm(np.array(predict()) - np.array(one_by_one(ours)), axis=-1)
            return (f'batches of {BATCH_SIZE} across images; against inference_topdown on our own network: median '
                    f'{np.median(gaps):.0e} px; the decodes of the two networks differ by design')
        return Sides(predict, lambda: one_by_one(theirs), check)
    return make


ROWS = [
    Row('4-stage prediction, batch 8, flip test, decode', 1.5, prediction(4, 8)),
    Row('4-stage prediction, batch 8, flip test, decode, bf16', 2.7, prediction(4, 8, torch.bfloat16)),
    Row('1-stage prediction, batch 1, flip test, decode', 1.25, prediction(1, 1)),
    Row('2-stage training step, batch 8', 1.3, training(2, 8)),
    Row('2-stage training step, batch 8, bf16 autocast', 2.2, training(2, 8, autocast=True)),
    Row('targets of 32 people, five levels, ready for the loss', 8, targets(32)),
    Row('data worker to batch, 32 people', 2, data_loading(32)),
    Row('data worker to batch, 32 people, --cache-images', None, data_loading(32, keep=True)),
    Row('decode, 32 people', 5, decode(32)),
]
PICTURE_ROWS = [
    Row('64 images of one person, 2 stages, predict', 1.3, images_of_one_person(64, 2, fast=True)),
    Row('64 images of one person, 2 stages, predict, not accelerated', None, images_of_one_person(64, 2, fast=False)),
]
# Batches that fill a GPU.
GPU_ROWS = [
    Row('4-stage prediction, batch 64, flip test, decode', None, prediction(4, 64)),
    Row('4-stage prediction, batch 64, flip test, decode, bf16', None, prediction(4, 64, torch.bfloat16)),
    Row('4-stage training step, batch 32', None, training(4, 32)),
    Row('4-stage training step, batch 32, bf16 autocast', None, training(4, 32, autocast=True)),
]
