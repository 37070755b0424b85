"""The loss that each config builds, where it differs from the base, and how users' configs change it."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmpose.registry import MODELS

CONFIGS = Path(__file__).parents[3] / 'configs'
COCO = 'body_2d_keypoint/topdown_heatmap/coco/'
PAPER = dict(coarse_to_fine=True, ohkm_topk=8, unit_weights=(0.25, 0.25, 0.25, 1.0), stage_weights=None)


def build_head(path: str, **changes):
    """The head of a config that a user derives from ``path`` with ``changes`` to the head."""
    cfg = Config.fromfile(str(CONFIGS / path))
    cfg.merge_from_dict(dict(model=dict(head=changes)))
    with torch.device('meta'):
        return MODELS.build(cfg.model.head)


@pytest.mark.parametrize('path, changes', [
    (COCO + 'td-hm_4xmspn50_8xb32-96k_coco-256x192.py', {}),
    (COCO + 'td-hm_2xmspn50-no-coarse-to-fine_8xb32-96k_coco-256x192.py', dict(coarse_to_fine=False)),
    (COCO + 'td-hm_2xmspn50-no-ohkm_8xb32-96k_coco-256x192.py', dict(ohkm_topk=None)),
    (COCO + 'td-hm_rsn50-mspnhead_8xb32-210e_coco-256x192.py', {}),
    ('wholebody_2d_keypoint/topdown_heatmap/coco-wholebody/td-hm_2xmspn50_8xb32-210e_coco-wholebody-256x192.py',
     dict(ohkm_topk=64)),
    ('body_2d_keypoint/topdown_heatmap/crowdpose/td-hm_2xmspn50_8xb32-210e_crowdpose-256x192.py',
     dict(visibility='labeled')),
])
def test_a_config_differs_from_the_paper_in_what_it_says(path, changes):
    loss = build_head(path).loss_module
    found = {name: getattr(loss, name) for name in PAPER}
    found['visibility'] = loss.visibility_rule.visibility
    assert found == {**PAPER, 'visibility': 'official', **changes}


def test_cpn_names_its_choices():
    loss = build_head(COCO + 'td-hm_cpn50_1xb32-656k_coco-256x192.py').loss_module
    assert (loss.level_order, loss.ohkm_topk, loss.global_weight) == ('coarse_to_fine', 8, 0.5)


def test_cross_stage_aggregation_is_a_line_of_the_config():
    base = Config.fromfile(str(CONFIGS / '_base_/models/4xmspn50.py'))
    ablated = Config.fromfile(str(CONFIGS / COCO / 'td-hm_2xmspn50-no-cross-stage_8xb32-96k_coco-256x192.py'))
    assert base.model.backbone.cross_stage_aggregation is True
    assert ablated.model.backbone.cross_stage_aggregation is False


@pytest.mark.parametrize('changes, name, value', [
    (dict(loss=dict(unit_weights=[1, 1, 1, 2])), 'unit_weights', (1, 1, 1, 2)),
    (dict(loss=dict(stage_weights=(0.5, 0.5, 0.5, 1))), 'stage_weights', (0.5, 0.5, 0.5, 1)),
    (dict(ohkm_topk=3), 'ohkm_topk', 3),
    (dict(ohkm_topk=None), 'ohkm_topk', None),
    (dict(coarse_to_fine=False), 'coarse_to_fine', False),
])
def test_a_user_changes_one_line(changes, name, value):
    """In the loss, or as arguments of the head, where configs had them before the base named the loss."""
    loss = build_head(COCO + 'td-hm_4xmspn50_8xb32-96k_coco-256x192.py', **changes).loss_module
    assert {key: getattr(loss, key) for key in PAPER} == dict(PAPER, **{name: value})


def test_a_users_cpn_of_the_published_order():
    head = build_head(COCO + 'td-hm_cpn50_1xb32-656k_coco-256x192.py', level_order='fine_to_coarse')
    assert (head.loss_module.level_order, head.loss_module.ohkm_topk) == ('fine_to_coarse', 8)


def test_a_user_replaces_the_loss():
    head = build_head(COCO + 'td-hm_4xmspn50_8xb32-96k_coco-256x192.py', loss=dict(
        _delete_=True, type='mmpose_mspn.CPNHeatmapLoss', global_weight=1.))
    assert (type(head.loss_module).__name__, head.loss_module.global_weight) == ('CPNHeatmapLoss', 1.)
