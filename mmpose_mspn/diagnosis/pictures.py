"""The part of the image that shows a case, small enough for a page."""
from typing import Optional

import cv2
import numpy as np

from .viewer import encode_picture

LONGEST = 480
"""px of a picture's longer side at most."""
AROUND = 0.35
"""Share of the shown box's longer side that stays visible on each side of it."""


def case_picture(record: dict, path: Optional[str]) -> Optional[dict]:
    """The surroundings of a case's boxes and keypoints.

    Args:
        record: A case; see :func:`mmpose_mspn.diagnosis.cases.cases`.
        path: Its image.

    Returns:
        ``picture`` as a data URL, and ``window`` (x, y, width, height): its place in image px; ``None`` where the image
        does not open.
    """
    image = None if path is None else _read(path)
    if image is None:
        return None
    x0, y0, x1, y1 = _window(record, image.shape[1], image.shape[0])
    shown = image[y0:y1, x0:x1]
    if not shown.size:
        return None
    shrink = min(1., LONGEST / max(shown.shape[:2]))
    if shrink < 1:
        size = (max(1, round(shown.shape[1] * shrink)), max(1, round(shown.shape[0] * shrink)))
        shown = cv2.resize(shown, size, interpolation=cv2.INTER_AREA)
    return dict(picture=encode_picture(shown[..., ::-1], quality=82), window=[x0, y0, x1 - x0, y1 - y0])


def _read(path: str) -> Optional[np.ndarray]:
    """(H, W, 3) BGR, or nothing. Files with names that OpenCV cannot open are read by Python."""
    try:
        content = np.fromfile(path, np.uint8)
    except OSError:
        return None
    return cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None


def _window(record: dict, width: int, height: int) -> tuple:
    """Whole px x0, y0, x1, y1 within the image."""
    places = []
    for name in ('box', 'predicted_box'):
        if record[name] is not None:
            x, y, w, h = record[name]
            places += [(x, y), (x + w, y + h)]
    places += [point[:2] for point in record['truth'] or [] if point[2] > 0]
    low, high = np.min(places, 0), np.max(places, 0)
    margin = AROUND * max(high - low)
    low, high = np.floor(low - margin), np.ceil(high + margin)
    low = np.clip(low, 0, [width - 1, height - 1]).astype(int)
    high = np.clip(high, low + 1, [width, height]).astype(int)
    return (*low.tolist(), *high.tolist())
