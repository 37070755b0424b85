"""The pictures of a diagnosis: the surroundings of a case, and what every predictor of the network sees of a person."""
import base64
import io
from typing import List, Optional

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.structures import InstanceData
from PIL import Image as Picture
from torch import nn

from mmpose_mspn.models.losses.multi_stage_heatmap_loss import MultiStageHeatmapLoss

from .people import KeypointSet
from .stages import stage_heatmaps

# ---------------------------------------------------------------- crop, heatmaps, targets and decoded keypoints

PEAK = 255.
LEVELS = 32
"""Steps that heatmaps are shown in, which is what the eye tells apart and makes the pages small."""
SHARED_META = ('dataset_name', 'upper_body_ids', 'lower_body_ids', 'flip_pairs', 'dataset_keypoint_weights',
               'flip_indices', 'skeleton_links')
BATCH = 8


class Viewer:
    """Looks at people with every predictor of a model.

    Args:
        model: A top-down estimator in eval mode.
        cfg: Its config, whose test pipeline makes the crops.
    """

    def __init__(self, model: nn.Module, cfg: Config, keypoints: KeypointSet, meta: dict) -> None:
        self.model, self.keypoints = model, keypoints
        pipeline = cfg.test_dataloader.dataset.pipeline
        self.crop, self.pack = Compose(pipeline[:-1]), Compose(pipeline[-1:])
        self.shared = {name: meta[name] for name in SHARED_META if name in meta}

    def look(self, records: List[dict], paths: List[str]) -> List[Optional[dict]]:
        """What the page needs of each case; ``None`` of one whose image does not open.

        Args:
            records: Cases; see :func:`mmpose_mspn.diagnosis.cases.cases`.

        Returns:
            ``id``, ``size`` of the crop (w, h), ``heatmap_size`` (W, H), ``predictors`` (``stages``, ``unit``,
            ``points``: K × [x, y, score, distance from the truth] in px of the crop, the last ``None`` where that is
            not labeled; ``target``: its row), ``truth`` (K × [x, y, visibility])
            or ``None``, and pictures as data URLs: ``crop``, ``heatmaps`` and ``targets``, tiled: a row per predictor
            or target, a column per keypoint.
        """
        entries: List[Optional[dict]] = []
        for start in range(0, len(records), BATCH):
            items = [self._item(record, path) for record, path in zip(records[start:start + BATCH], paths[start:])]
            good = [item for item in items if item is not None]
            seen = iter(self._see(good) if good else [])
            entries += [None if item is None else next(seen) for item in items]
        return entries

    def _item(self, record: dict, path: str) -> Optional[dict]:
        x, y, width, height = record['predicted_box'] or record['box']
        info = dict(
            self.shared, id=0, img_id=record['image_id'], img_path=path, bbox_score=np.ones(1, np.float32),
            bbox=np.array([[x, y, x + width, y + height]], np.float32))
        if record['truth'] is not None:
            truth = np.array(record['truth'], np.float32)
            info.update(keypoints=truth[None, :, :2], keypoints_visible=truth[None, :, 2])
        try:
            cropped = self.crop(info)
        except Exception:  # whatever a missing or broken image raises
            return None
        truth = None
        if record['truth'] is not None:
            truth = np.concatenate([cropped['transformed_keypoints'][0], info['keypoints_visible'][0][:, None]], 1)
        return dict(id=record['id'], image=cropped['img'], packed=self.pack(cropped), truth=truth)

    @torch.no_grad()
    def _see(self, items: List[dict]) -> List[dict]:
        data = self.model.data_preprocessor(pseudo_collate([item['packed'] for item in items]), False)
        heatmaps = stage_heatmaps(self.model, data['inputs'], data['data_samples'])
        points = [[[_points(instances, item['truth']) for item, instances in zip(items, self.model.head.decode(maps))]
                   for maps in units] for units in heatmaps]
        return [self._entry(item, index, heatmaps, points) for index, item in enumerate(items)]

    def _entry(self, item: dict, index: int, heatmaps: list, points: list) -> dict:
        places = [(stage, unit) for stage, units in enumerate(heatmaps) for unit in range(len(units))]
        columns, rows = self.model.head.decoder.heatmap_size
        height, width = item['image'].shape[:2]
        targets, target_rows = self._targets(item['truth'], heatmaps)
        return dict(
            id=item['id'],
            size=[width, height],
            heatmap_size=[columns, rows],
            predictors=[dict(stages=stage + 1, unit=unit + 1, points=points[stage][unit][index],
                             target=None if targets is None else target_rows[stage][unit]) for stage, unit in places],
            truth=None if item['truth'] is None else np.round(item['truth'].astype(float), 1).tolist(),
            crop=encode_picture(item['image'][..., ::-1], quality=80),
            heatmaps=encode_maps(np.stack([heatmaps[stage][unit][index].cpu().numpy() for stage, unit in places])),
            targets=None if targets is None else encode_maps(targets))

    def _targets(self, truth: Optional[np.ndarray], heatmaps: list) -> tuple:
        """Targets (2 · L, K, H, W) and which of them [stage][unit] each predictor learns, or nothing where not known.

        The first L show what coarse units learn, the others what last units do.
        """
        loss = self.model.head.loss_module
        if truth is None or not isinstance(loss, MultiStageHeatmapLoss):
            return None, None
        decoder = self.model.head.decoder
        visible = decoder.visible_in_crop(truth[None, :, :2], truth[None, :, 2])
        visible = torch.from_numpy(visible)
        rendered = decoder.render(torch.from_numpy(truth[None, :, :2]).float(), visible)
        shown = loss.visibility_rule.shown_targets(rendered, visible)
        count = rendered.shape[1]
        rows = [[loss.level(stage, unit, len(heatmaps)) + count * (unit == len(units) - 1)
                 for unit in range(len(units))] for stage, units in enumerate(heatmaps)]
        return torch.cat([shown, rendered], 1)[0].numpy(), rows


def _points(instances: InstanceData, truth: Optional[np.ndarray]) -> list:
    """K × [x, y, score, distance]."""
    points = np.concatenate([instances.keypoints[0, :, :2], instances.keypoint_scores[0][:, None]], 1).astype(float)
    rows = np.round(points, 2).tolist()
    if truth is None:
        return [[*row, None] for row in rows]
    away = np.linalg.norm(points[:, :2] - truth[:, :2], axis=1).round(2).tolist()
    return [[*row, distance if visible > 0 else None] for row, distance, visible in zip(rows, away, truth[:, 2])]


def encode_maps(maps: np.ndarray) -> str:
    """Heatmaps (R, K, H, W) as one grayscale picture, a row of K tiles per R, white at a full peak."""
    steps = np.round(np.clip(maps / PEAK, 0, 1) * (LEVELS - 1))
    rows, count, height, width = maps.shape
    tiled = (steps * (255 / (LEVELS - 1))).round().astype(np.uint8)
    tiled = tiled.transpose(0, 2, 1, 3).reshape(rows * height, count * width)
    return _data_url(Picture.fromarray(tiled), 'WEBP', lossless=True, method=4)


def encode_picture(image: np.ndarray, quality: int) -> str:
    """An RGB picture (H, W, 3), uint8, as a JPEG."""
    return _data_url(Picture.fromarray(np.ascontiguousarray(image)), 'JPEG', quality=quality)


def _data_url(picture: Picture.Image, kind: str, **settings) -> str:
    file = io.BytesIO()
    picture.save(file, kind, **settings)
    return f'data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}'


# ---------------------------------------------------------------- surroundings of a case

LONGEST = 480
"""px of a picture's longer side at most."""
AROUND = 0.35
"""Share of the shown box's longer side that stays visible on each side of it."""


def case_picture(record: dict, path: Optional[str]) -> Optional[dict]:
    """The surroundings of a case's boxes and keypoints.

    Args:
        record: A case; see :func:`mmpose_mspn.diagnosis.cases.cases`.

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
