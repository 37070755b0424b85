"""The check at the end of an export: the file's keypoints beside those of PyTorch."""
import copy
from functools import cache, partial
from typing import Dict, Sequence, Tuple

import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from torch import Tensor, nn

import mspn_runtime
from mmpose_mspn.codecs.coarse_to_fine_heatmap import CoarseToFineHeatmap
from mmpose_mspn.codecs.decode import blurred, decode
from mmpose_mspn.deploy.pictures import Picture
from mmpose_mspn.utils.files import FilePath

TOLERANCE = 1e-3
"""Largest distance in image px of a float32 file's keypoints from PyTorch's."""
CONFIDENT = 0.7
"""Score of a keypoint whose movement counts in lower precisions."""
CLOSE = 1.
"""px of the crop within which a confident keypoint counts as unmoved."""
ROUNDINGS = 4
"""Largest difference of heatmaps that counts as one of rounding, in differences of PyTorch's own from float64. Those of
another memory layout in PyTorch are up to 1.6 of them apart, in networks of 4 stages with random weights."""


def compare(path: FilePath, model: nn.Module, pictures: Sequence[Picture]) -> Dict[str, float]:
    """Compare the keypoints of a file, which the runtime computes, with those of PyTorch.

    Args:
        path: The file. With the output ``heatmaps`` it can be told which keypoints the rounding of the network decides.
        model: The estimator, with the flip test and the stages of the file.
        pictures: People.

    Returns:
        ``people`` and ``keypoints`` that were compared; ``largest_px`` and ``median_px``, the distances from PyTorch in
        image px; ``undecided``, the number of keypoints that are left out of ``largest_px``, because rounding in the
        network decides which of two cells is higher, see :func:`_decided_by_rounding`; ``confident`` keypoints, and
        ``close``, the share of them within :data:`CLOSE` px of the crop; ``largest_score``, the largest difference of
        scores; ``other_crops``, the number of people whom the test pipeline crops in another way, which is 0 with
        OpenCV 4.
    """
    pose = mspn_runtime.Pose(path)
    in_float64 = cache(partial(_in_float64, model))  # one copy for all pictures, and none where nothing differs
    image_px, crop_px, scores, moved_scores, undecided, other_crops = [], [], [], [], [], 0
    for image, boxes in pictures:
        predicted = pose(image, boxes)
        _, sizes = regions = mspn_runtime.box_regions(boxes, pose.metadata['box_padding'], pose.input_size)
        crops = np.stack([mspn_runtime.cut(image, center, region, pose.input_size)
                          for center, (region, _) in zip(*regions)])
        expected, maps, differing = _predicted(model, image, boxes, crops)
        other_crops += differing
        scores.append(expected[..., 2])
        moved_scores.append(np.abs(predicted[..., 2] - scores[-1]))
        image_px.append(np.linalg.norm(predicted[..., :2] - expected[..., :2], axis=-1))
        crop_px.append(image_px[-1] * pose.input_size[0] / sizes[:, :1])
        undecided.append(image_px[-1] > TOLERANCE)
        if undecided[-1].any():
            inputs = dict(image=image, boxes=boxes) if pose.metadata['input'] == 'image' else dict(crops=crops)
            _, exact, _ = _predicted(in_float64(), image, boxes, crops)
            limit = ROUNDINGS * (maps - exact).abs().max().item()
            undecided[-1] &= _decided_by_rounding(path, inputs, maps, limit, model.head.decoder, crop_px[-1])
    image_px, crop_px, scores, moved_scores, undecided = map(
        np.concatenate, (image_px, crop_px, scores, moved_scores, undecided))
    confident = scores > CONFIDENT
    return dict(
        people=len(scores),
        keypoints=scores.size,
        undecided=int(undecided.sum()),
        largest_px=float(image_px[~undecided].max(initial=0)),
        median_px=float(np.median(image_px)),
        largest_score=float(moved_scores.max()),
        confident=int(confident.sum()),
        close=float((crop_px[confident] < CLOSE).mean()) if confident.any() else 1.,
        other_crops=other_crops)


def _predicted(model: nn.Module, image: np.ndarray, boxes: np.ndarray,
               crops: np.ndarray) -> Tuple[np.ndarray, Tensor, int]:
    """Keypoints and scores by PyTorch of the crops that the runtime cuts.

    OpenCV 5 cuts other crops than OpenCV 4, so the test pipeline's crops are compared, and not used.

    Args:
        model: The estimator.
        image: (H, W, 3), BGR, uint8.
        boxes: (N, 4), x, y, width, height in image px.
        crops: (N, 3, h, w), uint8.

    Returns:
        Keypoints and scores (N, K, 3), heatmaps (N, K, H, W), and the number of people whose crop by the test pipeline
        is another one.
    """
    init_default_scope(model.cfg.get('default_scope') or 'mmpose')
    pipeline = Compose(model.cfg.test_dataloader.dataset.pipeline)
    packed, differing = [], 0
    for (x, y, width, height), crop in zip(boxes, crops):
        sample = pipeline(dict(img=image, bbox=np.array([[x, y, x + width, y + height]], np.float32),
                               bbox_score=np.ones(1, np.float32), **model.dataset_meta))
        differing += not np.array_equal(crop, sample['inputs'])
        packed.append({**sample, 'inputs': torch.from_numpy(crop)})
    model = copy.copy(model)  # with the same weights
    model.test_cfg = {**(model.test_cfg or {}), 'output_heatmaps': True}
    with torch.no_grad():
        samples = model.test_step(pseudo_collate(packed))
    instances = [sample.pred_instances for sample in samples]
    points = np.concatenate([np.dstack([person.keypoints, person.keypoint_scores]) for person in instances])
    return points, torch.stack([sample.pred_fields.heatmaps for sample in samples]), differing


def _in_float64(model: nn.Module) -> nn.Module:
    """A copy of an estimator that computes heatmaps in float64."""
    model = copy.deepcopy(model).double()
    model.backbone.register_forward_pre_hook(lambda _, inputs: (inputs[0].double(), ))
    return model


def _decided_by_rounding(path: FilePath, inputs: Dict[str, np.ndarray], maps: Tensor, limit: float,
                         codec: CoarseToFineHeatmap, moved: np.ndarray) -> np.ndarray:
    """Keypoints (N, K) for which no float32 computation of the network can tell which cell is higher.

    The decode depends on which cells are the highest and the second highest. If two of the highest three of a blurred
    map lie no further apart than twice the largest difference between the file's map and PyTorch's, that difference
    may exchange them. It must itself be one of rounding. That a file decodes its own map otherwise than PyTorch would,
    such as one with cells that tie, is not.

    Args:
        path: The file. One without the output ``heatmaps`` has no such keypoints.
        inputs: Its inputs.
        maps: Heatmaps (N, K, H, W) of PyTorch.
        limit: Largest difference of a heatmap's cells that counts as one of rounding.
        codec: Its codec.
        moved: Distance (N, K) of the file's keypoints from PyTorch's, in px of the crop.
    """
    import onnxruntime
    session = onnxruntime.InferenceSession(str(path))
    if 'heatmaps' not in [output.name for output in session.get_outputs()]:
        return np.zeros(maps.shape[:2], bool)
    maps_of_file = torch.from_numpy(session.run(['heatmaps'], inputs)[0])
    of_file, of_torch = (decode(each, codec.input_size, codec.blur_kernel_size)[0] for each in (maps_of_file, maps))
    by_maps = (of_file - of_torch).norm(dim=-1).numpy()
    apart = (maps_of_file - maps).abs().amax((2, 3))
    highest = blurred(maps.double(), codec.blur_kernel_size).flatten(2).topk(3).values
    gaps = -highest.diff(dim=2)
    by_rounding = ((gaps.amin(2) <= 2 * apart) & (apart <= limit)).numpy()
    return by_rounding & (np.abs(moved - by_maps) <= TOLERANCE)
