"""mmpose's own interfaces with configs of this package."""
import subprocess
import sys
from pathlib import Path

import mmpose
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.runner import load_checkpoint
from mmpose.apis import MMPoseInferencer, inference_topdown, init_model
from mmpose.registry import DATASETS, MODELS, VISUALIZERS

from mmpose_mspn.apis.config import load_config
from mmpose_mspn.synthetic_people import generate
from tests.launching import environment
from tests.places import DEMO

CONFIG = str(DEMO)


@pytest.fixture(scope='module')
def files(tmp_path_factory) -> Path:
    """A folder with two generated images and a checkpoint of random weights."""
    root = tmp_path_factory.mktemp('apis')
    generate(root, train=1, val=2, workers=1, progress=False)
    model = MODELS.build(load_config(CONFIG).model)
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict(), meta={}), root / 'model.pth')
    return root


@pytest.fixture
def image(files) -> str:
    return str(next((files / 'val2017').glob('*.jpg')))


def fresh(*command: object, cwd: Path) -> str:
    """What a command of a new interpreter prints, which has imported nothing of this package."""
    done = subprocess.run([sys.executable, *map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=300,
                          env=environment())
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_mmposes_own_train_needs_no_import_by_hand(files, tmp_path):
    train = Path(mmpose.__file__).parent / '.mim/tools/train.py'
    fresh(train, CONFIG, '--work-dir', 'work', '--no-validate', '--cfg-options',
          f'train_dataloader.dataset.data_root={files}/', 'train_dataloader.batch_size=2',
          'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False', 'train_cfg.max_iters=2',
          'default_hooks.checkpoint.interval=2', cwd=tmp_path)
    assert (tmp_path / 'work/iter_2.pth').is_file()


def test_mmposes_own_init_model_behind_the_import_of_this_package(files, tmp_path):
    given = f'{CONFIG!r}, {str(files / "model.pth")!r}, "cpu"'
    printed = fresh('-c', 'import mmpose_mspn; from mmpose.apis import init_model; '
                    f'print(type(init_model({given})).__module__)', cwd=tmp_path)
    assert printed.splitlines()[-1] == 'mmpose_mspn.models.pose_estimators.topdown'


def test_init_model_inference_and_visualizer(files, image):
    model = init_model(CONFIG, str(files / 'model.pth'), device='cpu')
    sample, = inference_topdown(model, image, np.array([[20, 20, 200, 240]]), 'xyxy')
    assert sample.pred_instances.keypoints.shape == (1, 17, 2)
    assert np.isfinite(sample.pred_instances.keypoints).all()
    visualizer = VISUALIZERS.build(dict(type='PoseLocalVisualizer', name='test'))
    visualizer.set_dataset_meta(model.dataset_meta)
    picture = np.full((256, 320, 3), 127, np.uint8)
    drawn = visualizer.add_datasample('test', picture, sample, draw_gt=False, kpt_thr=0)
    assert (drawn != picture).any()


def test_inferencer(files, image):
    inferencer = MMPoseInferencer(
        pose2d=CONFIG, pose2d_weights=str(files / 'model.pth'), det_model='whole_image', device='cpu')
    result = next(inferencer(image))
    assert np.array(result['predictions'][0][0]['keypoints']).shape == (17, 2)


def test_load_checkpoint_is_strict(files):
    model = MODELS.build(load_config(CONFIG).model)
    load_checkpoint(model, str(files / 'model.pth'), strict=True)


def test_the_stock_estimator_runs_the_config_too(files):
    cfg = load_config(CONFIG, data_root=str(files))
    model = MODELS.build({**cfg.model, 'type': 'TopdownPoseEstimator'})
    model.eval()
    data = DATASETS.build({**cfg.test_dataloader.dataset, 'bbox_file': None})
    assert model.test_step(pseudo_collate([data[0]]))[0].pred_instances.keypoints.shape == (1, 17, 2)
