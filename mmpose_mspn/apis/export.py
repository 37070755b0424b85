"""Export of a checkpoint: what tools/export.py does."""
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from mmpose_mspn.apis.config import load_config
from mmpose_mspn.apis.inputs import IMAGE_SUFFIXES
from mmpose_mspn.apis.load import load_pose_model
from mmpose_mspn.checkpoints.published import checkpoint_file, find_published
from mmpose_mspn.deploy.export import KIND, export
from mmpose_mspn.deploy.pictures import pictures_of_files
from mmpose_mspn.utils.errors import ConfigError, UserError
from mmpose_mspn.utils.outputs import check_outputs, refuse_empty


def export_checkpoint(config: str,
                      checkpoint: Optional[str],
                      out: str,
                      calibration: Optional[Sequence[str]] = None,
                      data_root: Optional[str] = None,
                      cfg_options: Optional[dict] = None,
                      **options) -> Dict[str, float]:
    """Export a checkpoint.

    Args:
        config: Config file, or without a checkpoint the name of published weights.
        checkpoint: Weights: a file, a URL or the name of published weights.
        out: The ``.onnx`` file.
        calibration: Pictures, or folders of them, each of one person.
        data_root: Folder that replaces the config's ``data_root``.
        cfg_options: Values to merge into the config.
        options: ``input``, ``precision``, ``flip``, ``heatmaps`` and ``stages`` of
            :func:`mmpose_mspn.deploy.export.export`, whose result is returned.

    Raises:
        FileNotFoundError: A file is missing.
        UserError: The model cannot be exported, or an argument is out of its range.
    """
    refuse_empty('--out', out)
    check_outputs('--out', [out], KIND)
    if checkpoint is None and find_published(config):
        checkpoint, config = config, find_published(config).config
    cfg = load_config(config, cfg_options, data_root)
    if 'members' in (cfg.get('model') or {}):
        raise ConfigError(f'config {config} is an ensemble, which cannot be exported: export each of its members by '
                          'its own config and checkpoint')
    if checkpoint is None:
        raise UserError('the checkpoint is missing: name the weights of the model')
    checkpoint = checkpoint_file(checkpoint)
    pictures = None if calibration is None else pictures_of_files(_files(calibration))
    model = load_pose_model(cfg, checkpoint, 'cpu')
    return export(model, out, calibration=pictures, checkpoint=checkpoint, **options)


def _files(paths: Sequence[str]) -> List[Path]:
    files: List[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(f'calibration {path} does not exist: name pictures or a folder of pictures')
        files += sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES) if path.is_dir() \
            else [path]
    return files
