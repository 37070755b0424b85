"""The objects to train and to validate on, from one annotation file or two."""
from pathlib import Path
from typing import Callable, NamedTuple, Optional, Set, Tuple

import numpy as np

from mmpose_mspn.data_check.coco import read_coco
from mmpose_mspn.new_dataset.coco_file import LISTS, Category, ImageFolder, find_category
from mmpose_mspn.new_dataset.repair import RepairedFile, repair
from mmpose_mspn.utils.errors import DataError, UserError
from mmpose_mspn.utils.files import FilePath

VAL_SHARE = 0.1
"""Share of the images that is held out unless another one is asked for."""


class Source(NamedTuple):
    """An annotation file and the folder of its images."""
    path: FilePath
    images: FilePath


def read_objects(train: Source, val: Optional[Source], category_name: Optional[str],
                 skip_broken: bool) -> Tuple[Category, RepairedFile, Optional[RepairedFile]]:
    """Read and complete the objects of a category.

    Args:
        val: What to validate on, if it is a file of its own.
        category_name: The category, needed where several have keypoints.
        skip_broken: Whether to leave out what cannot be repaired instead of refusing it.

    Raises:
        FileNotFoundError: A file or folder does not exist.
        DataError: A file is not usable, or both have not the same keypoints.
    """
    content = read_coco('the annotation file', train.path, LISTS)
    category = find_category(content, train.path, category_name)
    repaired = _repaired(content, train, category, skip_broken)
    if val is None:
        return category, repaired, None
    content = read_coco('--val', val.path, LISTS)
    val_category = find_category(content, val.path, category_name or category.name)
    if val_category.keypoints != category.keypoints:
        raise DataError(f'{val.path} has other keypoints than {train.path} ({", ".join(val_category.keypoints)} '
                        f'instead of {", ".join(category.keypoints)}): take files with the same keypoints in the same '
                        'order')
    val_category = val_category._replace(written_id=category.written_id)
    return category, repaired, _repaired(content, val, val_category, skip_broken)


def _repaired(content: dict, source: Source, category: Category, skip_broken: bool) -> RepairedFile:
    repaired = repair(content, source.path, category, ImageFolder(source.images), skip_broken)
    if not repaired.objects:
        raise DataError(f'{source.path} has no annotation of category {category.name} with labeled keypoints: label '
                        'some, or choose another category with --category')
    return repaired


def refuse_shared_images(train: RepairedFile, val: RepairedFile, train_source: Source, val_source: Source) -> None:
    """Check that no image is trained on and validated on.

    Raises:
        DataError: Some are.
    """
    shared = sorted(_paths(train, train_source) & _paths(val, val_source))
    if shared:
        raise DataError(f'{len(shared)} images with objects are in {train_source.path} and in {val_source.path}, such '
                        f'as {shared[0]}, and a validation on what was trained would tell nothing: remove them from '
                        'one of the files')


def _paths(part: RepairedFile, source: Source) -> Set[Path]:
    """The files of the images in which objects are labeled."""
    labeled = {entry['image_id'] for entry in part.objects}
    return {Path(source.images).resolve() / image['file_name'] for image in part.images if image['id'] in labeled}


def hold_out(whole: RepairedFile, share: float, path: FilePath) -> Tuple[RepairedFile, RepairedFile]:
    """Split objects by image into those to train on and those to validate on, the same at each call.

    Args:
        share: Share of the images to hold out, between 0 and 1; at least one image is held out.

    Raises:
        UserError: ``share`` is out of range.
        DataError: There is one image only.
    """
    if not 0 < share < 1:
        raise UserError(f'--val-share must be a share of the images between 0 and 1, got {share}')
    with_objects = sorted({entry['image_id'] for entry in whole.objects})
    if len(with_objects) < 2:
        raise DataError(f'{path} has labeled objects in one image only, so none can be held out for validation: label '
                        'more images, or name a file for validation with --val')
    count = min(max(1, round(share * len(with_objects))), len(with_objects) - 1)
    held_out = set(np.random.default_rng(0).permutation(with_objects)[:count].tolist())
    return _part(whole, lambda image_id: image_id not in held_out), _part(whole, lambda image_id: image_id in held_out)


def _part(whole: RepairedFile, is_chosen: Callable[[int], bool]) -> RepairedFile:
    """The images for which ``is_chosen`` is true, with their annotations."""
    return RepairedFile([image for image in whole.images if is_chosen(image['id'])],
                        [entry for entry in whole.annotations if is_chosen(entry['image_id'])],
                        whole.filled_in, whole.left_out)
