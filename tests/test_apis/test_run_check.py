"""What a run refuses before it starts."""
import os

import pytest
import torch

from mmpose_mspn.apis.config import load_config
from mmpose_mspn.apis.run_check import check_output_file, check_run
from tests.building import backbone, estimator, head, samples
from tests.places import ROOT

TOPDOWN = ROOT / 'configs/body_2d_keypoint/topdown_heatmap'
MSPN = TOPDOWN / 'coco/td-hm_2xmspn50_8xb32-96k_coco-256x192.py'
HRNET = TOPDOWN / 'coco/td-hm_hrnet-w32-mspncodec_8xb32-210e_coco-256x192.py'
SIMCC = ROOT / 'configs/body_2d_keypoint/simcc/coco/simcc_2xmspn50-rtmcc_8xb32-210e_coco-256x192.py'


@pytest.mark.parametrize('config', [MSPN, HRNET, SIMCC])
def test_configs_pass(config):
    check_run(load_config(str(config)), ('train', 'val', 'test'))


def test_an_ensemble_has_neither_backbone_nor_head():
    check_run(load_config(str(TOPDOWN / 'coco/td-hm_mspn-plus_coco-384x288.py')), ('test', ))


@pytest.mark.parametrize('config, options, message', [
    (MSPN, {'model.head.decoder.input_size': (288, 384), 'model.head.decoder.heatmap_size': (72, 96)},
     r'pipeline.5: TopdownAffine .*\(192, 256\), but model.head.decoder has input_size \(288, 384\)'),
    (MSPN, {'model.head.decoder.heatmap_size': (72, 96)}, r'differ: heatmap_size \(48, 64\) and \(72, 96\):'),
    (MSPN, {'model.head.decoder.kernel_sizes': (13, 11, 9, 7, 5)}, r'kernel_sizes \(15, .* and \(13,'),
    (MSPN, {'model.head.decoder.blur_kernel_size': 9}, 'blur_kernel_size 5 and 9'),
    (MSPN, {'train_dataloader.dataset.pipeline.5.input_size': (288, 384)},
     r'pipeline.5: TopdownAffine .*\(288, 384\), but model.head.decoder has input_size \(192, 256\)'),
    (MSPN, {'val_dataloader.dataset.pipeline.2.input_size': (96, 128)}, 'val_dataloader.dataset.pipeline.2: Topdown'),
    (MSPN, {'model.head.decoder.type': 'UDPHeatmap'}, 'decoder is UDPHeatmap, but mmpose_mspn.MSPNHead needs'),
    (MSPN, {'model.backbone.output': 'final'}, "set model.backbone.output='all'"),
    (SIMCC, {'model.backbone.output': 'all'}, "RTMCCHead takes one feature map.*output='final'"),
    (SIMCC, {'train_dataloader.dataset.type': 'mmpose_mspn.CocoDataset'}, 'visibility as a weight.*CocoDataset'),
    (MSPN, {'model.head.out_channels': 5}, 'has 17 keypoints .* but model.head.out_channels is 5'),
    (MSPN, {'train_dataloader.dataset.metainfo': dict(from_file='configs/_base_/datasets/mpii.py')},
     'has 16 keypoints'),
])
def test_parts_that_do_not_fit_are_refused(config, options, message):
    with pytest.raises(ValueError, match=message):
        check_run(load_config(str(config), options), ('train', 'val', 'test'))


def test_a_missing_loader_is_named():
    cfg = load_config(str(MSPN))
    cfg.train_dataloader = None
    with pytest.raises(ValueError, match='no train_dataloader: it is not one for training'):
        check_run(cfg, ('train', 'val'))


@pytest.mark.parametrize('name, error, message', [
    ('m.csv', ValueError, r'--out .*m\.csv must end with one of \.json'), ('folder.json', OSError, 'is a folder'),
    ('file/m.json', OSError, 'cannot be written to')])
def test_files_that_could_not_be_written(tmp_path, name, error, message):
    (tmp_path / 'file').write_text('')
    (tmp_path / 'folder.json').mkdir()
    with pytest.raises(error, match=message):
        check_output_file('--out', str(tmp_path / name))


def test_a_missing_folder_is_made(tmp_path):
    check_output_file('--out', str(tmp_path / 'new' / 'm.json'))
    assert os.listdir(tmp_path / 'new') == []


def test_the_head_refuses_crops_of_another_size():
    """Also under runners that make no check before the run."""
    built = head(input_size=(96, 128))
    feats = backbone()(torch.zeros(2, 3, 64, 48))
    with pytest.raises(ValueError, match=r'input_size \(48, 64\), the head.s decoder has input_size \(96, 128\)'):
        built.loss(feats, samples())
    with pytest.raises(ValueError, match=r'input_size \(48, 64\)'):
        built.predict(feats, samples())


def test_the_head_refuses_another_number_of_keypoints():
    with pytest.raises(ValueError, match='the samples have 17 keypoints, the head has out_channels=5'):
        head(out_channels=5).loss(backbone()(torch.zeros(2, 3, 64, 48)), samples())


def test_a_plain_backbone_under_the_head_is_refused():
    model = estimator(dict(type='mmpose.ResNet', depth=18, out_indices=(0, 1)), dict(
        type='mmpose_mspn.MSPNHead', num_stages=2, out_channels=17, unit_channels=16,
        decoder=dict(type='mmpose_mspn.CoarseToFineHeatmap', input_size=(48, 64), heatmap_size=(12, 16))))
    with pytest.raises(ValueError, match="take mmpose_mspn.MSPN with output='all'"):
        model(torch.zeros(2, 3, 64, 48), samples(), mode='loss')
