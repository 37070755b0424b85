"""The rows of compare.py on predictions from images: one call for all of them, against mmpose's call for each."""
from typing import Callable, List

import numpy as np
from mmengine.config import Config
from mmpose.apis import inference_topdown
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from peers import INPUT, pair
from timing import Sides
from torch import nn

from mmpose_mspn.apis.drawing import Drawer
from mmpose_mspn.apis.pose_model import BATCH_SIZE, TorchPoseModel

IMAGE = (480, 640, 3)
BOX = [200, 60, 180, 400]
"""x, y, width, height in image px."""
PIPELINE = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale'), dict(type='TopdownAffine', input_size=INPUT),
            dict(type='PackPoseInputs')]


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
