"""Two gloo processes: --fast trains as without it, also with gradient accumulation."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmpose_mspn.engine.distributed import set_static_graph, set_wrapper
from tests.launching import two_processes

SCRIPT = '''
import sys
from pathlib import Path
import torch
from mmengine.config import Config
from torch import distributed
from mmpose_mspn.engine.distributed import end_launch, prepare_launch, set_static_graph
from tests.test_engine.toy import runner

folder, static, counts, hook = sys.argv[1], sys.argv[2] == 'static', int(sys.argv[3]), sys.argv[4:]
cfg = Config(dict(launcher='pytorch', optim_wrapper=dict(accumulative_counts=counts)))
prepare_launch(cfg)
if static:
    set_static_graph(cfg)
run = runner(Path(folder), 4, optim=dict(accumulative_counts=counts), launcher='pytorch',
             hooks=[dict(type=f'mmpose_mspn.{name}') for name in hook], cfg=cfg,
             env_cfg=dict(dist_cfg=dict(backend='gloo')), checkpoint=dict(interval=9))
run.train()
torch.save(run.model.module.state_dict(), f'{folder}/rank_{distributed.get_rank()}.pth')
said = f'static {run.model.static_graph} broadcast {run.model.broadcast_buffers}'
open(f'{folder}/said_{distributed.get_rank()}', 'w').write(said)
del run
end_launch()
'''


UNFINISHED = '''
import time
import torch
from torch import distributed
from mmpose_mspn.engine.distributed import destroy_process_group

distributed.init_process_group('gloo')
if distributed.get_rank() == 0:  # its last tensor ends in gloo's thread, while this process waits for the thread
    distributed.all_reduce(torch.ones(1), async_op=True)
else:
    time.sleep(1)
    distributed.all_reduce(torch.ones(1))
destroy_process_group()
'''


def launch(folder: Path, *arguments: str) -> tuple:
    """Train in two processes; the weights of both, and what they print about the wrapper."""
    folder.mkdir()
    (folder / 'train.py').write_text(SCRIPT)
    for done in two_processes(folder / 'train.py', folder, *arguments, CUDA_VISIBLE_DEVICES=''):
        assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(folder / f'rank_{rank}.pth') for rank in (0, 1)], [
        (folder / f'said_{rank}').read_text() for rank in (0, 1)]


@pytest.mark.parametrize('counts', ['1', '2'])
def test_two_processes_keep_their_own_statistics(tmp_path, counts):
    """Weights are shared, the statistics of norms are each process's own, and --fast changes neither."""
    plain, said = launch(tmp_path / 'plain', 'plain', counts)
    assert said == ['static False broadcast False'] * 2
    assert torch.equal(plain[0]['layers.0.weight'], plain[1]['layers.0.weight'])
    assert not torch.equal(plain[0]['layers.1.running_mean'], plain[1]['layers.1.running_mean'])
    fast, said = launch(tmp_path / 'fast', 'static', counts, 'ChannelsLastHook')
    assert said == [f'static {counts == "1"} broadcast False'] * 2
    for one, other in zip(plain, fast):
        assert all(torch.allclose(one[key], other[key], rtol=1e-5, atol=1e-6) for key in one)


def test_an_exchange_that_goes_on_does_not_keep_the_group_from_its_end():
    for done in two_processes('-c', UNFINISHED):
        assert done.returncode == 0, done.stderr


def test_the_defaults_of_mmengine_are_kept():
    cfg = Config(dict(find_unused_parameters=True))
    set_wrapper(cfg, static_graph=True)
    assert cfg.model_wrapper_cfg == dict(type='MMDistributedDataParallel', broadcast_buffers=False,
                                         find_unused_parameters=True, static_graph=True)
    cfg = Config(dict(model_wrapper_cfg=dict(type='MMDistributedDataParallel', bucket_cap_mb=5)))
    set_wrapper(cfg, type='mmpose_mspn.CPUDistributedDataParallel')  # mmengine adds nothing to a given one
    assert cfg.model_wrapper_cfg == dict(type='mmpose_mspn.CPUDistributedDataParallel', bucket_cap_mb=5)


@pytest.mark.parametrize('given, static', [
    (dict(), True),
    (dict(optim_wrapper=dict(accumulative_counts=4)), False),
    (dict(find_unused_parameters=True), False),
    (dict(model_wrapper_cfg=dict(find_unused_parameters=True)), False),
    (dict(launcher='none'), False),
])
def test_a_static_graph_is_used_where_it_can_be(given, static):
    cfg = Config(dict(dict(launcher='pytorch', optim_wrapper=dict()), **given))
    set_static_graph(cfg)
    assert bool((cfg.get('model_wrapper_cfg') or {}).get('static_graph')) == static


DIFFERENT = """
import os
from mmengine.config import Config
from torch import distributed
from mmpose_mspn.engine.distributed import refuse_different_configs
distributed.init_process_group('gloo')
rank = distributed.get_rank()
refuse_different_configs(Config(dict(work_dir=str(rank), model=dict(file=f'/disk{rank}/a', f=[1, 2]))))
try:
    refuse_different_configs(Config(dict(model=dict(a=[1, rank]))))
except ValueError as error:
    print(error)
"""


def test_processes_with_different_configs_are_told_the_setting():
    for run in two_processes('-c', DIFFERENT):
        assert 'model.a.1 is 0 in process 0 and 1 in process 1' in run.stdout, run.stderr
