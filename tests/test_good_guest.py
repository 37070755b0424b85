"""Importing the package registers its scope, and leaves everything else in the program as mmpose leaves it.

Each test runs in new processes. ``STATE`` describes a process: what is there before the import must be the same after
it, or what mmpose makes of it.
"""
import json
import subprocess
import sys

MEND = '''
import torch, mmengine.logging
try:
    import torchvision
except RuntimeError:  # a CUDA build beside a CPU build of torch, which mmpose cannot be imported with
    import sys
    for name in [name for name in sys.modules if name.startswith('torchvision.')]:
        del sys.modules[name]
    for name in ('nms', 'qnms'):
        torch.library.define('torchvision::' + name, '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
'''
MMPOSE = '''
import mmpose.apis, mmpose.codecs, mmpose.datasets, mmpose.engine, mmpose.evaluation, mmpose.models
import mmpose.registry, mmpose.visualization, mmengine.runner
'''
STATE = '''
import json, os, sys, threading, warnings
def state():
    import matplotlib, torch, mmengine.registry, mmengine.config
    from mmengine.registry import Registry
    from mmengine.runner import CheckpointLoader
    import mmdet.registry, mmpose.registry
    def functions(holder):
        return {name: id(value) for name, value in vars(holder).items() if callable(value)}
    registries = {}
    for package in (mmengine, mmpose, mmdet):
        for name, value in vars(package.registry).items():
            if isinstance(value, Registry):
                registries[f'{package.__name__}.{name}'] = dict(
                    {key: f'{kind.__module__}.{kind.__qualname__}' for key, kind in value.module_dict.items()},
                    children=sorted(scope for scope in value.children if scope != 'mmpose_mspn'))
    modules = {name: type(module).__name__ for name, module in sys.modules.items()
               if name.split('.')[0] in ('mmengine', 'mmpose', 'mmdet', 'mmcv', 'torch', 'matplotlib', 'scipy')}
    config = mmengine.config.Config
    return dict(
        meta_path=[getattr(finder, '__name__', type(finder).__name__) for finder in sys.meta_path],
        config={name: str(value) for name, value in vars(config).items()},
        loaders={prefix: f'{loader.__module__}.{loader.__name__}'
                 for prefix, loader in CheckpointLoader._schemes.items()},
        registries=registries, module_types=sorted(set(modules.values())),
        torch={name: str(value) for holder in (torch, torch.hub, torch.optim, torch.serialization)
               for name, value in functions(holder).items() if name != '__getattr__'},
        environment=dict(os.environ), threads=threading.active_count(),
        filters=[repr(entry) for entry in warnings.filters], backend=matplotlib.rcParams['backend'])
'''


def run(code: str) -> str:
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_with_mmpose_imported_first_nothing_changes():
    """mmengine's loaders get one of ours more, for the names that begin with this package's."""
    differences = json.loads(run(
        f'{MEND}{MMPOSE}{STATE}\nbefore, modules = state(), set(sys.modules)\nimport mmpose_mspn\nafter = state()\n'
        'assert after["loaders"].pop("mmpose_mspn://") == "mmpose_mspn.checkpoints.reader.load_from_mmpose_mspn"\n'
        'new = sorted(name for name in set(sys.modules) - modules if name.split(".")[0] != "mmpose_mspn")\n'
        'print(json.dumps([{key: [before[key], after[key]] for key in before if before[key] != after[key]}, new]))'))
    assert differences == [{}, []]


def test_imported_first_it_leaves_what_mmpose_leaves():
    """Ids differ from process to process, so functions are compared by their names and modules here."""
    show = '\nfound = state()\nfound["torch"] = sorted(found["torch"])\nfound["config"] = sorted(found["config"])\n' \
           'print(json.dumps(found))'
    plain = json.loads(run(f'{MEND}{MMPOSE}{STATE}{show}'))
    ours = json.loads(run(f'import mmpose_mspn{MEND}{MMPOSE}{STATE}{show}'))
    assert {key: (plain[key], ours[key]) for key in plain if plain[key] != ours[key]} == {}


def test_alone_it_imports_nothing_that_mmengine_and_torch_do_not():
    """No class of mmpose is imported, and none of ours: the registries import them when a config names one."""
    loaded, before, after = json.loads(run(
        'import json, os, sys, threading\nimport cv2, torch, mmengine.registry\n'  # cv2 sets variables of its own
        'def process():\n    return [dict(os.environ), threading.active_count()]\n'
        'before = process()\nimport mmpose_mspn\nprint(json.dumps([sorted(sys.modules), before, process()]))'))
    assert before == after
    roots = {name.split('.')[0] for name in loaded}
    assert not roots & {'mmdet', 'matplotlib', 'sympy', 'scipy', 'torchvision', 'pkg_resources', 'xtcocotools'}
    ours = {name for name in loaded if name.startswith('mmpose_mspn.')}
    assert {name.split('.')[1] for name in ours} <= {'checkpoints', 'compat', 'registry', 'utils', 'version'}


def test_registries_find_our_types_without_an_import():
    names = dict(MODELS='MSPN', DATASETS='CocoDataset', TRANSFORMS='HalfBody', HOOKS='AtomicCheckpointHook',
                 METRICS='CocoMetric', OPTIM_WRAPPERS='CPUAmpOptimWrapper', FUNCTIONS='stack_samples')
    assert set(run('from mmengine import registry\n' + ''.join(
        f'print(registry.{kind}.get("mmpose_mspn.{name}").__module__.split(".")[0])\n' for kind, name in names.items()
    )).split()) == {'mmpose_mspn'}


def test_bare_names_are_those_of_mmpose_behind_a_base_of_the_package():
    """mmengine builds the parts of such a base within the scope ``mmpose_mspn``."""
    assert run(
        'from mmengine import registry\nfrom mmengine.registry import DefaultScope\nimport mmpose.models\n'
        'with DefaultScope.overwrite_default_scope("mmpose_mspn"):\n'
        '    for name in ("MSPN", "mmpose_mspn.MSPN", "RSN", "mmpose.MSPN"):\n'
        '        with registry.MODELS.switch_scope_and_registry(None) as models:\n'
        '            print(models.get(name).__module__.split(".")[0])\n').split() == [
                'mmpose', 'mmpose_mspn', 'mmpose', 'mmpose']


def test_what_other_packages_build_and_inspect_works():
    """Sharded optimizers, mmdet's samplers, and what stand-ins for modules break."""
    assert run(
        f'import mmpose_mspn{MEND}{MMPOSE}\n'
        'import copy, inspect, importlib.util\nfrom mmengine.registry import OPTIMIZERS, MODEL_WRAPPERS\n'
        'zero = OPTIMIZERS.get("ZeroRedundancyOptimizer")\nassert inspect.isclass(zero)\n'
        'assert "params" in inspect.signature(zero).parameters and issubclass(zero, torch.optim.Optimizer)\n'
        'assert inspect.isclass(MODEL_WRAPPERS.get("MMFullyShardedDataParallel"))\n'
        'from mmdet.registry import DATA_SAMPLERS\nassert inspect.isclass(DATA_SAMPLERS.get("MultiDataSampler"))\n'
        'assert importlib.util.find_spec("mmpose.apis") and importlib.util.find_spec("scipy.stats")\n'
        'assert inspect.isfunction(mmpose.apis.convert_keypoint_definition)\n'
        'assert len(copy.deepcopy(OPTIMIZERS.module_dict)) == len(OPTIMIZERS.module_dict)\nprint("fine")'
    ).strip() == 'fine'


def test_stock_runners_resume_and_code_does_not_run(tmp_path):
    """What torch refuses from 2.6 is allowed, what could run code is refused by torch as before."""
    code = ('import torch, mmpose_mspn\nfrom mmengine.logging import HistoryBuffer\nimport numpy as np\n'
            'from mmengine.runner import CheckpointLoader\npath = PATH\n'
            'torch.save(dict(hub=HistoryBuffer([1.], [1]), best=np.float64(3.)), path)\n'
            'assert CheckpointLoader.load_checkpoint(path)["hub"].current() == 1\n'
            'for content in (torch.ones(2), [1, torch.ones(1)], {1: torch.ones(1)}):\n'
            '    torch.save(content, path)\n    assert type(CheckpointLoader.load_checkpoint(path)) is type(content)\n'
            'print("fine")')
    assert run(f'PATH = {str(tmp_path / "a.pth")!r}\n{code}').endswith('fine\n')
