"""Imported by tests that write ONNX files: skips them where the installed torch is too old to write any."""
import pytest
import torch

from mmpose_mspn.deploy.onnx_file import LOWEST_TORCH

if torch.__version__ < LOWEST_TORCH:
    pytest.skip(f'torch {torch.__version__} does not write ONNX files', allow_module_level=True)

import onnx  # noqa: E402
import onnxruntime  # noqa: E402

__all__ = ['onnx', 'onnxruntime']
