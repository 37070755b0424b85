"""Boxes for tools/infer.py from a detector of mmdet."""
import sys

import pytest
import torch
from mmengine.config import Config

from tests.test_apis.infer_setup import NAMES, joints_of

CONFIG = """
_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'
model = dict(test_cfg=dict(max_per_img=6))
test_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(64, 64), keep_ratio=True),
    dict(type='Pad', size=(64, 64)),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]))
"""


def test_mmdet(setup, tmp_path):
    """The boxes are the persons found by mmdet's own inference, as x, y, width, height."""
    pytest.importorskip('mmdet', reason='mmdet is not installed')
    from mmdet.apis import inference_detector, init_detector
    from mmdet.registry import MODELS as MMDET_MODELS
    from mmengine.registry import DefaultScope
    config, checkpoint = tmp_path / 'detector.py', tmp_path / 'detector.pth'
    config.write_text(CONFIG)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        weights = MMDET_MODELS.build(Config.fromfile(config).model).state_dict()
    # Random weights detect nothing: raise the scores of a person (class 0) and a bicycle (class 1) everywhere.
    for level, bias in enumerate((1., 2., 3.)):
        weights[f'bbox_head.rtm_cls.{level}.bias'][:2] = torch.tensor([bias, bias - 0.5 + 0.5 * level])
        weights[f'bbox_head.rtm_reg.{level}.bias'][:] = torch.tensor([1., 1.5, 2., 2.5])
    torch.save(dict(state_dict=weights, meta=dict(dataset_meta=dict(classes=('person', 'bicycle')))), checkpoint)
    setup.infer(setup.images, det_config=config, det_checkpoint=checkpoint, bbox_thr=0.4)
    images = setup.predictions()['images']

    model = init_detector(str(config), str(checkpoint), device='cpu')
    with DefaultScope.overwrite_default_scope('mmdet'):
        found = [inference_detector(model, setup.read(name)).pred_instances for name in NAMES]
    labels = torch.cat([one.labels for one in found])
    assert {0, 1} <= set(labels.tolist())
    for image, all_found in zip(images, found):
        persons = all_found[(all_found.labels == 0) & (all_found.scores >= 0.4)]
        assert len(persons) == len(image['instances']) > 0
        for instance, (x1, y1, x2, y2), score in zip(image['instances'], persons.bboxes.tolist(),
                                                     persons.scores.tolist()):
            assert instance['bbox'] == pytest.approx([x1, y1, x2 - x1, y2 - y1])
            assert instance['bbox_score'] == pytest.approx(score)
        boxes = [instance['bbox'] for instance in image['instances']]
        assert joints_of(image) == setup.expected(setup.read(image['image']), boxes)

def test_mmdet_absent(setup, monkeypatch):
    monkeypatch.setitem(sys.modules, 'mmdet.apis', None)  # makes the import fail
    with pytest.raises(ImportError, match=r'pip install "mmdet>=3\.0,<3\.4"'):
        setup.infer(setup.images, det_config='a.py', det_checkpoint='a.pth')
