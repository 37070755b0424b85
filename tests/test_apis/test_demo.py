"""The demo with few training steps: its results and its picture."""
import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper

from mmpose_mspn.apis import demo
from mmpose_mspn.apis.demo import run_demo
from mmpose_mspn.engine import CPUAmpOptimWrapper
from mmpose_mspn.engine.optim_wrappers import computes_in_bf16
from mmpose_mspn.synthetic_people import generate
from tests.places import DEMO


def test_results_and_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generate('data/synthetic', train=4, val=4, workers=1, progress=False)
    short = tmp_path / 'short.py'
    short.write_text(f'''
_base_ = {str(DEMO)!r}
train_cfg = dict(max_iters=2)
train_dataloader = dict(batch_size=4)
test_dataloader = dict(num_workers=0, persistent_workers=False)
''')
    results = run_demo(str(short), 'work')
    written = json.loads(Path('work/results.json').read_text())
    assert written == results
    assert 0 <= written['metrics']['coco/AP'] <= 1
    assert set(written['seconds']) == {'data', 'training', 'evaluation', 'picture', 'total'}
    assert written['seconds']['total'] == pytest.approx(
        sum(value for part, value in written['seconds'].items() if part != 'total'), abs=0.2)
    assert written['precision'] == ('bfloat16' if computes_in_bf16() and not torch.cuda.is_available() else 'float32')
    picture = cv2.imread('work/predictions.png')
    assert min(picture.shape[:2]) > 500 and picture.std() > 10
    assert json.loads(Path('work/report/diagnosis.json').read_text())['metrics']['AP'] == written['metrics']['coco/AP']
    assert Path('work/report/index.html').is_file()


@pytest.mark.parametrize('has_bf16, wrapper, expected', [
    (True, dict(), 'mmpose_mspn.CPUAmpOptimWrapper'),
    (False, dict(), None),
    (True, dict(type='AmpOptimWrapper'), 'AmpOptimWrapper'),
    (True, dict(type='mmpose_mspn.CPUAmpOptimWrapper'), 'mmpose_mspn.CPUAmpOptimWrapper'),
])
def test_a_cpu_with_bf16_trains_in_it_unless_the_config_has_chosen(has_bf16, wrapper, expected, monkeypatch):
    monkeypatch.setattr(demo, 'computes_in_bf16', lambda: has_bf16)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    cfg = Config(dict(optim_wrapper=wrapper))
    demo.train_in_bf16(cfg)
    assert cfg.optim_wrapper.get('type') == expected


@pytest.mark.parametrize('wrapper, expected', [(OptimWrapper, 'float32'), (CPUAmpOptimWrapper, 'bfloat16')])
def test_the_precision_is_that_in_which_the_optimizer_wrapper_computes(wrapper, expected):
    model = torch.nn.Linear(1, 1)
    runner = SimpleNamespace(model=model, optim_wrapper=wrapper(torch.optim.SGD(model.parameters(), 1.)))
    assert demo.training_precision(runner) == expected
