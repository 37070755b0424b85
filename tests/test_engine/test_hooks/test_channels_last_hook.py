"""The layout changes without changing the training."""
import torch
from mmengine.model import BaseModel
from torch import nn

from tests.test_engine.toy import runner


class Net(BaseModel):

    def __init__(self) -> None:
        super().__init__(init_cfg=dict(type='Kaiming', layer='Conv2d'))
        self.conv = nn.Conv2d(2, 4, 3, padding=1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        out = self.conv(torch.stack(list(inputs))[:, :, None, None].expand(-1, -1, 4, 4))
        return dict(loss=out.square().mean()) if mode == 'loss' else out


def test_the_same_seed_draws_the_same_initial_weights(tmp_path):
    weights = []
    for name, hooks in (('plain', []), ('last', [dict(type='mmpose_mspn.ChannelsLastHook')])):
        run = runner(tmp_path / name, 1, model=Net(), hooks=hooks,
                     optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.)))
        run.train()
        weights.append(run.model.conv.weight)
    assert torch.equal(*weights)
    assert [weight.is_contiguous(memory_format=torch.channels_last) for weight in weights] == [False, True]
