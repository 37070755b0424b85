"""Model ensembles: the mean of several estimators' heatmaps (MSPN+ of the paper's COCO tables)."""
from typing import List, NamedTuple, Optional, Tuple, Union

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.structures import PixelData
from mmpose.codecs.base import BaseKeypointCodec
from mmpose.models.heads.base_head import BaseHead
from mmpose.models.pose_estimators import TopdownPoseEstimator as MmposeTopdownPoseEstimator
from mmpose.registry import KEYPOINT_CODECS as MMPOSE_CODECS
from mmpose.registry import MODELS as MMPOSE_MODELS
from mmpose.utils.typing import OptSampleList, SampleList
from torch import Tensor, nn
from torch.nn import functional as F

from mmpose_mspn.checkpoints.fit import compare_with_model, fill
from mmpose_mspn.checkpoints.reader import read_checkpoint
from mmpose_mspn.models.pose_estimators.test_time_augmentation import check_shifts, mean_heatmaps
from mmpose_mspn.models.pose_estimators.topdown import check_stages
from mmpose_mspn.registry import MODELS
from mmpose_mspn.utils.errors import CheckpointError, ConfigError

PIXELS = dict(mean=None, std=None, bgr_to_rgb=False, rgb_to_bgr=False)
"""The arguments of a data preprocessor that change pixels, with their defaults."""


class _Member(NamedTuple):
    """A member's name in messages, the config of its data preprocessor, and its estimator."""
    name: str
    preprocessor: Optional[dict]
    model: nn.Module


@MODELS.register_module()
class EnsemblePoseEstimator(MmposeTopdownPoseEstimator):
    """Averages the heatmaps of any number of trained top-down estimators and decodes the mean.

    It is for testing only, with the stock test runner. The members' weights are loaded when it is built, so the runner
    needs no checkpoint. Members may differ in network and in input size: the pipeline cuts crops of the ensemble's
    ``decoder.input_size``, from which the crops of members with smaller inputs are sampled, and all heatmaps are
    resized to ``decoder.heatmap_size``.

    Args:
        members: One dict per member: ``config`` (a file or its content), ``checkpoint`` (a file or URL, in any layout
            that the member's estimator reads) and ``weight`` in the mean, > 0, default 1.
        decoder: Config of the codec that decodes the mean: of the class of every member's codec, with the largest of
            their input sizes, all of which have the same aspect ratio.
        data_preprocessor: Normalization of the pixels, the same for all members; default: the first member's.
        test_cfg: The ensemble's ``flip_test`` with its settings, ``shift_test`` (see
            :class:`mmpose_mspn.models.pose_estimators.topdown.TopdownPoseEstimator`), ``output_heatmaps`` and
            ``output_keypoint_indices``. The members' own ``test_cfg`` are not used.
        metainfo: As in mmpose's estimators.

    Raises:
        ConfigError: A member does not fit the others or the decoder; the message names its config.
    """

    # mmpose's heads decode with this method, which uses nothing of a head but its decoder.
    decode = BaseHead.decode

    def __init__(self,
                 members: List[dict],
                 decoder: dict,
                 data_preprocessor: Optional[dict] = None,
                 test_cfg: Optional[dict] = None,
                 metainfo: Optional[dict] = None) -> None:
        if not members:
            raise ConfigError('members must hold at least one dict(config=..., checkpoint=...), got none')
        built = [_build(index, **_checked(index, member)) for index, member in enumerate(members)]
        preprocessor = data_preprocessor or built[0].preprocessor
        # Not mmpose's __init__, which builds one backbone and one head; an ensemble has neither.
        BaseModel.__init__(self, data_preprocessor=preprocessor)
        self.metainfo = self._load_metainfo(metainfo)
        self.train_cfg: dict = {}
        self.test_cfg = test_cfg or {}
        check_shifts(self.test_cfg.get('shift_test'))
        check_stages(self, self.test_cfg.get('stages'))
        self.decoder = MMPOSE_CODECS.build(decoder)
        for member in built:
            _check_pixels(member, preprocessor)
            _check_head(member, built[0], self.decoder)
        self.members = nn.ModuleList(member.model for member in built)
        self.weights = [float(member.get('weight', 1)) for member in members]

    def predict(self, inputs: Tensor, data_samples: SampleList) -> SampleList:
        """The samples, with ``pred_instances`` in image px, as from a single estimator.

        Args:
            inputs: (B, 3, h, w), normalized, of the decoder's input size.
            data_samples: The B samples.

        Raises:
            ConfigError: The crops are of another size.
        """
        w, h = self.decoder.input_size
        if inputs.shape[2:] != (h, w):
            raise ConfigError(f'the crops are {inputs.shape[3]} x {inputs.shape[2]} px, the decoder of the ensemble '
                              f'has input_size={(w, h)}: let TopdownAffine cut that size')
        maps = self.average(inputs, data_samples)
        instances = self.decode(maps)
        fields = [PixelData(heatmaps=sample_maps) for sample_maps in maps] if self.test_cfg.get(
            'output_heatmaps', False) else None
        return self.add_pred_to_datasample(instances, fields, data_samples)

    def average(self, inputs: Tensor, data_samples: SampleList) -> Tensor:
        """Weighted mean (B, K, H, W) of the members' heatmaps, of the decoder's ``heatmap_size``.

        Args:
            inputs: (B, 3, h, w), normalized, of the decoder's input size.
            data_samples: The B samples.
        """
        columns, rows = self.decoder.heatmap_size
        total = 0.
        for member, weight in zip(self.members, self.weights):
            maps = mean_heatmaps(member, resample(inputs, member.head.decoder.input_size), data_samples, self.test_cfg)
            if maps.shape[2:] != (rows, columns):
                # Half-cell alignment: in maps of any size, the value of a cell is that of its center.
                maps = F.interpolate(maps, size=(rows, columns), mode='bilinear', align_corners=False)
            total = total + weight * maps
        return total / sum(self.weights)

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict:
        """Refused: an ensemble cannot be trained."""
        raise RuntimeError('an ensemble cannot be trained: train each member with its own config, then name its '
                           'checkpoint in members')

    def _forward(self, inputs: Tensor, data_samples: OptSampleList = None) -> list:
        """The output of each member's ``forward``, without flip test or mean."""
        return [member(resample(inputs, member.head.decoder.input_size), data_samples) for member in self.members]


def resample(crops: Tensor, size: Tuple[int, int]) -> Tensor:
    """The crops (B, 3, h', w') that the pipeline would cut from the same boxes at another ``size``.

    ``TopdownAffine`` puts px (i, j) of a crop at the shares i / w and j / h of the box, so px i of the result lies at
    px i · w / w' of ``crops``. torch's ``interpolate`` has no such alignment: its positions would be off by up to half
    a px.

    Args:
        crops: (B, 3, h, w).
        size: (w', h'), neither larger than (w, h).
    """
    width, height = size
    h, w = crops.shape[2:]
    if (width, height) == (w, h):
        return crops
    x = torch.arange(width, device=crops.device, dtype=torch.float32) * w / width
    y = torch.arange(height, device=crops.device, dtype=torch.float32) * h / height
    # grid_sample's coordinates go from -1 at the first px to 1 at the last.
    rows, columns = torch.meshgrid(y * 2 / (h - 1) - 1, x * 2 / (w - 1) - 1, indexing='ij')
    grid = torch.stack([columns, rows], -1).to(crops.dtype)
    return F.grid_sample(crops, grid.expand(len(crops), -1, -1, -1), mode='bilinear', align_corners=True)


def _checked(index: int, member: dict) -> dict:
    """``config`` and ``checkpoint`` of an entry of ``members``, which is checked."""
    unknown = set(member) - {'config', 'checkpoint', 'weight'}
    missing = {'config', 'checkpoint'} - set(member)
    if unknown or missing:
        raise ConfigError(f'members[{index}] must hold config, checkpoint and, optionally, weight, got '
                          f'{sorted(member)}')
    if not member.get('weight', 1) > 0:
        raise ConfigError(f'the weight of members[{index}] must be > 0, got {member["weight"]}')
    return dict(config=member['config'], checkpoint=member['checkpoint'])


def _build(index: int, config: Union[str, dict], checkpoint: str) -> _Member:
    """A member with its weights loaded."""
    is_content = isinstance(config, dict)
    cfg = Config(config) if is_content else Config.fromfile(config)
    name = f'members[{index}]' if is_content else f'members[{index}] ({config})'
    model_cfg = cfg.model
    model_cfg.backbone.pop('init_cfg', None)  # its weights come from the checkpoint
    model = MMPOSE_MODELS.build(model_cfg)
    content = read_checkpoint(checkpoint)
    mismatches = compare_with_model(content, model)
    if mismatches:
        raise CheckpointError(f'{name}: {checkpoint} is not a checkpoint of this config: {mismatches}')
    fill(model, content)
    return _Member(name, model_cfg.get('data_preprocessor'), model)


def _check_pixels(member: _Member, preprocessor: Optional[dict]) -> None:
    """Refuse a member whose pixels are normalized in another way than the ensemble's."""
    for argument, default in PIXELS.items():
        value, expected = ((cfg or {}).get(argument, default) for cfg in (member.preprocessor, preprocessor))
        value, expected = (list(setting) if isinstance(setting, tuple) else setting for setting in (value, expected))
        if value != expected:
            raise ConfigError(f'{member.name} was trained with data_preprocessor {argument}={value}, the ensemble has '
                              f'{argument}={expected}: only members with the same normalization can share crops')


def _check_head(member: _Member, first: _Member, decoder: BaseKeypointCodec) -> None:
    """Refuse a member whose codec, keypoints or input size do not fit the ensemble's."""
    codec = getattr(member.model.head, 'decoder', None)
    if type(codec) is not type(decoder):
        raise ConfigError(f'{member.name} decodes by {type(codec).__name__}, the ensemble by {type(decoder).__name__}: '
                          'heatmaps of different codecs differ in scale and alignment and cannot be averaged')
    keypoints, expected = (entry.model.head.out_channels for entry in (member, first))
    if keypoints != expected:
        raise ConfigError(f'{member.name} predicts {keypoints} keypoints, {first.name} {expected}')
    (w, h), (width, height) = codec.input_size, decoder.input_size
    if w > width or h > height or w * height != h * width:
        raise ConfigError(f"{member.name} has input_size={(w, h)}; it must have the aspect ratio of the ensemble's "
                          f'decoder, input_size={(width, height)}, and not be larger')
