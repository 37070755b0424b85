"""Makes what all cases share, by the tools themselves."""
from pathlib import Path

import cv2
import numpy as np

from mmpose_mspn.synthetic_people import generate
from tests.bad_inputs.case import Case, Files, Place, train
from tests.bad_inputs.processes import run
from tests.places import DEMO

SMALL = f'''_base_ = {str(DEMO)!r}
model = dict(
    backbone=dict(encoder=dict(stem_channels=8, base_channels=8), unit_channels=16), head=dict(unit_channels=16))
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
val_dataloader = dict(batch_size=8, num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=1), logger=dict(interval=1))
'''


def make_files(folder: Path) -> Files:
    """Draw people, write the config, and train it for two iterations.

    Raises:
        RuntimeError: The training failed.
    """
    files = Files(folder, folder / 'people', folder / 'small.py', folder / 'trained' / 'out' / 'iter_2.pth')
    generate(files.people, train=4, val=2, workers=1, progress=False)
    files.config.write_text(SMALL)
    _write_video(files.video)
    place = Place(folder / 'trained', files)
    place.out.mkdir(parents=True)
    outcome = run(train(), place, Case('nothing wrong', [train()]), last=True)
    if outcome.code:
        raise RuntimeError(f'the training of the shared checkpoint failed: {outcome.error}')
    return files


def _write_video(path: Path, frames: int = 8) -> None:
    draw = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 25, (160, 128))
    for _ in range(frames):
        writer.write(draw.integers(0, 255, (128, 160, 3), np.uint8))
    writer.release()
