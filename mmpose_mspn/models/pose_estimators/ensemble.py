"""Model ensembles: the mean of several estimators' heatmaps (MSPN+ of the paper's COCO tables)."""
from typing import List, NamedTuple, Optional, Tuple, Union

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import load_checkpoint
from mmengine.structures import PixelData
from mmpose.codecs.base import BaseKeypointCodec
from mmpose.models.heads.base_head import BaseHead
from mmpose.models.pose_estimators import TopdownPoseEstimator as MmposeTopdownPoseEstimator
from mmpose.registry import KEYPOINT_CODECS as MMPOSE_CODECS
from mmpose.registry import MODELS as MMPOSE_MODELS
from mmpose.utils.typing import OptSampleList, SampleList
from torch import Tensor, nn
from torch.nn import functional as F

from mmpose_mspn.checkpoints.fit import compare_with_model
from mmpose_mspn.models.pose_estimators.views import check_shifts, heatmaps
from mmpose_mspn.registry import MODELS

PIXELS = dict(mean=None, std=None, bgr_to_rgb=False, rgb_to_bgr=False)
"""What a data preprocessor does to pixels: its arguments and their defaults."""


class _Member(NamedTuple):
    name: str
    preprocessor: Optional[dict]
    model: nn.Module


@MODELS.register_module()
class EnsemblePoseEstimator(MmposeTopdownPoseEstimator):
    """Averages the heatmaps of any number of trained top-down estimators and decodes the mean.

    For testing, with the stock test runner; the members' weights are loaded while it is built, so the runner needs no
    checkpoint. Members may differ in network and in input size: the pipeline cuts crops of the ensemble's
    ``decoder.input_size``, from which smaller members' crops are sampled, and their heatmaps are resized to
    ``decoder.heatmap_size``.

    Args:
        members: One dict each: ``config`` (file, or its content), ``checkpoint`` (file or URL, in any layout that the
            member's estimator reads) and ``weight`` in the mean, > 0, 1 unless given.
        decoder: Codec that decodes the mean. Its class is every member's, its input the largest of theirs, of the same
            aspect ratio.
        data_preprocessor: Pixels' normalization, the same for all; the first member's unless given.
        test_cfg: The ensemble's: ``flip_test`` with its settings, ``shift_test`` (see
            :class:`mmpose_mspn.models.pose_estimators.topdown.TopdownPoseEstimator`), ``output_heatmaps`` and
            ``output_keypoint_indices``. The members' own are not used.
        metainfo: As for mmpose's estimators.

    Raises:
        ValueError: A member does not fit the others or the decoder; it is named by its config.
    """

    # mmpose's, of which it takes nothing but a decoder.
    decode = BaseHead.decode

    def __init__(self,
                 members: List[dict],
                 decoder: dict,
                 data_preprocessor: Optional[dict] = None,
                 test_cfg: Optional[dict] = None,
                 metainfo: Optional[dict] = None) -> None:
        if not members:
            raise ValueError('members must hold at least one dict(config=..., checkpoint=...), got none')
        built = [_build(index, **_checked(index, member)) for index, member in enumerate(members)]
        preprocessor = data_preprocessor or built[0].preprocessor
        # mmpose's estimators build one backbone and one head, of which an ensemble has none of its own.
        BaseModel.__init__(self, data_preprocessor=preprocessor)
        self.metainfo = self._load_metainfo(metainfo)
        self.train_cfg: dict = {}
        self.test_cfg = test_cfg or {}
        check_shifts(self.test_cfg.get('shift_test'))
        self.decoder = MMPOSE_CODECS.build(decoder)
        for member in built:
            _check_pixels(member, preprocessor)
            _check_head(member, built[0], self.decoder)
        self.members = nn.ModuleList(member.model for member in built)
        self.weights = [float(member.get('weight', 1)) for member in members]

    def predict(self, inputs: Tensor, data_samples: SampleList) -> SampleList:
        """Samples with ``pred_instances`` in image px, as a single estimator's.

        Args:
            inputs: (B, 3, h, w), normalized, of the decoder's input size.
            data_samples: The B samples.
        """
        w, h = self.decoder.input_size
        if inputs.shape[2:] != (h, w):
            raise ValueError(f'the crops are {inputs.shape[3]} x {inputs.shape[2]} px, the decoder of the ensemble has '
                             f'input_size={(w, h)}: let TopdownAffine cut that size')
        maps = self.average(inputs, data_samples)
        instances = self.decode(maps)
        fields = [PixelData(heatmaps=sample_maps) for sample_maps in maps] if self.test_cfg.get(
            'output_heatmaps', False) else None
        return self.add_pred_to_datasample(instances, fields, data_samples)

    def average(self, inputs: Tensor, data_samples: SampleList) -> Tensor:
        """Weighted mean (B, K, H, W) of the members' heatmaps, of the decoder's size."""
        columns, rows = self.decoder.heatmap_size
        total = 0.
        for member, weight in zip(self.members, self.weights):
            maps = heatmaps(member, resample(inputs, member.head.decoder.input_size), data_samples, self.test_cfg)
            if maps.shape[2:] != (rows, columns):
                # A cell's center stands for it, in maps of any size: half-cell alignment.
                maps = F.interpolate(maps, size=(rows, columns), mode='bilinear', align_corners=False)
            total = total + weight * maps
        return total / sum(self.weights)

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict:
        raise RuntimeError('an ensemble cannot be trained: train each member with its own config, then name its '
                           'checkpoint in members')

    def _forward(self, inputs: Tensor, data_samples: OptSampleList = None) -> list:
        """What each member gives for its crops, without flip test or mean."""
        return [member(resample(inputs, member.head.decoder.input_size), data_samples) for member in self.members]


def resample(crops: Tensor, size: Tuple[int, int]) -> Tensor:
    """The crops (B, 3, h, w) that the same boxes would give at ``size`` (w', h'), none of them larger.

    ``TopdownAffine`` puts px (i, j) of a crop at the shares i / w and j / h of the box, so px i of the result lies at
    i · w / w'. torch's ``interpolate`` knows no such alignment: its centers would be off by up to half a px.
    """
    width, height = size
    h, w = crops.shape[2:]
    if (width, height) == (w, h):
        return crops
    x = torch.arange(width, device=crops.device, dtype=torch.float32) * w / width
    y = torch.arange(height, device=crops.device, dtype=torch.float32) * h / height
    # grid_sample counts from -1 at the first px to 1 at the last
    rows, columns = torch.meshgrid(y * 2 / (h - 1) - 1, x * 2 / (w - 1) - 1, indexing='ij')
    grid = torch.stack([columns, rows], -1).to(crops.dtype)
    return F.grid_sample(crops, grid.expand(len(crops), -1, -1, -1), mode='bilinear', align_corners=True)


def _checked(index: int, member: dict) -> dict:
    """``config`` and ``checkpoint`` of an entry of ``members``."""
    unknown = set(member) - {'config', 'checkpoint', 'weight'}
    missing = {'config', 'checkpoint'} - set(member)
    if unknown or missing:
        raise ValueError(f'members[{index}] must hold config, checkpoint and perhaps weight, got {sorted(member)}')
    if not member.get('weight', 1) > 0:
        raise ValueError(f'the weight of members[{index}] must be > 0, got {member["weight"]}')
    return dict(config=member['config'], checkpoint=member['checkpoint'])


def _build(index: int, config: Union[str, dict], checkpoint: str) -> _Member:
    is_content = isinstance(config, dict)
    cfg = Config(config) if is_content else Config.fromfile(config)
    name = f'members[{index}]' if is_content else f'members[{index}] ({config})'
    model_cfg = cfg.model
    model_cfg.backbone.pop('init_cfg', None)  # its weights come from the checkpoint
    model = MMPOSE_MODELS.build(model_cfg)
    try:
        mismatches = compare_with_model(load_checkpoint(model, checkpoint, map_location='cpu'), model)
    except RuntimeError as error:
        raise ValueError(f'{name}: {checkpoint} is not a checkpoint of this config: {error}') from error
    if mismatches:
        raise ValueError(f'{name}: {checkpoint} is not a checkpoint of this config: {mismatches}')
    return _Member(name, model_cfg.get('data_preprocessor'), model)


def _check_pixels(member: _Member, preprocessor: Optional[dict]) -> None:
    for argument, default in PIXELS.items():
        value, wanted = ((cfg or {}).get(argument, default) for cfg in (member.preprocessor, preprocessor))
        value, wanted = (list(given) if isinstance(given, tuple) else given for given in (value, wanted))
        if value != wanted:
            raise ValueError(f'{member.name} was trained with data_preprocessor {argument}={value}, the ensemble has '
                             f'{argument}={wanted}: only members that take the same pixels can share crops')


def _check_head(member: _Member, first: _Member, decoder: BaseKeypointCodec) -> None:
    own = getattr(member.model.head, 'decoder', None)
    if type(own) is not type(decoder):
        raise ValueError(f'{member.name} decodes by {type(own).__name__}, the ensemble by {type(decoder).__name__}: '
                         'heatmaps of different codecs have different heights and places, and no mean')
    keypoints, wanted = (entry.model.head.out_channels for entry in (member, first))
    if keypoints != wanted:
        raise ValueError(f'{member.name} predicts {keypoints} keypoints, {first.name} {wanted}')
    (w, h), (width, height) = own.input_size, decoder.input_size
    if w > width or h > height or w * height != h * width:
        raise ValueError(f'{member.name} has input_size={(w, h)}; it must be of the aspect ratio of the ensemble\'s '
                         f'decoder, input_size={(width, height)}, and not larger')
