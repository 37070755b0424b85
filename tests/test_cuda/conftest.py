"""These tests need a GPU, and are skipped without one. ``tests/test_fake_cuda`` runs everywhere."""
import pytest
import torch


@pytest.fixture(autouse=True)
def exact_float32(monkeypatch):
    """A GPU that computes float32 in float32, not in TF32."""
    if not torch.cuda.is_available():
        pytest.skip('there is no GPU')
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
