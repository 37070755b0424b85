"""The rows of compare.py: for each the same work by this package and by mmpose's own MSPN."""
from dataclasses import dataclass
from typing import Callable, List, Tuple

import numpy as np
import torch
from mmengine.structures import InstanceData
from mmpose.codecs import MegviiHeatmap
from mmpose.registry import MODELS
from mmpose.structures import MultilevelPixelData, PoseDataSample
from torch import nn

from mmpose_mspn import CoarseToFineHeatmap, accelerate
from mmpose_mspn.checkpoints import convert

INPUT, HEATMAP, KEYPOINTS = (192, 256), (48, 64), 17
KERNELS = (15, 11, 9, 7, 5)
FLIP = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
OUR_CODEC = dict(type='mmpose_mspn.CoarseToFineHeatmap', input_size=INPUT, heatmap_size=HEATMAP, kernel_sizes=KERNELS)
THEIR_CODECS = [dict(type='MegviiHeatmap', input_size=INPUT, heatmap_size=HEATMAP, kernel_size=k) for k in KERNELS]


@dataclass
class Pair:
    """Both sides' work, and a check that says in words how far they agree."""
    ours: Callable[[], object]
    theirs: Callable[[], object]
    check: Callable[[], str]


@dataclass
class Row:
    name: str
    make: Callable[[str], Pair]


def models(num_stages: int, device: str) -> Tuple[nn.Module, nn.Module]:
    """Our estimator and mmpose's with the same weights."""
    preprocessor = dict(type='PoseDataPreprocessor')
    test_cfg = dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False)
    ours = MODELS.build(dict(
        type='mmpose_mspn.TopdownPoseEstimator', data_preprocessor=preprocessor, test_cfg=test_cfg,
        backbone=dict(type='mmpose_mspn.MSPN', num_stages=num_stages),
        head=dict(type='mmpose_mspn.MSPNHead', num_stages=num_stages, out_channels=KEYPOINTS, decoder=OUR_CODEC)))
    coarse = dict(type='KeypointMSELoss', use_target_weight=True, loss_weight=0.25)
    fine = dict(type='KeypointOHKMMSELoss', use_target_weight=True, loss_weight=1.)
    levels = [0, 1, 2, 3] * (num_stages - 1) + [1, 2, 3, 4]
    theirs = MODELS.build(dict(
        type='TopdownPoseEstimator', data_preprocessor=preprocessor, test_cfg=test_cfg,
        backbone=dict(type='MSPN', num_stages=num_stages, num_blocks=[3, 4, 6, 3]),
        head=dict(type='MSPNHead', num_stages=num_stages, out_channels=KEYPOINTS, level_indices=levels,
                  loss=[coarse, coarse, coarse, fine] * num_stages, decoder=THEIR_CODECS[-1])))
    with torch.no_grad():  # norms that do something
        for module in theirs.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_var.uniform_(0.5, 1.5)
    ours.load_state_dict(convert(theirs.state_dict()))
    for model in (ours, theirs):
        model.to(device).eval()
    return ours, theirs


def people(batch: int) -> Tuple[np.ndarray, np.ndarray]:
    """Joints (B, K, 2) in px and visibility (B, K)."""
    draw = np.random.default_rng(0)
    return draw.uniform(0, np.array(INPUT) - 1, (batch, KEYPOINTS, 2)), draw.integers(1, 3, (batch, KEYPOINTS))


def samples(batch: int) -> List[PoseDataSample]:
    made = []
    for joints in people(batch)[0]:
        sample = PoseDataSample(metainfo=dict(
            input_size=INPUT, input_center=np.array(INPUT) / 2, input_scale=np.array(INPUT), flip_indices=FLIP))
        sample.gt_instances = InstanceData(bboxes=np.zeros((1, 4)), bbox_scores=np.ones(1), keypoints=joints[None])
        made.append(sample)
    return made


def our_labels(batch: int, device: str) -> List[PoseDataSample]:
    made = samples(batch)
    for sample, joints, visible in zip(made, *people(batch)):
        sample.gt_instance_labels = InstanceData(
            keypoint_labels=torch.tensor(joints[None], dtype=torch.float32, device=device),
            keypoint_weights=torch.tensor(visible[None], dtype=torch.float32, device=device))
    return made


def their_labels(batch: int, device: str) -> List[PoseDataSample]:
    made = samples(batch)
    codecs = [MegviiHeatmap(INPUT, HEATMAP, k) for k in KERNELS]
    for sample, joints in zip(made, people(batch)[0]):
        encoded = [codec.encode(joints[None], np.ones((1, KEYPOINTS))) for codec in codecs]
        sample.gt_fields = MultilevelPixelData(
            heatmaps=[torch.from_numpy(e['heatmaps']).to(device) for e in encoded])
        sample.gt_instance_labels = InstanceData(keypoint_weights=torch.tensor(
            np.stack([e['keypoint_weights'] for e in encoded], 1), dtype=torch.float32, device=device))
    return made


def prediction(num_stages: int, batch: int, dtype=None, fast: bool = True) -> Callable[[str], Pair]:
    def make(device: str) -> Pair:
        ours, theirs = models(num_stages, device)
        exact = ours
        ours = accelerate(ours, dtype) if fast else ours
        images = torch.randn(batch, 3, INPUT[1], INPUT[0], device=device)

        def predict(model: nn.Module) -> Callable[[], object]:
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
        return Pair(predict(ours), predict(theirs), check)
    return make


def training(num_stages: int, batch: int, autocast: bool = False) -> Callable[[str], Pair]:
    def make(device: str) -> Pair:
        ours, theirs = models(num_stages, device)
        ours.to(memory_format=torch.channels_last)
        images = torch.randn(batch, 3, INPUT[1], INPUT[0], device=device)
        kind = torch.device(device).type

        def step(model: nn.Module, labels: list, amp: bool, **adam) -> Callable[[], object]:
            model.train()
            optimizer = torch.optim.Adam(model.parameters(), lr=1e-5, **adam)

            def work() -> object:
                with torch.autocast(kind, torch.bfloat16, enabled=amp):
                    losses = model.loss(images, labels)
                total, _ = model.parse_losses(losses)
                optimizer.zero_grad()
                total.backward()
                optimizer.step()
                return total.item()
            return work

        def check() -> str:
            return ('the same network (see prediction); targets and masks differ by design' +
                    ("; mmpose's head dies under bf16 autocast, so its side is float32" if autocast else ''))
        return Pair(step(ours, our_labels(batch, device), autocast, fused=True),
                    step(theirs, their_labels(batch, device), False), check)
    return make


def targets(batch: int) -> Callable[[str], Pair]:
    def make(device: str) -> Pair:
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
            return f'{100 * apart:.0f} % of the maps differ by more than 1 of 255: the maximum is 255 here, not there'
        return Pair(ours, theirs, check)
    return make


def decode(batch: int) -> Callable[[str], Pair]:
    def make(device: str) -> Pair:
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
            return f'median {np.median(gap):.1f} px apart: the official rule here, another there'
        return Pair(ours, theirs, check)
    return make


ROWS = [
    Row('4-stage prediction, batch 8, flip test, decode', prediction(4, 8)),
    Row('4-stage prediction, batch 8, flip test, decode, bf16', prediction(4, 8, torch.bfloat16)),
    Row('1-stage prediction, batch 1, flip test, decode', prediction(1, 1)),
    Row('2-stage training step, batch 8', training(2, 8)),
    Row('2-stage training step, batch 8, bf16 autocast', training(2, 8, autocast=True)),
    Row('targets of 32 people, five levels', targets(32)),
    Row('decode, 32 people', decode(32)),
]
