"""tools/convert_checkpoint.py as a real process."""
import subprocess

import pytest
import torch
from torch import nn

from mmpose_mspn.checkpoints import convert
from tests.building import backbone, head
from tests.launching import python
from tests.planted import plant


def run(*arguments: object) -> subprocess.CompletedProcess:
    return python('tools/convert_checkpoint.py', *arguments)


@pytest.fixture
def weights() -> dict:
    return nn.ModuleDict(dict(backbone=backbone(1), head=head(1))).state_dict()


def test_converts_and_does_not_overwrite(tmp_path, weights):
    torch.save(dict(model=convert(weights, 'official')), tmp_path / 'official.pth')
    done = run(tmp_path / 'official.pth', tmp_path / 'ours.pth')
    assert done.returncode == 0, done.stderr
    assert done.stdout == f'{tmp_path}/ours.pth: {len(weights)} tensors in the layout of mmpose_mspn\n'
    written = torch.load(tmp_path / 'ours.pth', weights_only=True)['state_dict']
    assert all(torch.equal(written[key], weights[key]) for key in weights)
    again = run(tmp_path / 'official.pth', tmp_path / 'ours.pth')
    assert again.returncode == 1 and again.stderr.startswith('error: ') and '--force' in again.stderr
    assert 'Traceback' not in again.stderr


def test_code_in_the_file_is_refused_in_one_line(tmp_path, weights):
    folder = plant(tmp_path / 'planted.pth', weights)
    refused = run(tmp_path / 'planted.pth', tmp_path / 'out.pth', '--to', 'mmpose')
    assert refused.returncode == 1 and refused.stderr.count('\n') == 1 and 'more than weights' in refused.stderr
    assert not folder.exists() and not (tmp_path / 'out.pth').exists()
