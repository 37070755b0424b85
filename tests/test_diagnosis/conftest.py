"""A diagnosis of a small network on a few drawn people, whose files have hostile names."""
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from mmpose.registry import MODELS

from mmpose_mspn.apis.config import load_config
from mmpose_mspn.apis.diagnosis import diagnose
from mmpose_mspn.synthetic_people import generate
from tests.places import DEMO

TINY = {'test_dataloader.num_workers': 0, 'test_dataloader.persistent_workers': False,
        'test_dataloader.batch_size': 4}
HOSTILE = (
    '"><img src=x onerror=document.title=\'hacked\'>.jpg',
    '</script><script>document.title=\'hacked\'</script>.jpg',
    "'; document.title='hacked'; '.jpg",
    '{{ 7 * 7 }}<b>ü&lt;&quot;日本 .jpg')
"""Names of image files that would run, or be drawn as something else, in a careless page."""


@dataclass
class Made:
    """A diagnosis on disk.

    Attributes:
        folder: With ``index.html`` and ``diagnosis.json``.
        content: The latter's content.
        data_root: The people.
        predictions: The results file.
        checkpoint: The network's weights.
    """
    folder: Path
    content: dict
    data_root: Path
    predictions: Path
    checkpoint: Path


def rename_images(data_root: Path) -> None:
    """Give the first images hostile names, on disk and in the annotations."""
    path = data_root / 'annotations/person_keypoints_val2017.json'
    content = json.loads(path.read_text())
    for image, name in zip(content['images'], HOSTILE):
        source, target = (data_root / 'val2017' / one for one in (image['file_name'], name))
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
        image['file_name'] = name
    path.write_text(json.dumps(content))


def write_predictions(data_root: Path, path: Path) -> None:
    """Everyone but one found, keypoints some px off, some on the other side, scores at random, and one of nobody."""
    content = json.loads((data_root / 'annotations/person_keypoints_val2017.json').read_text())
    draw, results = np.random.default_rng(0), []
    for number, person in enumerate(content['annotations'][1:]):
        points = np.array(person['keypoints'], float).reshape(-1, 3)
        points[:, :2] += draw.normal(0, draw.choice([.5, 3, 8]), (17, 2))
        if number % 3 == 0:
            points[[9, 10]] = points[[10, 9]]
        points[:, 2] = draw.uniform(.5, 1.5, 17)
        results.append(dict(image_id=person['image_id'], category_id=1, keypoints=points.ravel().tolist(),
                            score=float(draw.uniform(.2, 1)), bbox=person['bbox']))
    results.append(dict(results[0], keypoints=(draw.uniform(0, 40, (17, 3)) + [0, 0, .5]).ravel().tolist(), score=.99,
                        bbox=[0, 0, 40, 40]))
    path.write_text(json.dumps(results))


@pytest.fixture(scope='session')
def made(tmp_path_factory) -> Made:
    """With predictions from a file and stages from a network that has not been trained."""
    root = tmp_path_factory.mktemp('diagnosis')
    data_root, predictions, checkpoint = root / 'people', root / 'results.json', root / 'work' / 'iter_2.pth'
    generate(data_root, train=1, val=6, workers=1, progress=False)
    rename_images(data_root)
    write_predictions(data_root, predictions)
    cfg = load_config(str(DEMO))
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    log = checkpoint.parent / '20260101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('\n'.join(json.dumps(dict(step=step, lr=.1 / step, loss=10. / step, loss_stage0=4. / step,
                                             acc_pose=.1 * step)) for step in (1, 2, 3)))
    torch.save(dict(state_dict=model.state_dict(), meta={}), checkpoint)
    other = root / 'other'
    diagnose(DEMO, other, predictions=predictions, data_root=data_root, cfg_options=dict(TINY))
    diagnose(DEMO, root / 'out', checkpoint, predictions, data_root, [other / 'diagnosis.json'], device='cpu',
             cfg_options=dict(TINY))
    content = json.loads((root / 'out/diagnosis.json').read_text())
    return Made(root / 'out', content, data_root, predictions, checkpoint)
