"""An exported model behind load, predict and tools/infer.py: the results of the runtime, and of PyTorch."""
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

import mmpose_mspn
import tests.exporting  # noqa: F401
from mmpose_mspn.apis.inference import infer
from tests.model_files import save_random, write_config

BOXES = [[10, 5, 40, 70], [50.5, 20, 30, 55.25], [-8, -3, 60, 40]]


@pytest.fixture(scope='module')
def files(tmp_path_factory) -> Path:
    """A folder with a checkpoint, the same model exported, and two images."""
    import mspn_runtime  # noqa: F401
    root = tmp_path_factory.mktemp('exported')
    config = write_config(root / 'config.py', stages=1)
    from mmpose.datasets.datasets.utils import parse_pose_metainfo
    save_random(config, root / 'model.pth', dataset_meta=parse_pose_metainfo(dict(from_file='coco.py')),
                cfg=Config.fromfile(config).pretty_text)
    draw = np.random.default_rng(0)
    (root / 'images').mkdir()
    for name in ('a.png', 'b.png'):
        cv2.imwrite(str(root / 'images' / name), draw.integers(0, 256, (80, 96, 3), dtype=np.uint8))
    mmpose_mspn.export(mmpose_mspn.load(root / 'model.pth', device='cpu'), root / 'model.onnx')
    return root


def test_the_same_object_with_the_same_results(files):
    from mspn_runtime import Pose
    exported, trained = mmpose_mspn.load(files / 'model.onnx'), mmpose_mspn.load(files / 'model.pth', device='cpu')
    for name in ('names', 'skeleton', 'flip_pairs', 'input_size'):
        assert getattr(exported, name) == getattr(trained, name)
    image = cv2.imread(str(files / 'images/a.png'))
    found = exported.predict(image, BOXES)
    raw = Pose(files / 'model.onnx')(image, BOXES)
    np.testing.assert_array_equal(np.concatenate([found.keypoints, found.scores[..., None]], -1), raw)
    np.testing.assert_allclose(found.keypoints, trained.predict(image, BOXES).keypoints, atol=1e-3)
    people = trained.predict(image, BOXES)
    assert (found.draw(0) == exported.drawer(image, people.keypoints, people.scores, 0)).all()
    paths = sorted((files / 'images').iterdir())
    assert [len(one) for one in exported.predict(paths, [BOXES, np.zeros((0, 4))])] == [3, 0]
    assert len(list(exported.predict(files / 'images'))) == 2


def test_what_load_returns_exports_the_plain_model(files, tmp_path):
    plain = mmpose_mspn.load(files / 'model.pth', device='cpu', fast=False)
    assert plain.exportable is plain.network
    fast = mmpose_mspn.load(files / 'model.pth', device='cpu')
    assert fast.exportable is not fast.network
    exported = fast.exportable.state_dict()
    assert all(torch.equal(exported[key], value) for key, value in plain.network.state_dict().items())
    with pytest.raises(ValueError, match='must be a top-down pose estimator, got OnnxPoseModel'):
        mmpose_mspn.export(mmpose_mspn.load(files / 'model.onnx'), tmp_path / 'again.onnx')


def test_infer_draws_it(files, tmp_path):
    counts = infer(files / 'images', None, None, tmp_path / 'onnx', model=files / 'model.onnx', kpt_thr=0)
    infer(files / 'images', None, None, tmp_path / 'torch', model=files / 'model.pth', device='cpu', kpt_thr=0)
    assert counts == dict(images=2, instances=2, skipped=0, skipped_boxes=0, other_files=0)
    found, expected = (json.loads((tmp_path / name / 'predictions.json').read_text()) for name in ('onnx', 'torch'))
    for name in ('keypoint_names', 'skeleton'):
        assert found[name] == expected[name]
    for one, other in zip(found['images'], expected['images']):
        np.testing.assert_allclose(one['instances'][0]['keypoints'], other['instances'][0]['keypoints'], atol=1e-3)
    drawn, plain = (cv2.imread(str(folder / 'a.png')) for folder in (tmp_path / 'onnx', files / 'images'))
    assert (drawn != plain).any()
    with pytest.raises(ValueError, match='report shows heatmaps, which the exported model'):
        infer(files / 'images', None, None, tmp_path / 'onnx', model=files / 'model.onnx', report=True)


@pytest.mark.parametrize('options, message', [
    (dict(config='config.py'), 'config is fixed in an exported model, got config=config.py'),
    (dict(device='cuda:0'), 'device is fixed'), (dict(dtype='bfloat16'), 'dtype is fixed')])
def test_options_of_checkpoints_are_refused(files, options, message):
    with pytest.raises(ValueError, match=message):
        mmpose_mspn.load(files / 'model.onnx', **options)


def test_other_files_are_refused(tmp_path):
    (tmp_path / 'broken.onnx').write_bytes(b'no model')
    with pytest.raises(ValueError, match='broken.onnx cannot be opened as a .onnx file of tools/export.py') as error:
        mmpose_mspn.load(tmp_path / 'broken.onnx')
    assert '\n' not in str(error.value)
