"""Trainings that are resumed from checkpoints that do not belong to them, and second trainings in one folder."""
import torch

from tests.bad_inputs.case import Case, Place, Rows, train
from tests.bad_inputs.table.checkpoints import rows, saved


def _other_groups(checkpoint: dict) -> None:
    groups = checkpoint['optimizer']['param_groups']
    half = len(groups[0]['params']) // 2
    groups.append(dict(groups[0], params=groups[0]['params'][half:]))
    groups[0]['params'] = groups[0]['params'][:half]


def _nan_moment(checkpoint: dict) -> None:
    next(iter(checkpoint['optimizer']['state'].values()))['exp_avg'].fill_(float('nan'))


def _misshapen_moment(checkpoint: dict) -> None:
    moments = next(iter(checkpoint['optimizer']['state'].values()))
    moments['exp_avg'] = torch.zeros(3, 3)


def _of_sgd(checkpoint: dict) -> None:
    own = torch.nn.Parameter(torch.zeros(1))
    group = torch.optim.SGD([own], lr=0.1, momentum=0.9).state_dict()['param_groups'][0]
    params = checkpoint['optimizer']['param_groups'][0]['params']
    checkpoint['optimizer'] = dict(state={}, param_groups=[dict(group, params=params)])


def _long(place: Place) -> None:
    place.write_config('train_cfg = dict(max_iters=100000, val_interval=100000)\n'
                       'default_hooks = dict(checkpoint=dict(interval=100000))')


RUNNING = (train(), 'Iter(train) [     3')

RESUME_CASES: Rows = [
    *rows('an optimizer of other groups', saved(_other_groups), ['checkpoint.pth', 'groups'], ('resume', )),
    *rows('an optimizer without its state', saved(lambda one: one.pop('optimizer') and None),
          ['checkpoint.pth', 'optimizer'], ('resume', )),
    *rows('an optimizer state that is a list', saved(lambda one: one.update(optimizer=[])), ['checkpoint.pth'],
          ('resume', )),
    *rows('an optimizer state of NaN', saved(_nan_moment), ['checkpoint.pth', 'NaN', 'earlier'], ('resume', )),
    *rows('a moment of another shape', saved(_misshapen_moment), ['checkpoint.pth', 'shape'], ('resume', )),
    *rows('another optimizer', saved(_of_sgd), ['checkpoint.pth', 'optimizer'], ('resume', )),
    *rows('an iteration that is a word', saved(lambda one: one['meta'].update(iter='two')),
          ['checkpoint.pth', 'meta.iter', "'two'"], ('resume', )),
    *rows('a negative iteration', saved(lambda one: one['meta'].update(iter=-2)), ['checkpoint.pth', 'meta.iter'],
          ('resume', )),
    *rows('no meta', saved(lambda one: one.pop('meta') and None), ['checkpoint.pth', 'meta'], ('resume', )),
    *rows('a meta that is a list', saved(lambda one: one.update(meta=[1])), ['checkpoint.pth'], ('resume', )),
    *rows('no schedulers', saved(lambda one: one.pop('param_schedulers') and None),
          ['checkpoint.pth', 'param_schedulers'], ('resume', )),
    *rows('a weight more', saved(lambda one: one['state_dict'].update(more=torch.zeros(1))),
          ['checkpoint.pth', 'more'], ('resume', )),
    Case('--resume of a training that is complete, of which a warning is given', [train('--resume', '{checkpoint}')],
         ['nothing is left to train'], 0),
    Case('a second training beside one that is running', [train()], ['another training', '--work-dir'],
         prepare=_long, beside=RUNNING, fast=True),
    Case('a second training with --resume beside one that is running', [train('--resume')],
         ['another training', '--work-dir'], prepare=_long, beside=RUNNING),
    Case('a second training with --restart beside one that is running', [train('--restart')],
         ['another training', '--work-dir'], prepare=_long, beside=RUNNING),
]
