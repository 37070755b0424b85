"""Everything that a Runner puts into a checkpoint can be loaded again."""
import enum
from collections import OrderedDict, namedtuple
from pathlib import Path

import mmpose
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmpose_mspn.checkpoints import read_checkpoint
from mmpose_mspn.engine.hooks.atomic_checkpoint_hook import as_plain
from tests.test_engine.toy import WithMeta, runner

ATOMIC = dict(type='mmpose_mspn.AtomicCheckpointHook')
METAINFOS = sorted(Path(mmpose.__file__).parent.glob('.mim/configs/_base_/datasets/*.py'))


def same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and one.shape == other.shape and bool(
            np.array_equal(one, other))
    if isinstance(one, np.generic):  # 'q' and 'l' are two classes of one type
        return isinstance(other, np.generic) and one.dtype == other.dtype and one == other
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'legacy'])
def test_every_metainfo_of_mmpose(tmp_path, zipped):
    """Eleven of them have no skeleton, and so empty arrays."""
    assert len(METAINFOS) >= 50
    empty = 0
    for path in METAINFOS:
        meta = parse_pose_metainfo(dict(from_file=str(path)))
        empty += not len(meta['skeleton_link_colors'])
        torch.save(dict(meta=as_plain(meta)), tmp_path / 'meta.pth', _use_new_zipfile_serialization=zipped)
        assert same(read_checkpoint(tmp_path / 'meta.pth')['meta'], meta), path
    assert empty >= 10


VALUES = dict(
    empty=np.array([]), rows=np.zeros((0, 2), np.float32), names=np.array(['a', 'bc']),
    objects=np.array([None, 'a', 3], object),
    nothing=np.array([], object), scalars=[np.dtype(code).type(1) for code in '?bBhHiIlLqQefdFD'],
    text=np.str_('a'), raw=np.bytes_(b'a'), bytes=b'', more=b'ab', date=np.datetime64('2020-01-01'),
    zero=np.array(3), fields=np.zeros(2, dtype=[('a', 'i4')]), flags=np.array([True, False]), big=10**40,
    sets={1, 2}, complex=1j, none=None, nested=dict(a=[dict(b=(1, 'c'))]))


@pytest.mark.parametrize('name', VALUES)
def test_values_of_all_kinds_are_trained_with_and_resumed(tmp_path, name):
    meta = dict(value=VALUES[name])
    runner(tmp_path, 1, dataset=WithMeta(meta), checkpoint=ATOMIC).train()
    assert same(read_checkpoint(tmp_path / 'iter_1.pth')['meta']['dataset_meta'], meta)
    resumed = runner(tmp_path, 2, dataset=WithMeta(meta), checkpoint=ATOMIC, resume=True)
    resumed.train()
    assert resumed.iter == 2


def test_what_becomes_plain():
    kind, pair = enum.Enum('kind', dict(person=1)), namedtuple('pair', 'a b')
    plain = as_plain(dict(config=ConfigDict(a=ConfigDict(b=[1])), path=Path('a/b'), kind=kind.person, pair=pair(1, 2),
                          function=len, method=pair._make, ordered=OrderedDict(a=1), frozen=frozenset({1})))
    assert plain.pop('function') is len  # a builtin is refused at the start, it is not part of a scheduler
    assert plain == dict(config=dict(a=dict(b=[1])), path='a/b', kind=1, pair=(1, 2), ordered=OrderedDict(a=1),
                         frozen={1})
    assert type(plain['config']['a']) is dict and type(plain['pair']) is tuple


@pytest.mark.parametrize('schedule', [
    dict(type='OneCycleLR', eta_max=0.1, total_steps=9), dict(type='CosineAnnealingLR', T_max=3),
    dict(type='MultiStepLR', milestones=[1, 2])], ids=lambda one: one['type'])
def test_the_state_of_schedulers(tmp_path, schedule):
    changes = dict(param_scheduler=[dict(schedule, by_epoch=False)], checkpoint=ATOMIC)
    runner(tmp_path, 1, **changes).train()
    resumed = runner(tmp_path, 2, resume=True, **changes)
    resumed.train()
    assert resumed.iter == 2 and read_checkpoint(tmp_path / 'iter_2.pth')['param_schedulers']
