"""The keypoints of the people in an image."""
from pathlib import Path
from typing import Callable, List, Optional, Sequence, Tuple, Union

import numpy as np

from .inputs import decode_image

Source = Union[str, Path, np.ndarray]
Draw = Callable[..., np.ndarray]


class PoseResult:
    """The keypoints of the N people in an image.

    Args:
        keypoints: (N, K, 2) in image px.
        scores: (N, K). Those of this package's codec are 0.5 (no response) to 1.5 (a full peak).
        boxes: (N, 4), x, y, width, height in image px: the boxes that the people were predicted in.
        names: Names of the K keypoints.
        skeleton: Pairs of indices of keypoints that a drawing connects.
        source: The image (H, W, 3) BGR uint8, or its file, which is read again when ``image`` is asked for.
        drawer: Draws the result, see :meth:`draw`.

    Attributes:
        keypoints, scores, boxes, names, skeleton: The arguments; arrays are float64, boxes float32.
    """

    def __init__(self, keypoints: np.ndarray, scores: np.ndarray, boxes: np.ndarray, names: Sequence[str],
                 skeleton: Sequence[Tuple[int, int]], source: Source, drawer: Draw) -> None:
        self.keypoints = np.asarray(keypoints, np.float64).reshape(-1, len(names), 2)
        self.scores = np.asarray(scores, np.float64).reshape(-1, len(names))
        self.boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
        self.names = list(names)
        self.skeleton = [(int(start), int(end)) for start, end in skeleton]
        self._source, self._drawer = source, drawer

    def __len__(self) -> int:
        """N, the number of people."""
        return len(self.keypoints)

    def __repr__(self) -> str:
        return f'PoseResult({len(self)} people, {len(self.names)} keypoints)'

    @property
    def image(self) -> np.ndarray:
        """The image (H, W, 3) BGR uint8. That of a file is not kept in memory, but read at each call."""
        return self._source if isinstance(self._source, np.ndarray) else decode_image(self._source)

    def draw(self, threshold: Optional[float] = None) -> np.ndarray:
        """Draw the skeletons on a copy (H, W, 3) BGR uint8 of the image. No file is written.

        Args:
            threshold: Lowest score of a keypoint that is drawn, >= 0. The default is a fifth of a full peak.

        Raises:
            ValueError: ``threshold`` is negative or NaN.
        """
        if threshold is not None and not threshold >= 0:
            raise ValueError(f'threshold must be >= 0, got {threshold}')
        return self._drawer(self, threshold)

    def to_coco(self, image_id: int = 0, category_id: int = 1) -> List[dict]:
        """The people as entries of COCO's results format, which COCO's tools and ``tools/diagnose.py`` read.

        Args:
            image_id: Id of the image in its annotation file.
            category_id: Id of the category; 1 is COCO's person.

        Returns:
            N dicts of plain Python values: ``image_id``, ``category_id``, ``bbox`` (x, y, width, height in image px),
            ``keypoints`` (K × x, y, score, in one list) and ``score``, the mean score of the keypoints.
        """
        entries = []
        for box, keypoints, scores in zip(self.boxes, self.keypoints, self.scores):
            entries.append(dict(
                image_id=image_id, category_id=category_id, bbox=box.tolist(),
                keypoints=np.concatenate([keypoints, scores[:, None]], 1).ravel().tolist(),
                score=float(scores.mean())))
        return entries
