"""Network, crops, schedule and augmentation, chosen from how many objects there are to train on and what they are like.

All rules are tables of this file; tools/new_dataset.py prints which row it took.
"""
import math
from typing import Dict, NamedTuple, Optional, Sequence, Tuple

Size = Tuple[int, int]
"""(width, height)."""

ASPECTS: Dict[str, float] = {'1:2': 0.5, '3:4': 0.75, '1:1': 1., '4:3': 4 / 3, '2:1': 2.}
"""Shapes of crops, by width : height."""
OFFICIAL_KERNELS = (15, 11, 9, 7, 5)
"""Kernels of the targets in cells of 4 px (docs/protocol.md, "Targets and loss")."""
OFFICIAL_CELL = 4


class Schedule(NamedTuple):
    """Iterations of a training from random weights, up to this many objects."""
    objects: float
    iterations: int


class Network(NamedTuple):
    """A network and what it trains on.

    Attributes:
        backbone: Arguments of ``mmpose_mspn.MSPN``.
        crops: Size of the input crop in px for each of :data:`ASPECTS`.
        cell: Side of a heatmap's cell in px of the crop.
        batch_size: Objects of a step.
        lr: Learning rate of Adam at that batch size, after the warm-up.
        schedules: Iterations by the number of objects.
        described: In words.
    """
    backbone: dict
    crops: Dict[str, Size]
    cell: int
    batch_size: int
    lr: float
    schedules: Tuple[Schedule, ...]
    described: str


SMALL_CROPS = {'1:2': (64, 128), '3:4': (96, 128), '1:1': (128, 128), '4:3': (128, 96), '2:1': (128, 64)}
CROPS = {'1:2': (128, 256), '3:4': (192, 256), '1:1': (224, 224), '4:3': (256, 192), '2:1': (256, 128)}

SCHEDULES = (Schedule(500, 1500), Schedule(5000, 3000), Schedule(50000, 12000), Schedule(math.inf, 48000))
SMALL_SCHEDULES = (Schedule(500, 3500), Schedule(5000, 7000), Schedule(50000, 28000), Schedule(math.inf, 112000))
"""With one stage and batches of 8, they take as long as :data:`SCHEDULES` would with two stages and batches of 16, and
reach a higher AP with 60 images and with the demo's people (docs/own_keypoints_measured.md, docs/accuracy.md)."""

NETWORKS: Dict[str, Network] = dict(
    small=Network(
        dict(num_stages=1, encoder=dict(type='ResNet', depth=18, stem_channels=24, base_channels=24), unit_channels=48),
        SMALL_CROPS, 2, 8, 1e-2, SMALL_SCHEDULES, '1 stage, ResNet-18 of 24 channels'),
    medium=Network(
        dict(num_stages=2, encoder=dict(type='ResNet', depth=18), unit_channels=256),
        CROPS, 4, 32, 1e-3, SCHEDULES, '2 stages, ResNet-18'),
    large=Network(
        dict(num_stages=2, encoder=dict(type='ResNet', depth=50), unit_channels=256),
        CROPS, 4, 32, 1e-3, SCHEDULES, '2 stages, ResNet-50'))
"""By name. ``small`` is a stage of the demo's, which two CPU cores train in minutes."""


MANY_OBJECTS = 5000
"""With more objects than that a GPU gets the large network."""


SHARE_WITH_WEIGHTS = 1 / 3
"""Iterations of a training from other weights, as a share of those from random weights."""
WARMUP_SHARE = 1 / 16
VALIDATIONS = 10
"""Validations of a training."""
IMAGE_CACHE_GB = 4
"""GB of decoded images that a training keeps on the disk: all of a small dataset, which decodes every image once."""
FEW_TIMES = 5
"""Objects that a training sees less often than this are mirrored only: they vary enough by themselves."""


class Plan(NamedTuple):
    """What a config says beyond the names of its keypoints.

    Attributes:
        network: Key of :data:`NETWORKS`, whose crops, batch, rate and schedule it has.
        backbone: Arguments of ``mmpose_mspn.MSPN``: the network's or those of a checkpoint.
        aspect: One of :data:`ASPECTS`.
        input_size: Crop in px.
        heatmap_size: In cells.
        kernel_sizes: Of the targets, in cells.
        batch_size: Objects of a step.
        lr: Learning rate after the warm-up.
        max_iters: Iterations.
        warmup_iters: The first of them, in which the rate grows.
        val_interval: Iterations between validations.
        full_augmentation: Whether crops are scaled, rotated, cut to half bodies and changed in color too, or mirrored
            only.
        ohkm_topk: Keypoints that online hard keypoint mining keeps.
    """
    network: str
    backbone: dict
    aspect: str
    input_size: Size
    heatmap_size: Size
    kernel_sizes: Tuple[int, ...]
    batch_size: int
    lr: float
    max_iters: int
    warmup_iters: int
    val_interval: int
    full_augmentation: bool
    ohkm_topk: int


def choose_network(objects: int, has_gpu: bool) -> str:
    """Name of the network: the one that a CPU trains in minutes, or on a GPU by the number of objects."""
    if not has_gpu:
        return 'small'
    return 'medium' if objects <= MANY_OBJECTS else 'large'


def choose_aspect(boxes: Sequence[Sequence[float]]) -> Tuple[str, float]:
    """The shape of crops nearest to the boxes, and the median of their width / height.

    Args:
        boxes: (x, y, width, height) in px, at least one.
    """
    ratios = sorted(width / height for _, _, width, height in boxes)
    median = ratios[len(ratios) // 2]
    return min(ASPECTS, key=lambda name: abs(math.log(ASPECTS[name] / median))), median


def make_plan(objects: int, keypoints: int, aspect: str, network: str, backbone: Optional[dict] = None) -> Plan:
    """Apply the tables.

    Args:
        objects: Number of objects to train on, >= 1.
        keypoints: K.
        aspect: One of :data:`ASPECTS`.
        network: One of :data:`NETWORKS`.
        backbone: Backbone of a checkpoint that training starts from; the network's crops, batch,
            rate and schedule stay.
    """
    row = NETWORKS[network]
    iterations = next(schedule.iterations for schedule in row.schedules if objects <= schedule.objects)
    if backbone is not None:
        iterations = round(iterations * SHARE_WITH_WEIGHTS)
    width, height = row.crops[aspect]
    finer = OFFICIAL_CELL // row.cell
    return Plan(
        network=network,
        backbone=backbone or row.backbone,
        aspect=aspect,
        input_size=(width, height),
        heatmap_size=(width // row.cell, height // row.cell),
        kernel_sizes=tuple(finer * (kernel - 1) + 1 for kernel in OFFICIAL_KERNELS),
        batch_size=row.batch_size,
        lr=row.lr,
        max_iters=iterations,
        warmup_iters=max(1, round(iterations * WARMUP_SHARE)),
        val_interval=(iterations + VALIDATIONS - 1) // VALIDATIONS,
        full_augmentation=times_seen(iterations, row.batch_size, objects) >= FEW_TIMES,
        ohkm_topk=max(8, keypoints // 2))


def times_seen(iterations: int, batch_size: int, objects: int) -> float:
    """How often a training sees each object."""
    return iterations * batch_size / objects
