"""Small models that can be exported, with the config and the keypoints that an export describes."""
from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS, MODELS
from torch import nn, randn

from tests.building import codec, settle_norms

ENCODER = dict(type='mmpose.ResNet', depth=18, stem_channels=8, base_channels=8)
MSPN = dict(type='mmpose_mspn.MSPN', num_stages=2, encoder=ENCODER, unit_channels=8)
MSPN_HEAD = dict(type='mmpose_mspn.MSPNHead', num_stages=2, out_channels=17, unit_channels=8, decoder=codec())
CPN = dict(ENCODER, out_indices=(0, 1, 2, 3))
CPN_HEAD = dict(type='mmpose_mspn.CPNHead', out_channels=17, in_channels=(8, 16, 32, 64), channels=8,
                decoder=codec(kernel_sizes=(15, 11, 9, 7)))
HEATMAP_HEAD = dict(type='mmpose.HeatmapHead', in_channels=32, out_channels=17, deconv_out_channels=(8, 8),
                    deconv_kernel_sizes=(4, 4), decoder=codec(kernel_sizes=(7, ), encode_as='heatmaps'))


def build(backbone: dict = MSPN, head: dict = MSPN_HEAD, kind: str = 'mmpose_mspn.TopdownPoseEstimator',
          step: dict = dict(type='mmpose_mspn.WidenBBox', fixed=(0.09, 0.135)), **test_cfg) -> nn.Module:  # noqa: B006
    """A model of COCO's keypoints with crops of 48 × 64 px, whose norms have seen data."""
    model = MODELS.build(dict(
        type=kind, backbone=backbone, head=head,
        data_preprocessor=dict(type='mmpose_mspn.PoseDataPreprocessor', mean=[123.675, 116.28, 103.53],
                               std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
        test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False, **test_cfg)))
    settle_norms(model, randn(12, 3, 64, 48))
    pipeline = [dict(type='LoadImage'), step, dict(type='TopdownAffine', input_size=(48, 64)),
                dict(type='PackPoseInputs')]
    model.cfg = Config(dict(default_scope='mmpose', test_dataloader=dict(dataset=dict(
        type='mmpose_mspn.CocoDataset', data_root='no-such-folder', ann_file='none.json', pipeline=pipeline))))
    model.dataset_meta = parse_pose_metainfo(DATASETS.get('mmpose.CocoDataset').METAINFO)
    return model
