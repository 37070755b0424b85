"""Whether datasets, their pipelines and codecs fit the model, for every dataset inside of others."""
import logging
import os.path as osp
from inspect import Parameter, signature
from typing import Dict, List, Mapping, Optional

from mmengine.logging import print_log
from mmengine.runner import Runner
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.datasets.transforms import KeypointConverter as MmposeKeypointConverter
from mmpose.registry import DATASETS, KEYPOINT_CODECS, TRANSFORMS

from mmpose_mspn.codecs import CoarseToFineHeatmap
from mmpose_mspn.data_check.configs import wrong_metainfo
from mmpose_mspn.datasets.coco_dataset import CocoStyleMixin
from mmpose_mspn.datasets.transforms.visibility import KeypointConverter, check_mapping
from mmpose_mspn.models.losses.multi_stage_heatmap_loss import VisibilityRule
from mmpose_mspn.utils.config_types import InnerDataset, Step, building, registered_class, type_name
from mmpose_mspn.utils.errors import ConfigError, DataError
from mmpose_mspn.utils.numbers import NOT_LABELED, VISIBLE, is_integer

BEFORE_THE_CROP = ('GetBBoxCenterScale', 'WidenBBox', 'HalfBody', 'RandomHalfBody', 'RandomBBoxTransform',
                   'RandomScaleRotation', 'RandomFlip', 'KeypointConverter', 'SingleHandConverter')
"""Steps that change the box or the keypoints, or mirror the image with its keypoints, which TopdownAffine reads."""
RANDOM_STEPS = ('HalfBody', 'Albumentation', 'PhotometricDistortion', 'Mosaic')
"""Steps that change a sample by chance and whose names do not begin with ``Random``."""
KNOWN_PACKAGES = ('mmcv', 'mmpose', 'mmpose_mspn')
"""Whose steps are known to cut no crop under a name of their own."""


def check_dataset(dataset: InnerDataset, head: dict, cuts_people: bool) -> None:
    """Check the config of a dataset, its steps, its codec and its number of keypoints.

    Args:
        dataset: The dataset.
        head: Config of the model's head.
        cuts_people: Whether the model takes the crop of a person, as top-down estimators do.

    Raises:
        ConfigError: Something does not fit. The message names it as it stands in the config.
    """
    name, config = dataset.name, dataset.config
    if not config.get('type'):
        raise ConfigError(f'{name} has no type: name the class of the dataset')
    prefix = config.get('data_prefix')
    if str(config['type']).startswith('mmpose_mspn.') and isinstance(prefix, dict) and 'img' not in prefix:
        raise ConfigError(f'{name}.data_prefix names no folder of images: write dict(img=...), got {dict(prefix)}')
    if 'pipeline' in config or dataset.steps:
        _check_steps(name, dataset.steps, cuts_people)
    decoder = head.get('decoder')
    gives_visibility = _is_coco_style(dataset) or any(
        type_name(step) == 'LoadVisibility' for _, step in dataset.steps)
    for where, step in dataset.steps:
        if type_name(step) == 'GenerateTarget' and step.get('encoder'):
            encoders = step['encoder'] if isinstance(step['encoder'], (list, tuple)) else [step['encoder']]
            _check_encoders(f'{where}.encoder', encoders, decoder, gives_visibility)
            _check_converters(dataset.steps, encoders)
        elif type_name(step) == 'TopdownAffine' and decoder and 'input_size' in decoder:
            size, decoded = tuple(step.get('input_size', ())), tuple(decoder['input_size'])
            if size != decoded:
                raise ConfigError(f'{where}: TopdownAffine cuts crops of input_size {size}, but model.head.decoder has '
                                  f'input_size {decoded}: write the same codec in both')
    _check_number_of_keypoints(dataset, head.get('out_channels'))


def codec_class(config: Mapping) -> Optional[type]:
    """The class of a codec's config."""
    return registered_class(config.get('type'), KEYPOINT_CODECS, 'mmpose')


def _is_coco_style(dataset: InnerDataset) -> bool:
    built = registered_class(dataset.config['type'], DATASETS, 'mmpose')
    return built is not None and issubclass(built, CocoStyleMixin)


def _step_class(step: Mapping) -> Optional[type]:
    return registered_class(step.get('type'), TRANSFORMS, 'mmpose')


# Steps


def _check_steps(name: str, steps: List[Step], cuts_people: bool) -> None:
    """Check that a pipeline loads, cuts and packs, and that nothing moves the keypoints after the crop has been cut."""
    names = [type_name(step) for _, step in steps]
    for part, step in (('Load', 'LoadImage'), ('Pack', 'PackPoseInputs')):  # users may have classes of their own
        if not any(part in step_name for step_name in names):
            raise ConfigError(f'{name}.pipeline has no step {step}: list the steps from LoadImage to PackPoseInputs, '
                              f'got {names}')
    if cuts_people and not any('Affine' in step_name for step_name in names) and all(map(_is_known, steps)):
        raise ConfigError(f'{name}.pipeline has no step TopdownAffine, which cuts the crop that the model takes: put '
                          'it before GenerateTarget and PackPoseInputs')
    last = names.index('PackPoseInputs') if 'PackPoseInputs' in names else len(names)
    for where, step in steps[last + 1:]:
        if type_name(step) in (*BEFORE_THE_CROP, 'TopdownAffine', 'GenerateTarget'):
            raise ConfigError(f'{where}: {type_name(step)} comes after PackPoseInputs, which has packed the sample by '
                              'then: put PackPoseInputs last')
    if 'TopdownAffine' not in names:
        return
    crop = names.index('TopdownAffine')
    for index, (where, step) in enumerate(steps):
        if index > crop and type_name(step) in BEFORE_THE_CROP:
            raise ConfigError(f'{where}: {type_name(step)} comes after TopdownAffine, which has cut the crop by then, '
                              'so image and keypoints would not fit: put it before TopdownAffine')
        if index < crop and type_name(step) == 'GenerateTarget':
            raise ConfigError(f'{where}: GenerateTarget comes before TopdownAffine, which moves the keypoints to the '
                              'crop: put it after TopdownAffine')


def _is_known(step: Step) -> bool:
    built = _step_class(step[1])
    return built is not None and built.__module__.split('.')[0] in KNOWN_PACKAGES


# Codecs


def _check_encoders(name: str, encoders: List[dict], decoder: Optional[dict], gives_visibility: bool) -> None:
    for encoder in encoders:
        if gives_visibility and _is_of_mmpose(encoder):
            raise ConfigError(f"{name} is mmpose's {encoder['type']}, which takes visibility as a weight, but the "
                              'dataset gives visibility 0/1/2, which would weigh visible keypoints twice: take '
                              "mmpose's own dataset (type='CocoDataset'), without LoadVisibility, or "
                              'mmpose_mspn.CoarseToFineHeatmap')
    differences = [codec_difference(encoder, decoder) for encoder in encoders] if decoder else []
    if differences and all(differences):
        raise ConfigError(f'{name} and model.head.decoder must be the same codec, but differ: {differences[-1]}: the '
                          'model would be trained for one and read by the other; write codec = dict(...) once and use '
                          'it twice')


def _is_of_mmpose(encoder: dict) -> bool:
    built = codec_class(encoder)
    return built is not None and not issubclass(built, CoarseToFineHeatmap)


def _check_converters(steps: List[Step], encoders: List[dict]) -> None:
    """Refuse mmpose's converter, which appends weights to the visibility, before this package's codec."""
    if all(map(_is_of_mmpose, encoders)):
        return
    for where, step in steps:
        built = _step_class(step)
        if built is not None and issubclass(built, MmposeKeypointConverter) and not issubclass(
                built, KeypointConverter):
            raise ConfigError(f"{where}: mmpose's KeypointConverter multiplies visibility and appends weights to it, "
                              'which mmpose_mspn.CoarseToFineHeatmap does not read: take '
                              'mmpose_mspn.KeypointConverter, with the same arguments')


def codec_difference(encoder: Mapping, decoder: Mapping) -> str:
    """The arguments in which two codecs differ, with defaults filled in; empty if there are none."""
    built = codec_class(encoder)
    if built is not codec_class(decoder):
        return f'type {encoder.get("type")} and {decoder.get("type")}'
    parameters = signature(built).parameters if built else {}
    defaults = {name: parameter.default for name, parameter in parameters.items()
                if parameter.default is not Parameter.empty}
    encoder, decoder = {**defaults, **encoder}, {**defaults, **decoder}
    names = sorted({*encoder, *decoder} - {'type', 'encode_as', '_scope_'})
    return ', '.join(f'{name} {encoder.get(name)} and {decoder.get(name)}' for name in names
                     if _as_lists(encoder.get(name)) != _as_lists(decoder.get(name)))


def _as_lists(value: object) -> object:
    return [_as_lists(item) for item in value] if isinstance(value, (list, tuple)) else value


# Keypoints


def _check_number_of_keypoints(dataset: InnerDataset, channels: object) -> None:
    """Follow the number of keypoints from a dataset's metainfo through its converters to the head's channels.

    The datasets around it, such as a CombinedDataset, give a sample their own metainfo in between.
    """
    name = dataset.name
    built = registered_class(dataset.config['type'], DATASETS, 'mmpose')
    meta = dataset.config.get('metainfo') or getattr(built, 'METAINFO', None)
    number, source = _metainfo_size(meta, name), 'its metainfo'
    around = [*dataset.around]
    for index, (where, step) in enumerate([*dataset.steps, ('', {})]):
        while around and around[0].steps_before == index:
            wrapper = around.pop(0)
            size = _metainfo_size(wrapper.config.get('metainfo'), wrapper.name)
            if None not in (size, number) and size != number:
                raise ConfigError(f'{wrapper.name}.metainfo has {size} keypoints, but {name} has {number} ({source}): '
                                  'give its pipeline a mmpose_mspn.KeypointConverter to those of the metainfo')
            if number is None and size is not None:
                number, source = size, f'{wrapper.name}.metainfo'
        if type_name(step) == 'KeypointConverter':
            check_mapping(where, step.get('num_keypoints'), step.get('mapping'), number)
            number, source = step['num_keypoints'], where
    if is_integer(channels) and number is not None and number != channels:
        raise ConfigError(f'{name} has {number} keypoints ({source}), but model.head.out_channels is {channels}: set '
                          f'model.head.out_channels={number}, or the metainfo of the keypoints')


def _metainfo_size(meta: Optional[Mapping], name: str) -> Optional[int]:
    """Number of keypoints of a metainfo, if it is there."""
    if not meta:
        return None
    with building(f'{name}.metainfo', None):
        parsed = parse_pose_metainfo(dict(meta))
    wrong = wrong_metainfo(parsed)
    if wrong:
        raise ConfigError(f'{name}.metainfo: {wrong}')
    return parsed['num_keypoints']


def check_visibility(runner: Runner, datasets: List[InnerDataset]) -> None:
    """Refuse a dataset of a training without visible keypoints where the loss learns them alone in coarse units.

    The loss itself sees batches, in which the keypoints of another dataset hide this.

    Args:
        runner: The runner of a training, with its data.
        datasets: The datasets inside of its training dataset.

    Raises:
        DataError: None of a dataset's labeled keypoints has visibility 2.
    """
    rules = [getattr(module, 'visibility_rule', None) for module in runner.model.modules()]
    if all(rule is None or rule.visibility != 'official' for rule in rules):
        return
    for dataset in datasets:
        labeled = _labeled_without_visible(dataset.built(runner.train_dataloader.dataset), dataset.steps)
        if labeled > VisibilityRule.patience_keypoints:
            raise DataError(
                f'none of the {labeled} labeled keypoints of {dataset.name} ({ann_file(dataset)}) has visibility 2: '
                'the dataset seems to clip visibility to 0/1, which would empty the targets of the coarse predictors. '
                "Use a dataset that keeps it (type='mmpose_mspn.CocoDataset'), or set visibility='labeled' in the loss "
                "(loss=dict(visibility='labeled') of the head)")


def _labeled_without_visible(built: object, steps: List[Step]) -> int:
    """Number of labeled keypoints that the model would be given of a dataset; 0 as soon as one of them is visible."""
    changes = [TRANSFORMS.build(step) for _, step in steps if type_name(step) in (
        'LoadVisibility', 'KeypointConverter')]
    labeled = 0
    for index in range(len(built)):
        info = built.get_data_info(index)
        if 'keypoints_visible' not in info:
            return 0
        for change in changes:
            info = change(info)
        visible = info['keypoints_visible']
        visible = visible[..., 0] if visible.ndim > 2 else visible  # behind mmpose's converter, weights follow
        if (visible >= VISIBLE).any():
            return 0
        labeled += int((visible > NOT_LABELED).sum())
    return labeled


# Warnings


def warn_of_data(datasets: Dict[str, List[InnerDataset]]) -> None:
    """Log a validation on the people of the training, and random steps in the pipeline of a test."""
    trained, validated = (set(filter(None, map(ann_file, datasets.get(split, ())))) for split in ('train', 'val'))
    for file in sorted(trained & validated):
        warn(f'val_dataloader and train_dataloader have the same ann_file, {file}: the validation measures people '
             'that the model was trained on')
    for split, inner in datasets.items():
        names = dict.fromkeys(type_name(step) for dataset in inner for _, step in dataset.steps)
        by_chance = [name for name in names if name.startswith('Random') or name in RANDOM_STEPS]
        if split != 'train' and by_chance:
            warn(f'{split}_dataloader.dataset.pipeline changes samples by chance ({", ".join(by_chance)}), so the '
                 'metrics are not those of the annotated people: take the pipeline of a test')


def warn(text: str) -> None:
    """Log a warning."""
    print_log(text, 'current', logging.WARNING)


def ann_file(dataset: InnerDataset) -> Optional[str]:
    """The annotation file of a dataset, below its ``data_root``."""
    file = dataset.config.get('ann_file')
    root = dataset.config.get('data_root') or ''
    return osp.realpath(osp.join(root, file)) if isinstance(file, str) and file else None
