"""What mmengine and mmpose import of large packages is imported when it is used, and not before."""
import copy
import pickle
import subprocess
import sys
from importlib import import_module
from typing import Optional

import pytest

from mmpose_mspn.on_demand import OnDemand, StandIn, stand_ins

HEAVY = '''
class Shape:
    corners = 4

    def __init__(self, size=1):
        self.size = size


def area(size):
    return size * size
'''


@pytest.fixture
def user(tmp_path, monkeypatch):
    """A module that has taken ``Shape`` and ``area`` from a stand-in of ``heavy_module``."""
    (tmp_path / 'heavy_module.py').write_text(HEAVY)
    (tmp_path / 'other_user.py').write_text('from heavy_module import Shape\n')
    (tmp_path / 'user_module.py').write_text('import other_user\nfrom heavy_module import Shape, area\n')
    monkeypatch.syspath_prepend(tmp_path)
    with stand_ins({'heavy_module': ('Shape', 'area')}):
        yielded = import_module('user_module')
    assert 'heavy_module' not in sys.modules
    yield yielded
    for name in ('heavy_module', 'user_module', 'other_user'):
        sys.modules.pop(name, None)


def test_a_call_imports_the_module_and_the_real_object_takes_every_place(user):
    assert isinstance(user.Shape, OnDemand) and user.Shape is sys.modules['other_user'].Shape
    made = user.Shape(size=3)
    import heavy_module
    assert type(made) is heavy_module.Shape and made.size == 3
    assert user.Shape is sys.modules['other_user'].Shape is heavy_module.Shape
    assert isinstance(user.area, OnDemand) and user.area(3) == 9 and user.area is heavy_module.area


def test_attributes_subclasses_and_pickles(user):
    waiting = user.Shape
    assert waiting.corners == 4

    class Square(waiting):
        pass

    import heavy_module
    assert Square.__bases__ == (heavy_module.Shape, )
    assert pickle.loads(pickle.dumps(waiting)) is heavy_module.Shape


def test_what_only_looks_at_it_imports_nothing(user):
    waiting = user.Shape
    assert not isinstance(1, waiting) and not isinstance(1, (str, waiting)) and not issubclass(int, waiting)
    assert Optional[waiting] and not hasattr(waiting, '__wrapped__') and copy.copy(dict(a=1, b=waiting))
    assert repr(waiting) == '<heavy_module.Shape, imported on demand>' and waiting.__name__ == 'Shape'
    assert 'heavy_module' not in sys.modules


def test_isinstance_after_another_part_has_imported_the_module(user):
    waiting = user.Shape
    import heavy_module
    assert isinstance(heavy_module.Shape(), waiting) and issubclass(heavy_module.Shape, waiting)
    assert not isinstance(1, waiting)


def test_other_names_and_imported_modules_have_no_stand_in(tmp_path, monkeypatch):
    (tmp_path / 'heavy_module.py').write_text(HEAVY)
    monkeypatch.syspath_prepend(tmp_path)
    with stand_ins({'heavy_module': ('area', )}):
        assert isinstance(import_module('heavy_module'), StandIn)
        from heavy_module import Shape
        assert Shape().size == 1
    with stand_ins({'heavy_module': ('area', )}):
        from heavy_module import area
    assert area(2) == 4 and not isinstance(area, OnDemand)
    with stand_ins({'no_module_of_this_name': ('name', )}):
        from no_module_of_this_name import name
    with pytest.raises(ImportError):
        name()
    del sys.modules['heavy_module']


LIBRARIES = '''
import pickle, sys
import numpy as np, torch
by_torch = set(sys.modules)
import mmpose_mspn

waiting = {'scipy.stats', 'scipy.io', 'sympy', 'matplotlib.pyplot', 'mmdet', 'mmpose.apis', 'torchvision',
           'torch.distributed.fsdp', 'torch.distributed.optim', 'torch._dynamo', 'matplotlib', 'pkg_resources',
           'onnx', 'onnxruntime', 'openvino', 'plotly'}
print('imported:', sorted(waiting & set(sys.modules) - by_torch))

import mmengine.model, mmengine.optim
from mmengine.registry import MODEL_WRAPPERS, OPTIMIZERS
assert not mmengine.model.is_model_wrapper(torch.nn.Linear(1, 1)) and 'torch.distributed.fsdp' not in sys.modules
class Mine(mmengine.model.MMFullyShardedDataParallel):
    pass
from torch.distributed.fsdp import FullyShardedDataParallel
real = mmengine.model.wrappers.fully_sharded_distributed.MMFullyShardedDataParallel
assert issubclass(Mine, FullyShardedDataParallel) and Mine.__bases__ == (real, )
assert mmengine.model.MMFullyShardedDataParallel is mmengine.model.wrappers.MMFullyShardedDataParallel is real
assert MODEL_WRAPPERS.get('MMFullyShardedDataParallel') is real
assert mmengine.model.is_model_wrapper(torch.nn.DataParallel(torch.nn.Linear(1, 1)))

import importlib.util
if importlib.util.find_spec('mmengine._strategy'):  # not in mmengine 0.7
    from mmengine.registry import STRATEGIES
    from mmengine._strategy.fsdp import FSDPStrategy
    assert isinstance(FSDPStrategy, type) and STRATEGIES.get('FSDPStrategy') is FSDPStrategy
    assert mmengine._strategy.FSDPStrategy is FSDPStrategy

waits = OPTIMIZERS.get('ZeroRedundancyOptimizer')
zero = pickle.loads(pickle.dumps(waits))
assert isinstance(zero, type) and OPTIMIZERS.get('ZeroRedundancyOptimizer') is zero

from mmpose.datasets.transforms import bottomup_transforms, common_transforms
assert common_transforms.RandomBBoxTransform._truncnorm(size=(3, 4)).shape == (3, 4)
import scipy.stats
assert common_transforms.truncnorm is bottomup_transforms.truncnorm is scipy.stats.truncnorm

from mmpose.models.heads.hybrid_heads import rtmo_head
assert rtmo_head.reduce_mean(torch.ones(1)) == 1
from mmpose.visualization import simcc_vis
assert simcc_vis.ToPILImage()(torch.zeros(3, 4, 5)).size == (5, 4)
import matplotlib
matplotlib.use('Agg')
from xtcocotools.coco import COCO
COCO().showAnns([dict(segmentation=[[0, 0, 4, 0, 4, 4]], iscrowd=0)])
import matplotlib.pyplot as plt
assert len(plt.gca().collections) == 2
from mmpose.visualization import local_visualizer_3d
assert local_visualizer_3d.convert_keypoint_definition(np.zeros((1, 17, 2)), 'coco', 'h36m').shape == (1, 17, 2)
print('fine')
'''


def run(code: str) -> str:
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_library_is_there_when_it_is_used_and_not_before():
    assert run(LIBRARIES).splitlines() == ['imported: []', 'fine']


def test_libraries_that_were_imported_before_are_the_real_ones():
    assert run('import mmengine.runner, mmpose.models, mmpose_mspn\n'
               'from mmpose_mspn.on_demand import OnDemand\n'
               'from mmengine.model import MMFullyShardedDataParallel as one\n'
               'from mmengine.registry import MODEL_WRAPPERS\n'
               'print(isinstance(one, type), MODEL_WRAPPERS.get("MMFullyShardedDataParallel") is one)'
               ).split() == ['True', 'True']
