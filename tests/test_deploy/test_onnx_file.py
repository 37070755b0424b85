"""Where ONNX files cannot be written, one line says why, before anything else is computed."""
import pytest
import torch
from torch import nn
from torch.torch_version import TorchVersion

from mmpose_mspn import export
from mmpose_mspn.deploy import onnx_file
from mmpose_mspn.deploy.backends import accelerate_by

MESSAGE = r'with torch>=2\.6, but torch 2\.5\.1\+cu121 was found'


@pytest.mark.parametrize('version, writes', [('2.1.0', False), ('2.5.1+cu121', False), ('2.6.0', True),
                                             ('2.15.0+cpu', True)])
def test_the_versions_of_torch_that_write(monkeypatch, version, writes):
    monkeypatch.setattr(torch, '__version__', TorchVersion(version))
    monkeypatch.setattr(onnx_file, 'PACKAGES', ())
    if writes:
        onnx_file.require_exporter()
    else:
        with pytest.raises(ImportError, match=r'torch>=2\.6, but torch ' + version.replace('+', r'\+')):
            onnx_file.require_exporter()


def test_an_old_torch_is_named_before_the_model_is_looked_at(monkeypatch, tmp_path):
    monkeypatch.setattr(torch, '__version__', TorchVersion('2.5.1+cu121'))
    with pytest.raises(ImportError, match=MESSAGE):
        export(nn.Identity(), tmp_path / 'model.onnx')
    with pytest.raises(ImportError, match=MESSAGE):
        accelerate_by(nn.Identity(), 'onnxruntime')


def test_a_missing_package_is_named_with_the_extra_that_installs_it(monkeypatch):
    monkeypatch.setattr(onnx_file, 'find_spec', lambda name: None if name == 'onnxscript' else name)
    with pytest.raises(ImportError, match=r'^onnxscript must be installed: pip install "mmpose_mspn\[export\]"$'):
        onnx_file.require_packages('onnx', 'onnxscript')
    with pytest.raises(ImportError, match=r'pip install "mmpose_mspn\[openvino\]"$'):
        monkeypatch.setattr(onnx_file, 'find_spec', lambda name: None)
        onnx_file.require_packages('openvino')
