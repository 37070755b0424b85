"""docs/protocol.md: its tests exist, the package cites its sections, and the facts without another test hold.

Those facts are the values in the default configs, the score of a person, and the measured differences to mmpose.
"""
import ast
import json
import re

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmpose.codecs import MegviiHeatmap
from mmpose.registry import METRICS, MODELS

from mmpose_mspn import CoarseToFineHeatmap, MultiStageHeatmapLoss
from tests import reference
from tests.places import ROOT

DOCUMENT = (ROOT / 'docs/protocol.md').read_text(encoding='utf-8')
HEADINGS = re.findall(r'^## (.+)$', DOCUMENT, re.M)
CONFIGS = ROOT / 'configs/body_2d_keypoint/topdown_heatmap'
COCO = CONFIGS / 'coco/td-hm_4xmspn50_8xb32-96k_coco-256x192.py'
MPII = CONFIGS / 'mpii/td-hm_4xmspn50_8xb32-29k_mpii-256x256.py'
CPN = CONFIGS / 'coco/td-hm_cpn50_1xb32-656k_coco-256x192.py'


# ---------------------------------------------------------------- the document


@pytest.mark.parametrize('file, name', sorted(set(re.findall(r'`(tests/[\w/]+\.py)::(\w+)`', DOCUMENT))))
def test_every_test_that_the_document_names_exists(file, name):
    tree = ast.parse((ROOT / file).read_text(encoding='utf-8'))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_fact_names_its_test_or_says_that_it_has_none():
    sections = re.split(r'^## ', DOCUMENT, flags=re.M)[1:]
    assert [section.splitlines()[0] for section in sections] == HEADINGS and len(HEADINGS) == 7
    for section in sections:
        rows = [line for line in section.splitlines() if line.startswith('| ')]
        facts = [row for row in rows if not row.startswith(('| ---', '| fact |', '| step |', '| model |'))]
        if not section.startswith('Published figures'):
            without = [row for row in facts if not re.search(r'`tests/[\w/]+\.py::\w+` [|]$|no test', row)]
            assert facts and without == []


def test_the_package_cites_sections_that_exist():
    cited = set()
    for file in sorted((ROOT / 'mmpose_mspn').rglob('*.py')):
        text = ' '.join(file.read_text(encoding='utf-8').split())
        assert 'PROTOCOL' not in text, f'{file.name} cites a page that is not in the repository'
        for quoted in re.findall(r'docs/protocol\.md,((?:[, ]|and|"[^"]+")+)', text):
            cited |= {(file.name, section) for section in re.findall(r'"([^"]+)"', quoted)}
    assert len(cited) > 10 and {section for _, section in cited} <= set(HEADINGS), cited


def test_published_figures_are_those_of_the_model_table():
    section = DOCUMENT.split('## Published figures')[1].split('\n## ')[0]
    entries = yaml.safe_load((ROOT / 'configs/published.yml').read_text(encoding='utf-8'))
    figures = {figure['figure'].split()[0] for entry in entries.values() for figure in entry.get('published', [])}
    assert figures and figures <= set(re.findall(r'\d+\.\d+', section))


# ---------------------------------------------------------------- values in the default configs


def step(cfg: Config, name: str, kind: str) -> dict:
    """The arguments of the one step of a type in a pipeline of the config."""
    found, = (dict(one) for one in cfg[name] if one['type'] == kind)
    found.pop('type')
    return found


@pytest.mark.parametrize('path, train, half, scale, test', [
    (COCO, dict(fixed=(0.05, 0.05), random=(0.6, 0.8)),
     dict(upper_body_ids=tuple(range(13)), prob=0.3, min_joints=3, random=(0.6, 0.8)),
     dict(shrink=0.8, scale=(0.75, 1.25), rotation=45, rotation_prob=0.5), dict(fixed=(0.09, 0.135))),
    (MPII, dict(fixed=(0.25, 0.25)),
     dict(upper_body_ids=tuple(range(7, 16)), prob=0.5, min_joints=8, random=(0.6, 0.6)),
     dict(shrink=1, scale=(0.75, 1.25), rotation=60, rotation_prob=0.5), dict(fixed=(0.25, 0.25))),
], ids=['coco', 'mpii'])
def test_crops_of_the_default_configs(path, train, half, scale, test):
    cfg = Config.fromfile(str(path))
    assert step(cfg, 'train_pipeline', 'mmpose_mspn.WidenBBox') == train
    assert step(cfg, 'train_pipeline', 'mmpose_mspn.HalfBody') == half
    assert step(cfg, 'train_pipeline', 'mmpose_mspn.RandomScaleRotation') == scale
    assert step(cfg, 'train_pipeline', 'RandomFlip') == dict(direction='horizontal', prob=0.5)
    assert step(cfg, 'val_pipeline', 'mmpose_mspn.WidenBBox') == test
    assert cfg.test_dataloader.dataset.pipeline == cfg.val_dataloader.dataset.pipeline == cfg.val_pipeline


@pytest.mark.parametrize('path, blur', [(COCO, 5), (MPII, 9)], ids=['coco', 'mpii'])
def test_decode_and_flip_test_of_the_default_configs(path, blur):
    cfg = Config.fromfile(str(path))
    codec = MODELS.build(cfg.model.head).decoder
    assert (codec.kernel_sizes, codec.blur_kernel_size) == ((15, 11, 9, 7, 5), blur)
    assert cfg.model.test_cfg == dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False)


@pytest.mark.parametrize('path', [COCO, MPII], ids=['coco', 'mpii'])
def test_optimizer_of_the_default_configs(path):
    assert Config.fromfile(str(path)).optim_wrapper.optimizer == dict(type='Adam', lr=8 * 5e-4, weight_decay=1e-5)


def test_detector_boxes_of_the_default_config():
    cfg = Config.fromfile(str(COCO))
    assert 'AP_H_56' in cfg.test_dataloader.dataset.bbox_file


def test_pixels_of_the_default_config():
    """The official network takes BGR; ours takes RGB, and a converted stem has its channels in the other order."""
    image = torch.randint(0, 256, (3, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)  # BGR
    preprocessor = MODELS.build(Config.fromfile(str(COCO)).model.data_preprocessor)
    pixels = preprocessor(dict(inputs=[image], data_samples=[]))['inputs'][0]
    means, stds = (torch.tensor(values)[:, None, None] for values in ((0.406, 0.456, 0.485), (0.225, 0.224, 0.229)))
    torch.testing.assert_close(pixels.flip(0), (image / 255 - means) / stds)


def test_a_person_scores_its_box_times_the_mean_of_its_keypoints(tmp_path):
    evaluator = Config.fromfile(str(COCO)).val_evaluator
    (tmp_path / 'images.json').write_text(json.dumps(dict(
        images=[dict(id=1, width=64, height=64, file_name='1.jpg')], categories=[dict(id=1, name='person')])))
    evaluator.update(
        ann_file=str(tmp_path / 'images.json'), format_only=True, outfile_prefix=str(tmp_path / 'people'))
    metric = METRICS.build(evaluator)
    metric.dataset_meta = dict(dataset_name='coco', num_keypoints=17, sigmas=np.full(17, 0.05), CLASSES=[])
    scores = np.linspace(0.5, 1.3, 17, dtype=np.float32)[None]
    metric.process([], [dict(
        id=0, img_id=1, category_id=1,
        pred_instances=dict(keypoints=np.ones((1, 17, 2), np.float32), keypoint_scores=scores,
                            bboxes=np.array([[0, 0, 9, 9]], np.float32), bbox_scores=np.array([0.7], np.float32)),
        gt_instances=dict(bbox_scales=np.array([[9, 9]], np.float32)))])
    metric.evaluate(1)
    person, = json.loads((tmp_path / 'people.keypoints.json').read_text())
    assert person['score'] == pytest.approx(0.7 * (0.5 + 1.3) / 2)


def test_cpn_of_the_default_config():
    cfg = Config.fromfile(str(CPN))
    assert step(cfg, 'train_pipeline', 'mmpose_mspn.WidenBBox') == dict(fixed=(0.1, 0.15))
    assert step(cfg, 'val_pipeline', 'mmpose_mspn.WidenBBox') == dict(fixed=(0.1, 0.15))
    head = MODELS.build(cfg.model.head)
    assert head.decoder.kernel_sizes == (15, 11, 9, 7) and head.in_channels == (256, 512, 1024, 2048)
    assert head.loss_module.ohkm_topk == 8
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('Adam', 5e-4, 1e-5)


# ---------------------------------------------------------------- measured differences to mmpose


@pytest.mark.parametrize('name, size, share', [
    ('coco_256x192', (192, 256), 0.11), ('coco_384x288', (288, 384), 0.09), ('mpii_256x256', (256, 256), 0.15)])
def test_targets_of_mmpose_exceed_255_near_the_border(name, size, share):
    """mmpose divides a blurred impulse by its value in the joint's own cell, which is not the maximum at a border."""
    recorded = reference.recording('targets')
    cells = (size[0] // 4, size[1] // 4)
    largest = []
    for person, joints in enumerate(recorded[f'{name}/joints'].astype(float)):
        visible = recorded[f'{name}/visible'][person:person + 1].astype(float)
        for level, kernel in enumerate((15, 11, 9, 7, 5)):
            theirs = MegviiHeatmap(size, cells, kernel).encode(joints[None], visible)['heatmaps']
            largest.append(np.abs(theirs - recorded[f'{name}/heatmaps'][person, level]).max((1, 2)))
    largest = np.concatenate(largest)
    assert (largest > 1).mean() == pytest.approx(share, abs=0.005)
    assert largest.max() == pytest.approx(54, abs=0.5)
    corner = MegviiHeatmap(size, cells, 5).encode(np.array([[[4., 4.]]]), np.full((1, 1), 2.))['heatmaps']
    assert corner.max() == pytest.approx(333, abs=1)


@pytest.mark.parametrize('name, size, blur', [('coco', (192, 256), 5), ('mpii', (256, 256), 9)])
def test_decode_of_mmpose_is_1_px_apart(name, size, blur):
    heatmaps = reference.recording('decode')[f'{name}/heatmaps']
    cells = (size[0] // 4, size[1] // 4)
    ours, _ = CoarseToFineHeatmap(size, cells, blur_kernel_size=blur).batch_decode(torch.from_numpy(heatmaps))
    theirs = [MegviiHeatmap(size, cells, blur).decode(maps)[0] for maps in heatmaps]
    apart = np.linalg.norm(np.concatenate(ours) - np.concatenate(theirs), axis=-1)
    assert np.median(apart) == pytest.approx(1.0, abs=0.01)
    assert apart.max() == pytest.approx(3.6, abs=0.01)


def test_the_loss_of_mmpose_differs_by_7_percent():
    """It masks the error instead of the target, and does not tell visible from occluded."""
    recorded = reference.recording('loss')
    outputs = [[torch.from_numpy(unit).float() for unit in stage] for stage in recorded['outputs']]
    targets, visible = torch.from_numpy(recorded['heatmaps']), torch.from_numpy(recorded['visible'])
    official = sum(MultiStageHeatmapLoss()(outputs, targets, visible).values()).item()
    mean = MODELS.build(dict(type='mmpose.KeypointMSELoss', use_target_weight=True, loss_weight=0.25))
    hardest = MODELS.build(dict(type='mmpose.KeypointOHKMMSELoss', use_target_weight=True, topk=8))
    labeled = (visible > 0).float()
    total = 0.
    for stage, units in enumerate(outputs):
        for unit, heatmaps in enumerate(units):
            total += (hardest if unit == 3 else mean)(heatmaps, targets[:, unit + stage], labeled).item()
    assert total / official == pytest.approx(0.93, abs=0.005)
