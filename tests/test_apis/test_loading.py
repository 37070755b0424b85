"""Devices of detectors."""
import pytest
from mmcv.ops import get_compiling_cuda_version
from mmengine.logging import MMLogger

from mmpose_mspn.apis import loading
from mmpose_mspn.apis.loading import detector_device


@pytest.mark.skipif(get_compiling_cuda_version() != 'not available', reason='mmcv was built for GPUs')
def test_a_detector_runs_on_the_cpu_where_mmcv_was_built_for_it_alone(capfd, monkeypatch):
    monkeypatch.setattr(MMLogger, '_instance_dict', {})  # a logger of an earlier test writes elsewhere
    assert detector_device('cuda:0') == 'cpu'
    said = capfd.readouterr()
    assert 'the detector runs on the CPU, and the pose estimator on cuda:0' in said.out + said.err


def test_a_detector_shares_the_device_where_mmcv_was_built_for_it(monkeypatch):
    assert detector_device('cpu') == 'cpu'
    monkeypatch.setattr(loading, 'get_compiling_cuda_version', lambda: '12.1')
    assert detector_device('cuda:1') == 'cuda:1'
