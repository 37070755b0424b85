"""The sets of versions that tools/setup_env.sh installs: what they promise is what the package accepts."""
import re

import pytest
from mmengine.utils import digit_version

from mmpose_mspn.compat import BOUNDS
from mmpose_mspn.deploy.onnx_file import LOWEST_TORCH
from tests.places import ROOT

SETS = ['pinned', 'lowest', 'newest']
EXPORT = {'onnx', 'onnxscript', 'onnxruntime', 'openvino'}
"""Packages of the export, which needs a newer torch than the lowest."""


def pins(name: str) -> dict:
    text = (ROOT / f'requirements/{name}.txt').read_text(encoding='utf-8')
    lines = [line.split(';')[0] for line in text.splitlines() if line and not line.startswith('#')]
    return dict(line.split('==') for line in lines)


@pytest.mark.parametrize('name', SETS)
def test_the_sets_pin_the_same_packages_within_the_bounds(name):
    # torchvision 0.16 imports requests, which it does not require.
    expected = pins('pinned').keys() - (EXPORT if name == 'lowest' else set())
    assert pins(name).keys() - {'requests'} == expected
    for package, (low, high) in BOUNDS.items():
        version = digit_version(pins(name)[package])
        assert digit_version(low) <= version and (high is None or version < digit_version(high)), package


def test_the_lowest_set_has_the_lowest_versions():
    for package, (low, _) in BOUNDS.items():
        assert digit_version(pins('lowest')[package]) == digit_version(low), package


def test_the_sets_with_the_packages_of_the_export_have_a_torch_that_exports():
    """Elsewhere the tests of the export are skipped."""
    lowest = digit_version('.'.join(map(str, LOWEST_TORCH)))
    for name in SETS:
        assert (digit_version(pins(name)['torch']) >= lowest) == EXPORT.issubset(pins(name)), name


def test_setup_py_requires_the_same_bounds():
    required = (ROOT / 'requirements/runtime.txt').read_text(encoding='utf-8').splitlines()
    for package, (low, high) in BOUNDS.items():
        assert f'{package}>={low}' + (f',<{high}' if high else '') in required


@pytest.mark.parametrize('name', SETS)
def test_the_script_finds_every_version_that_it_asks_for(name):
    script = (ROOT / 'tools/setup_env.sh').read_text(encoding='utf-8')
    asked = set(re.findall(r'\$\(pin (\w+)\)', script))
    assert asked == {'numpy', 'torch', 'torchvision', 'mmcv', 'mmpose'} and asked <= pins(name).keys()
