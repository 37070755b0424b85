"""``tools/diagnose.py`` as a function: from a config and predictions to a page that explains the figure."""
from pathlib import Path
from typing import List, Optional, Sequence, Union

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmpose.apis import init_model
from torch import nn

from mmpose_mspn.diagnosis.cases import cases, worst
from mmpose_mspn.diagnosis.compare import read_others, side_by_side
from mmpose_mspn.diagnosis.curves import find_logs, read_curves
from mmpose_mspn.diagnosis.errors import diagnose as diagnose_errors
from mmpose_mspn.diagnosis.network import predict_test_data, stage_table, write_results
from mmpose_mspn.diagnosis.pictures import case_picture
from mmpose_mspn.diagnosis.report import about, check_page_packages, write_report
from mmpose_mspn.diagnosis.sources import Source, read_source
from mmpose_mspn.diagnosis.stages import has_stages
from mmpose_mspn.diagnosis.summary import summarize
from mmpose_mspn.diagnosis.viewer import Viewer

from .config import ensure_synthetic, load_config
from .loading import check_file, check_weights, choose_device

PathLike = Union[str, Path]
PREDICTIONS = 'predictions.json'
"""What the network predicted, in the folder of the report."""
PEOPLE = 50
"""Cases on a page."""


def diagnose(config: PathLike,
             out: PathLike,
             checkpoint: Optional[PathLike] = None,
             predictions: Optional[PathLike] = None,
             data_root: Optional[PathLike] = None,
             compare: Sequence[PathLike] = (),
             people: int = PEOPLE,
             device: Optional[str] = None,
             cfg_options: Optional[dict] = None) -> dict:
    """Explain a figure: ``out/index.html``, a page of one file, and ``out/diagnosis.json`` with all of its numbers.

    Args:
        config: Config, whose ``test_dataloader`` and ``test_evaluator`` say what is measured and how.
        out: Folder of the results, made if missing.
        checkpoint: Weights of the config's model: they predict, and the report shows the network's stages and, where
            the log lies beside them, its losses. An ensemble, whose config names its own, goes without.
        predictions: A results file of any model for these people, in place of the network's own predictions.
        data_root: Takes the place of the config's ``data_root``.
        compare: ``diagnosis.json`` of other models on the same data, to be set beside this one.
        people: Cases that the page shows, >= 1.
        device: Of torch; default: the first GPU where there is one, else the CPU.
        cfg_options: Values to merge into the config.

    Returns:
        What ``diagnosis.json`` holds; docs/diagnose.md describes it.

    Raises:
        FileNotFoundError: A file is missing.
        ImportError: A package that makes the page is not installed.
        ValueError: An argument, or what is in a file, is wrong.
    """
    if people < 1:
        raise ValueError(f'people must be >= 1, got {people}')
    check_page_packages()
    cfg = load_config(str(config), cfg_options, None if data_root is None else str(data_root))
    init_default_scope(cfg.get('default_scope') or 'mmpose')
    out = Path(out)
    model = _model(cfg, checkpoint, device)
    if model is None and predictions is None:
        raise ValueError('there is nothing to explain: give a checkpoint, whose network predicts, or predictions '
                         '(--predictions), the results file of any model')
    if predictions is not None:
        check_file('predictions', predictions)
    ensure_synthetic(cfg)
    source = read_source(cfg)
    stages = None
    if model is not None:
        print_log('diagnosis: one pass over the data', 'current')
        result = predict_test_data(model, cfg)
        if has_stages(model):
            stages = stage_table(source, result)
        if predictions is None:
            predictions = out / PREDICTIONS
            write_results(source, result, predictions)
    print_log('diagnosis: errors', 'current')
    content = measure(source, predictions)
    content['about'] = about(config=config, checkpoint=checkpoint, predictions=predictions,
                             annotations=source.truth.file, pictures=None)
    content['stages'] = stages
    content['curves'] = read_curves(find_logs(checkpoint)) or None if checkpoint is not None else None
    content['compare'] = side_by_side(content, read_others(compare)) if compare else None
    print_log('diagnosis: pictures', 'current')
    shown = worst(content['cases'], people)
    paths = _paths(source, shown)
    pictures = {record['id']: case_picture(record, path) for record, path in zip(shown, paths)}
    page = write_report(
        out,
        content,
        shown,
        {name: picture for name, picture in pictures.items() if picture is not None},
        _viewed(model, cfg, source, shown, paths),
        flip_test=bool(model is not None and (model.test_cfg or {}).get('flip_test', False)))
    print_log(f'diagnosis: {page}', 'current')
    return content


def measure(source: Source, predictions: PathLike) -> dict:
    """The numbers that need no network: of a results file, in full.

    Args:
        source: The test data.
        predictions: The results file.
    """
    found = source.read_predictions(predictions)
    metrics = source.measure(predictions)
    errors = diagnose_errors(source.truth, found, source.keypoints, source.figure.by_id)
    content = summarize(source.truth, found, source.keypoints, source.figure, errors)
    content.update(
        metrics=metrics,
        keypoint_names=list(source.keypoints.names),
        skeleton=[list(link) for link in source.keypoints.links],
        pck_name='PCKh' if source.figure.by_id else 'PCK',
        cases=cases(source.truth, found, errors))
    return content


def _model(cfg: Config, checkpoint: Optional[PathLike], device: Optional[str]) -> Optional[nn.Module]:
    """The model with its weights; an ensemble's members have their own. ``None`` where there is neither."""
    ensemble = 'members' in cfg.model
    if checkpoint is None and not ensemble:
        return None
    if checkpoint is not None:
        check_file('checkpoint', checkpoint)
    model = init_model(cfg, None if checkpoint is None else str(checkpoint), device=choose_device(device))
    if checkpoint is not None:
        check_weights(model, checkpoint)
    return model


def _paths(source: Source, records: List[dict]) -> List[Optional[str]]:
    by_id = {image.id: image.path for image in source.truth.images}
    return [by_id[record['image_id']] for record in records]


def _viewed(model: Optional[nn.Module], cfg: Config, source: Source, records: List[dict],
            paths: List[Optional[str]]) -> List[dict]:
    """What the stage viewer shows, in the cases' order."""
    if model is None or not has_stages(model):
        return []
    looked = Viewer(model, cfg, source.keypoints, source.meta).look(records, paths)
    return [entry for entry in looked if entry is not None]


