"""The changes that --fast, --low-memory and --cache-images make to a config."""
import pytest
import torch
from mmengine.config import Config

from mmpose_mspn.apis import options
from mmpose_mspn.apis.config import load_config
from mmpose_mspn.apis.options import (
    use_amp,
    use_compile,
    use_fast_test,
    use_fast_training,
    use_image_cache,
    use_low_memory,
)
from mmpose_mspn.engine import AcceleratedTestHook
from mmpose_mspn.utils.errors import ConfigError
from tests.places import ROOT

CONFIG = str(ROOT / 'configs/body_2d_keypoint/topdown_heatmap/coco/td-hm_2xmspn50_8xb32-96k_coco-256x192.py')


def hooks(cfg: Config) -> list:
    return [hook['type'] for hook in cfg.custom_hooks]  # mmengine 0.7 keeps plain dictionaries


@pytest.mark.parametrize('launcher, wrapped', [('none', False), ('pytorch', True)])
def test_fast_training(launcher, wrapped):
    cfg = load_config(CONFIG)
    before = hooks(cfg)
    cfg.launcher = launcher
    use_fast_training(cfg)
    use_fast_training(cfg)  # a second call adds nothing
    added = ['ChannelsLastHook'] + ([] if torch.cuda.is_available() else ['FreedMemoryHook'])
    assert cfg.optim_wrapper.optimizer.fused and hooks(cfg) == [*before, *(f'mmpose_mspn.{name}' for name in added)]
    assert bool(cfg.get('model_wrapper_cfg', {}).get('static_graph')) == wrapped


@pytest.fixture(params=[(7, 5), (8, 0), (9, 0)], ids=lambda number: f'capability {number[0]}.{number[1]}')
def gpu(request, monkeypatch) -> tuple:
    """A GPU of this compute capability, as far as configs depend on it."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device=None: request.param)
    monkeypatch.setattr(options, 'can_fuse', lambda optimizer: True)
    return request.param


def test_amp_computes_in_bf16_where_the_gpu_does(gpu):
    cfg = load_config(CONFIG)
    use_amp(cfg)
    expected = ('float16', 'dynamic') if gpu < (8, 0) else ('bfloat16', 1.)
    assert (cfg.optim_wrapper.type, cfg.optim_wrapper.dtype, cfg.optim_wrapper.loss_scale) == (
        'AmpOptimWrapper', *expected)
    cfg = load_config(CONFIG, dict(optim_wrapper=dict(dtype='float16')))
    use_amp(cfg)
    assert (cfg.optim_wrapper.dtype, cfg.optim_wrapper.loss_scale) == ('float16', 'dynamic')


@pytest.mark.parametrize('deterministic', [False, True])
def test_fast_training_on_a_gpu(gpu, deterministic):
    cfg = load_config(CONFIG, dict(randomness=dict(deterministic=deterministic, seed=0)))
    cfg.launcher = 'none'
    use_fast_training(cfg)
    assert cfg.env_cfg.get('cudnn_benchmark', False) == (not deterministic)
    assert cfg.env_cfg.dist_cfg.backend == 'nccl'  # the other settings stay
    assert cfg.train_dataloader.pin_memory and cfg.val_dataloader.pin_memory
    assert 'mmpose_mspn.FreedMemoryHook' not in hooks(cfg)


def test_an_optimizer_that_cannot_be_fused_is_refused():
    cfg = load_config(CONFIG)
    cfg.optim_wrapper.optimizer.type = 'RMSprop'
    with pytest.raises(ValueError, match='--fast fuses Adam, AdamW, SGD, got optim_wrapper.optimizer.type RMSprop'):
        use_fast_training(cfg)


@pytest.mark.parametrize('fast', [False, True])
def test_low_memory(fast):
    cfg = load_config(CONFIG)
    cfg.launcher = 'none'
    if fast:
        use_fast_training(cfg)
    use_low_memory(cfg)
    assert cfg.model.backbone.with_cp and cfg.model.head.with_cp
    assert [hook for hook in cfg.custom_hooks if hook['type'] == 'mmpose_mspn.FreedMemoryHook'] == [
        dict(type='mmpose_mspn.FreedMemoryHook', keep=False)]


def test_low_memory_needs_a_part_that_recomputes():
    cfg = load_config(CONFIG)
    cfg.model.backbone.type, cfg.model.head.type = 'CPM', 'HeatmapHead'
    with pytest.raises(ValueError, match='option with_cp, got CPM and HeatmapHead'):
        use_low_memory(cfg)


def test_fast_test():
    cfg = load_config(CONFIG)
    use_fast_test(cfg, 'bfloat16')
    assert cfg.custom_hooks[-1] == dict(type='mmpose_mspn.AcceleratedTestHook', dtype='bfloat16')


@pytest.mark.parametrize('configured, expected', [
    (None, dict(backend='inductor', mode='reduce-overhead')),
    (True, dict(backend='inductor', mode='reduce-overhead')),
    (dict(backend='aot_eager', dynamic=False), dict(backend='aot_eager', dynamic=False, mode='reduce-overhead')),
])
def test_compile_is_mmengines(configured, expected):
    cfg = load_config(CONFIG)
    cfg.compile = configured
    use_compile(cfg, 'reduce-overhead')
    assert cfg.compile == expected


def test_another_type_is_refused():
    with pytest.raises(ValueError, match="dtype must be one of float32, bfloat16, float16, int8, got 'int4'"):
        AcceleratedTestHook('int4')


@pytest.mark.parametrize('name, steps', [('td-hm_2xmspn50_8xb32-96k_coco-256x192.py', 1),
                                         ('td-hm_4xmspn50_8xb32-96k_coco-aic-384x288.py', 1)])
def test_image_cache(name, steps, tmp_path):
    cfg, before = (load_config(str(ROOT / 'configs/body_2d_keypoint/topdown_heatmap/coco' / name)) for _ in range(2))
    use_image_cache(cfg, str(tmp_path), 12.5)
    kept = dict(type='mmpose_mspn.LoadImage', cache_folder=str(tmp_path), cache_gb=12.5)
    assert str(cfg.train_dataloader).count(str(kept)) == steps
    assert str(cfg.val_dataloader).count(str(kept)) == 1 and cfg.test_dataloader == before.test_dataloader
    use_image_cache(cfg, str(tmp_path), 3)
    assert str(cfg.train_dataloader).count(str(dict(kept, cache_gb=3))) == steps


def test_image_cache_of_a_test(tmp_path):
    cfg, before = load_config(CONFIG), load_config(CONFIG)
    use_image_cache(cfg, str(tmp_path), splits=('test', ))
    assert cfg.test_dataloader.dataset.pipeline[0] == dict(type='mmpose_mspn.LoadImage', cache_folder=str(tmp_path))
    assert cfg.train_dataloader == before.train_dataloader and cfg.val_dataloader == before.val_dataloader


def test_image_cache_without_validation(tmp_path):
    cfg = load_config(CONFIG)
    cfg.val_dataloader = None  # --no-validate
    use_image_cache(cfg, str(tmp_path), 2)
    assert cfg.train_dataloader.dataset.pipeline[0].cache_gb == 2


@pytest.mark.parametrize('gigabytes', [0, -2., float('inf')])
def test_a_cache_without_a_size_is_refused(gigabytes, tmp_path):
    with pytest.raises(ConfigError, match=f'--cache-gb .*got {gigabytes}'):
        use_image_cache(load_config(CONFIG), str(tmp_path), gigabytes)


def test_a_cache_needs_a_folder(tmp_path):
    """In earlier versions the option took a number of GB."""
    with pytest.raises(ConfigError, match='--cache-images 4 '):
        use_image_cache(load_config(CONFIG), '4')


def test_a_cache_needs_the_step_that_loads_images(tmp_path):
    cfg = load_config(CONFIG)
    cfg.train_dataloader.dataset.pipeline = cfg.train_dataloader.dataset.pipeline[1:]
    with pytest.raises(ConfigError, match='--cache-images .* train_dataloader'):
        use_image_cache(cfg, str(tmp_path))
