"""What the tests of tools/infer.py predict with: three images, a small model, and mmpose's own predictions."""
import json
from pathlib import Path
from typing import List, Optional

import cv2
import numpy as np
from mmpose.apis import inference_topdown, init_model
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmpose_mspn.apis.inference import infer
from mmpose_mspn.synthetic_people import generate
from tests.model_files import save_random, write_config

SIZE = (96, 80)
"""Width and height of the images in px."""
NAMES = ['000000000001.jpg', '000000000002.jpg', '000000000003.jpg']


class Setup:
    """A folder with three images, a config and a checkpoint.

    Args:
        root: The folder, which is empty.

    Attributes:
        images: The folder of the images.
        out: The folder that :meth:`infer` writes to.
    """

    def __init__(self, root: Path) -> None:
        generate(root / 'people', train=0, val=len(NAMES), workers=1, image_size=SIZE, progress=False)
        self.root, self.images, self.out = root, root / 'people' / 'val2017', root / 'out'
        self.config = write_config(root / 'config.py')
        self.checkpoint = root / 'model.pth'
        save_random(self.config, self.checkpoint, dataset_meta=parse_pose_metainfo(dict(from_file='coco.py')))
        self._model = None

    def infer(self, source: Path, **changes) -> dict:
        return infer(**{
            'source': source, 'config': self.config, 'checkpoint': self.checkpoint, 'out_dir': self.out,
            'device': 'cpu', **changes
        })

    def predictions(self) -> dict:
        return json.loads((self.out / 'predictions.json').read_text())

    def expected(self, image: np.ndarray, boxes: Optional[List[list]] = None) -> list:
        """Keypoints and scores that mmpose itself predicts in the boxes (x, y, w, h), or in the whole image."""
        if self._model is None:
            self._model = init_model(str(self.config), str(self.checkpoint), device='cpu')
        boxes = np.array(boxes, np.float32) if boxes else None
        found = [sample.pred_instances for sample in inference_topdown(self._model, image, boxes, 'xywh')]
        return [np.concatenate([one.keypoints[0], one.keypoint_scores[0][:, None]], 1).tolist() for one in found]

    def read(self, name: str) -> np.ndarray:
        """An image (h, w, 3), BGR."""
        return cv2.imread(str(self.images / name))


def write_json(path: Path, content: object) -> Path:
    """Write JSON, NaN included, and return the path."""
    path.write_text(json.dumps(content))
    return path


def joints_of(image: dict) -> list:
    return [instance['keypoints'] for instance in image['instances']]
