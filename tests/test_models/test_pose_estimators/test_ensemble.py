"""Ensembles: the mean of the members' heatmaps, and members that are refused."""
import copy

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpose.registry import MODELS
from torch.nn import functional as F

from mmpose_mspn.models.pose_estimators import ensemble as ensemble_module
from mmpose_mspn.models.pose_estimators import topdown  # noqa: F401  registers the estimator
from mmpose_mspn.models.pose_estimators.ensemble import resample
from mmpose_mspn.synthetic_people import generate
from tests import building

INPUT = (48, 64)
PIXELS = dict(type='mmpose.PoseDataPreprocessor', mean=[100., 110., 120.], std=[50., 60., 70.], bgr_to_rgb=False)


def member(tmp_path, name, input_size=INPUT, out_channels=17, seed=0, weight=None, **changes):
    """An entry of ``members``, whose config and checkpoint are written."""
    model = dict(
        type='mmpose_mspn.TopdownPoseEstimator',
        data_preprocessor=PIXELS,
        backbone=dict(type='mmpose_mspn.MSPN', num_stages=1, encoder=building.SMALL, unit_channels=16,
                      init_cfg=dict(type='Pretrained', checkpoint='a file that only training needs')),
        head=dict(type='mmpose_mspn.MSPNHead', num_stages=1, out_channels=out_channels, unit_channels=16,
                  decoder=building.codec(input_size)))
    model.update(changes)
    torch.manual_seed(seed)
    built = MODELS.build(copy.deepcopy(model))
    for module in (built.backbone, built.head):
        module.init_cfg = None
        for value in module.parameters():
            if value.ndim > 1:
                torch.nn.init.kaiming_normal_(value)
    torch.save(dict(state_dict=built.state_dict()), tmp_path / f'{name}.pth')
    Config(dict(model=model)).dump(tmp_path / f'{name}.py')
    entry = dict(config=str(tmp_path / f'{name}.py'), checkpoint=str(tmp_path / f'{name}.pth'))
    return entry if weight is None else dict(entry, weight=weight)


def ensemble(*members, input_size=INPUT, **changes):
    return MODELS.build({
        'type': 'mmpose_mspn.EnsemblePoseEstimator', 'members': list(members), 'decoder': building.codec(input_size),
        'test_cfg': dict(flip_test=True, output_heatmaps=True), **changes
    }).eval()


def predict(model, inputs):
    with torch.no_grad():
        samples = model(inputs, building.samples(len(inputs), input_size=inputs.shape[:1:-1]), mode='predict')
    return torch.stack([sample.pred_fields.heatmaps for sample in samples]), samples


def crops(input_size=INPUT):
    return torch.randn(2, 3, input_size[1], input_size[0], generator=torch.Generator().manual_seed(1))


def test_mean_by_weights_of_what_members_predict_alone(tmp_path):
    entries = [member(tmp_path, 'a', seed=1), member(tmp_path, 'b', seed=2, weight=3)]
    alone = []
    for entry in entries:
        config = Config.fromfile(entry['config']).model
        config.update(type='mmpose.TopdownPoseEstimator', test_cfg=dict(flip_test=True, output_heatmaps=True))
        config.backbone.pop('init_cfg')
        model = MODELS.build(config).eval()
        model.load_state_dict(torch.load(entry['checkpoint'])['state_dict'])
        alone.append(predict(model, crops())[0])
    expected = (alone[0] + 3 * alone[1]) / 4
    maps, samples = predict(ensemble(*entries), crops())
    assert torch.allclose(maps, expected, atol=1e-4 * expected.std())
    decoded = MODELS.build(Config.fromfile(entries[0]['config']).model.head).decode(expected)
    for sample, instance in zip(samples, decoded):
        # input px are image px in these samples
        assert sample.pred_instances.keypoints == pytest.approx(instance.keypoints, abs=1e-3)
        assert sample.pred_instances.keypoint_scores == pytest.approx(instance.keypoint_scores, abs=1e-3)


def test_smaller_member_sees_the_resampled_crop(tmp_path):
    large, small = member(tmp_path, 'large', (96, 128)), member(tmp_path, 'small', INPUT, seed=3)
    inputs = crops((96, 128))
    both = predict(ensemble(large, small, input_size=(96, 128)), inputs)[0]
    first = predict(ensemble(large, input_size=(96, 128)), inputs)[0]
    second = predict(ensemble(small), resample(inputs, INPUT))[0]
    grown = F.interpolate(second, size=(32, 24), mode='bilinear', align_corners=False)
    assert torch.allclose(both, (first + grown) / 2, atol=1e-4 * both.std())


def test_resampled_crop_is_the_one_that_the_pipeline_would_cut():
    """Crops of a smooth picture at two sizes by mmpose's own warp."""
    from mmpose.structures.bbox import get_warp_matrix
    y, x = np.mgrid[:200, :200].astype(np.float32)
    picture = np.stack([x + 2 * y, 200 - x, y], -1)
    cut = {}
    for w, h in ((96, 128), (72, 96)):
        matrix = get_warp_matrix(np.array([90., 110.]), np.array([75., 100.]), 0., (w, h))
        crop = cv2.warpAffine(picture, matrix, (w, h), flags=cv2.INTER_LINEAR)
        cut[w] = torch.from_numpy(crop).permute(2, 0, 1)[None]
    assert (resample(cut[96], (72, 96)) - cut[72]).abs().max() < 0.15  # OpenCV samples on a grid of 1/32 px
    half_px = F.interpolate(cut[96], size=(96, 72), mode='bilinear', align_corners=False)
    assert (half_px - cut[72]).abs().mean() > 0.15


def test_one_preprocessor_for_all(tmp_path):
    model = ensemble(member(tmp_path, 'a'))
    assert model.data_preprocessor.mean.flatten().tolist() == PIXELS['mean']


def with_preprocessor(**changes):
    return lambda path: ensemble(member(path, 'a'), member(path, 'other', data_preprocessor=dict(PIXELS, **changes)))


REFUSED = {
    'mean': (with_preprocessor(mean=[1., 2., 3.]), r'members\[1\] \(.*other.py\) .* mean=\[1.0, 2.0, 3.0\]'),
    'bgr': (with_preprocessor(bgr_to_rgb=True), 'other.py.* bgr_to_rgb=True'),
    'keypoints': (lambda path: ensemble(member(path, 'a'), member(path, 'other', out_channels=16)),
                  r'other.py\) predicts 16 keypoints, .*a.py\) 17'),
    'larger': (lambda path: ensemble(member(path, 'other', (96, 128))), r'other.py\) has input_size=\(96, 128\)'),
    'aspect': (lambda path: ensemble(member(path, 'other', (48, 48))), 'aspect ratio'),
    'codec': (lambda path: ensemble(member(path, 'other'), decoder=dict(
        type='mmpose.MSRAHeatmap', input_size=INPUT, heatmap_size=(12, 16), sigma=2)),
        'other.py.* decodes by CoarseToFineHeatmap, the ensemble by MSRAHeatmap'),
    'weight': (lambda path: ensemble(member(path, 'a', weight=0)), r'weight of members\[0\] must be > 0, got 0'),
    'entry': (lambda path: ensemble(dict(config='a.py')), r'members\[0\] must hold config, checkpoint'),
    'none': (lambda path: ensemble(), 'at least one'),
    'checkpoint': (lambda path: ensemble(dict(
        member(path, 'a'), checkpoint=member(path, 'other', out_channels=16)['checkpoint'])),
        r'a.py\): .*other.pth is not a checkpoint of this config'),
}


@pytest.mark.parametrize('case', REFUSED)
def test_members_that_do_not_fit_are_refused_by_name(case, tmp_path):
    build, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        build(tmp_path)


def test_crops_of_another_size_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r'crops are 96 x 128 px, .* input_size=\(48, 64\)'):
        predict(ensemble(member(tmp_path, 'a')), crops((96, 128)))


def test_training_is_refused(tmp_path):
    with pytest.raises(RuntimeError, match='cannot be trained'):
        ensemble(member(tmp_path, 'a'))(crops(), building.samples(), mode='loss')


def test_stock_runner_tests_an_ensemble(tmp_path):
    generate(tmp_path / 'coco', train=1, val=3, workers=1, image_size=(128, 96), progress=False)
    pipeline = [
        dict(type='LoadImage'),
        dict(type='mmpose_mspn.WidenBBox', fixed=(.09, .135)),
        dict(type='TopdownAffine', input_size=INPUT),
        dict(type='PackPoseInputs'),
    ]
    annotations = str(tmp_path / 'coco/annotations/person_keypoints_val2017.json')
    runner = Runner.from_cfg(Config(dict(
        default_scope='mmpose',
        work_dir=str(tmp_path / 'work'),
        env_cfg=dict(dist_cfg=dict(backend='nccl')),  # which mmengine 0.7 does not set itself
        model=dict(type='mmpose_mspn.EnsemblePoseEstimator',
                   members=[member(tmp_path, 'a'), member(tmp_path, 'b', seed=1)],
                   decoder=building.codec(INPUT), test_cfg=dict(flip_test=True, shift_test=[(0, 0), (2, 0)])),
        test_dataloader=dict(
            batch_size=2, sampler=dict(type='DefaultSampler', shuffle=False), dataset=dict(
                type='mmpose_mspn.CocoDataset', ann_file=annotations, test_mode=True, pipeline=pipeline,
                data_prefix=dict(img=str(tmp_path / 'coco/val2017')))),
        test_evaluator=dict(type='CocoMetric', ann_file=annotations),
        test_cfg=dict())))
    assert 0 <= runner.test()['coco/AP'] <= 1
    assert isinstance(runner.model, ensemble_module.EnsemblePoseEstimator)
