"""Models from their files: devices, configs and weights."""
import copy
import logging
import re
from functools import partial
from pathlib import Path
from typing import Any, List, Mapping, Optional, Union

import torch
from mmcv.ops import get_compiling_cuda_version
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model.utils import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.models.builder import build_pose_estimator
from mmpose.registry import DATASETS
from torch import Tensor, nn

from mmpose_mspn.apis.config import all_configs, load_config
from mmpose_mspn.apis.drawing import Drawer
from mmpose_mspn.apis.pose_model import OnnxPoseModel, PoseModel, TorchPoseModel
from mmpose_mspn.checkpoints import convert, recognize
from mmpose_mspn.checkpoints.convert import weights_of
from mmpose_mspn.checkpoints.embedded_config import embedded_config, other_crops
from mmpose_mspn.checkpoints.fit import fill, refuse_incomplete_weights
from mmpose_mspn.checkpoints.infer_backbone import infer_backbone
from mmpose_mspn.checkpoints.published import checkpoint_file, published_config
from mmpose_mspn.checkpoints.reader import read_checkpoint
from mmpose_mspn.deploy.accelerate import DTYPES, named_dtype
from mmpose_mspn.utils.config_types import building, registered_class
from mmpose_mspn.utils.errors import CheckpointError, ConfigError, UserError

DATASET_NAMES = {16: 'mpii', 17: 'coco', 14: 'crowdpose', 133: 'coco-wholebody'}
"""The dataset in a config's name, by the number of keypoints."""
SHOWN = 6
"""Number of configs that a message names."""
ONNX = '.onnx'
COCO = 'configs/_base_/datasets/coco.py'
"""mmpose's own file, which names COCO's keypoints."""


def choose_device(device: Optional[str]) -> str:
    """Return ``device``, by default the first GPU if there is one and the CPU otherwise.

    Raises:
        UserError: torch cannot compute on the device.
    """
    if device is None:
        return 'cuda:0' if torch.cuda.is_available() else 'cpu'
    try:
        torch.zeros(1, device=device).tolist()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f'device must be one that torch can use here (cpu, and {torch.cuda.device_count()} CUDA '
                        f'devices counted from cuda:0), got {device!r}: {str(error).splitlines()[0]}') from error
    return device


def detector_device(device: str) -> str:
    """Return the device for a detector of mmdet: the CPU where mmcv's operators are not built for GPUs.

    Every detector calls one of them, non-maximum suppression, and would fail at its first image. With
    ``MMCV_CUDA=1 tools/setup_env.sh`` they are built, where an ``nvcc`` fits the installed torch.

    Args:
        device: The device of the pose estimator.
    """
    if torch.device(device).type == 'cpu' or get_compiling_cuda_version() != 'not available':
        return device
    print_log(f'the detector runs on the CPU, and the pose estimator on {device}: mmcv was built without its operators '
              'for GPUs. MMCV_CUDA=1 tools/setup_env.sh builds them', 'current', logging.WARNING)
    return 'cpu'


def check_file(name: str, path: Union[str, Path]) -> None:
    """Check that a file exists.

    Args:
        name: Argument that gave the path, for the message.

    Raises:
        FileNotFoundError: It does not exist.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'{name} {path} does not exist: name a file that does')


def load_pose_model(config: Union[str, Path, Config], checkpoint: Union[str, Path], device: str,
                    content: Optional[Mapping] = None) -> nn.Module:
    """Load a pose estimator as mmpose's ``init_model`` does, and check that every weight comes from the checkpoint.

    The names and the skeleton of the keypoints (``model.dataset_meta``) come from the checkpoint, or else from the
    config's training data, or else from its test data.

    Args:
        config: Config of the model, or its file.
        content: Content of the file, if it has been read already.

    Raises:
        FileNotFoundError: A file is missing.
        UserError: The config has no test pipeline, or the checkpoint belongs to another config.
    """
    cfg = config if isinstance(config, Config) else load_config(str(config))
    config = cfg.filename or 'given'
    if 'members' in (cfg.get('model') or {}):
        raise ConfigError(f'config {config} is an ensemble, which names its own checkpoints: infer.py takes one model; '
                          'test the ensemble with tools/test.py')
    if not cfg.get('test_dataloader'):
        raise ConfigError(f'config {config} has no test_dataloader, whose dataset\'s pipeline makes the crops: add one')
    if content is None:
        content = read_checkpoint(checkpoint)
    model = _build(cfg)
    refuse_incomplete_weights(content, model, checkpoint)
    sizes = other_crops(content, model, checkpoint)
    if sizes is not None:
        print_log(sizes, 'current', logging.WARNING)
    fill(model, content)
    meta = content.get('meta')
    stored = meta.get('dataset_meta') if isinstance(meta, Mapping) else None
    if stored is not None and not _is_complete(stored):
        print_log(f'the dataset_meta of checkpoint {checkpoint} is incomplete, or that of another library: the names '
                  f'of the keypoints are those of the data of config {config}', 'current', logging.WARNING)
        stored = None
    model.dataset_meta = _dataset_meta(cfg) if stored is None else stored
    return model.to(device).eval()


def _build(cfg: Config) -> nn.Module:
    """The config's model as ``init_model`` builds it, without weights."""
    init_default_scope(cfg.get('default_scope') or 'mmpose')
    with building('model', cfg.get('model')):
        settings = copy.deepcopy(cfg.model)  # the user's config stays as it is
        if 'init_cfg' in settings.backbone:
            settings.backbone.init_cfg = None
        settings.train_cfg = None
        model = revert_sync_batchnorm(build_pose_estimator(settings))
    model.cfg = cfg
    return model


def _is_complete(meta: object) -> bool:
    """Whether a checkpoint's ``dataset_meta`` is one of mmpose, with everything that predictions read of it."""
    if not isinstance(meta, Mapping) or not isinstance(meta.get('keypoint_id2name'), Mapping):
        return False
    count = len(meta['keypoint_id2name'])
    flips, links = meta.get('flip_indices'), meta.get('skeleton_links')
    return set(meta['keypoint_id2name']) == set(range(count)) and isinstance(links, (list, tuple)) and (
        isinstance(flips, (list, tuple)) and len(flips) == count)


def _dataset_meta(cfg: Config) -> dict:
    """The keypoints of the training data, or else of the test data, or else of COCO."""
    loader = cfg.get('train_dataloader') or cfg.get('test_dataloader') or {}
    dataset = loader.get('dataset') or {}
    dataset_class = registered_class(dataset.get('type'), DATASETS)
    return parse_pose_metainfo(
        dataset.get('metainfo') or getattr(dataset_class, 'METAINFO', None) or dict(from_file=COCO))


def check_weights(model: nn.Module, checkpoint: Union[str, Path]) -> None:
    """Check that a checkpoint has all weights of a model. It may have more.

    ``init_model`` and ``init_detector`` load the weights that fit, leave the others at random values and only log this.

    Raises:
        UserError: Weights are missing or not finite, or their shapes are not the model's.
    """
    refuse_incomplete_weights(read_checkpoint(checkpoint), model, checkpoint)



def load(checkpoint: Union[str, Path],
         config: Union[str, Path, Config, None] = None,
         device: Optional[str] = None,
         dtype: Union[torch.dtype, str, None] = None,
         fast: bool = True,
         detector: Any = None) -> PoseModel:
    """Load a model that predicts keypoints: ``load('4xmspn50', detector='human').predict('people.jpg').keypoints``.

    No code from the file is run: weights are read as weights, and the config that a checkpoint carries is read as plain
    data.

    Args:
        checkpoint: Name of published weights, see :func:`mmpose_mspn.list_models`, or the file or URL of a checkpoint
            of this package, of mmpose or of the official code, or an ``.onnx`` file of ``mmpose_mspn.export``.
            Downloads are kept in torch.hub's folder.
        config: Config of the model: a file, the name of one of the package's configs, or a loaded config. The default
            is the package's config for published weights, which the file's name tells, and otherwise the config that
            the checkpoint carries, as those of trainings do.
        device: Device of torch. The default is the first GPU if there is one and the CPU otherwise.
        dtype: ``torch.bfloat16`` or ``torch.float16``, or their names, makes predictions faster and moves keypoints by
            fractions of a pixel; ``None`` is float32. It needs ``fast``.
        fast: Whether to predict with an accelerated copy, see :func:`mmpose_mspn.accelerate`, whose results differ by
            rounding only.
        detector: Finds the people where ``predict`` is given no boxes: a name of mmpose's default detectors, such as
            ``'human'``, with its threshold; a config and a checkpoint of mmdet; or a function that takes an image
            (H, W, 3) BGR uint8 and returns boxes (N, 4), x, y, width, height in image px. The default takes the whole
            image as one box.

    Raises:
        FileNotFoundError: A file is missing.
        MissingPackageError: The file is an ``.onnx`` file and no runtime is installed.
        UserError: The checkpoint carries no config and none is given, does not fit the config, or an argument is
            wrong. The message says what to do.
    """
    checkpoint = checkpoint_file(checkpoint)
    find_people = None
    if detector is not None:
        from mmpose_mspn.apis.boxes import person_detector
        # Before the model, because the scope of the model that is built last remains the default scope.
        find_people = person_detector(detector, choose_device(device))
    if checkpoint.suffix.lower() == ONNX:
        for name, value in dict(config=config, device=device, dtype=dtype).items():
            if value is not None and (name, value) != ('device', 'cpu'):
                raise UserError(f'{name} is fixed in an exported model, got {name}={value} for {checkpoint}: omit '
                                f'{name}')
        model = OnnxPoseModel(checkpoint)
    else:
        model = _from_checkpoint(checkpoint, config, choose_device(device), _dtype(dtype), fast)
    model.detector = find_people
    return model


def _from_checkpoint(checkpoint: Path, config: Union[str, Path, Config, None], device: str,
                     dtype: Optional[torch.dtype], fast: bool) -> PoseModel:
    if dtype is not None and not fast:
        raise UserError(f'dtype {dtype} needs the accelerated copy of the model: keep fast=True, or omit dtype')
    content = read_checkpoint(checkpoint)
    is_default = config is None
    if is_default:
        config = find_config(content, checkpoint)
    elif not isinstance(config, Config):
        config = load_config(str(config))
    model = TorchPoseModel(*load_parts(config, checkpoint, device, content), fast=fast, dtype=dtype,
                           reload=partial(load_pose_model, config, checkpoint, device))
    print_log(f'{checkpoint}: {model}, config {"of these weights" if is_default else "as given"}', 'current')
    return model


def load_parts(config: Config, checkpoint: Union[str, Path], device: str, content: Optional[Mapping] = None) -> tuple:
    """The pose estimator with its weights, and what draws its results.

    Args:
        content: Content of the file, if it has been read already.

    Raises:
        UserError: The checkpoint does not fit the config.
    """
    model = load_pose_model(config, checkpoint, device, content)
    return model, Drawer(model.dataset_meta, config.get('visualizer'))


def find_config(content: Mapping, checkpoint: Union[str, Path]) -> Config:
    """The config of a checkpoint: the package's one for published weights, or the one that it carries.

    Args:
        content: Content of the file.

    Raises:
        CheckpointError: It carries none that is safe to use.
    """
    published = published_config(checkpoint)
    if published is not None:
        return load_config(published)
    weights = weights_of(content, checkpoint)
    config = embedded_config(content, checkpoint)
    if config is None:
        raise CheckpointError(ask_for_config(checkpoint, weights))
    return Config(config)


def _dtype(dtype: Union[torch.dtype, str, None]) -> Optional[torch.dtype]:
    if isinstance(dtype, str):
        return named_dtype(dtype)
    if dtype is torch.float32 or dtype is None:
        return None
    if dtype not in DTYPES.values():
        raise UserError(f'dtype must be one of {", ".join(DTYPES)}, got {dtype}')
    return dtype


def configs_for(weights: Mapping[str, Tensor]) -> List[str]:
    """Names of the package's configs that are likely for weights in one of the layouts of MSPN; none if unknown.

    They have the same number of stages, encoder and number of keypoints. Weights do not tell the size of the input, so
    several may be left.
    """
    try:
        converted = convert(weights)
        backbone = infer_backbone(converted)
        stages, depth = backbone['num_stages'], backbone['encoder']['depth']
    except (ValueError, KeyError, IndexError):
        return []
    last = [value for key, value in converted.items() if re.match(r'head\.predictors\.\d+\.\d+\.1\.conv\.weight', key)]
    dataset = DATASET_NAMES.get(len(last[0]), '') if last else ''
    pattern = re.compile(rf'td-hm_{f"{stages}x" if stages > 1 else ""}mspn{depth}_.*_{dataset}-\d+x\d+$')
    return [name for name in all_configs() if pattern.match(name)]


def ask_for_config(checkpoint: object, weights: Mapping[str, Tensor]) -> str:
    """The sentence that asks for the config of a checkpoint that carries none."""
    try:
        layout = {'official': 'the official code', 'mmpose': "mmpose's MSPN",
                  'mmpose_mspn': 'this package'}[recognize(weights)]
        what = f'it holds weights in the layout of {layout}'
    except ValueError:
        what = 'its layout is not one of MSPN'
    near = configs_for(weights)
    fitting = f', such as {", ".join(near[:SHOWN])}' if near else ''
    return (f'checkpoint {checkpoint} carries no config, and weights do not tell the size of the input or the codec '
            f'({what}): give config=, a file or the name of a config of the package{fitting}')
