"""``tools/diagnose.py`` as a function, and the report of ``tools/infer.py``: what a network does, as a page."""
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Union

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from torch import nn

from mmpose_mspn.apis.config import load_config
from mmpose_mspn.apis.load import check_file, check_weights, choose_device
from mmpose_mspn.checkpoints.published import checkpoint_file
from mmpose_mspn.diagnosis.cases import cases, empty_record, worst
from mmpose_mspn.diagnosis.errors import RULES
from mmpose_mspn.diagnosis.errors import diagnose as diagnose_errors
from mmpose_mspn.diagnosis.people import KeypointSet
from mmpose_mspn.diagnosis.report import (
    JSON_FILE,
    PAGE_FILE,
    about,
    check_page_packages,
    find_logs,
    read_curves,
    read_diagnoses,
    side_by_side,
    write_report,
)
from mmpose_mspn.diagnosis.sources import KIND, Source, read_source
from mmpose_mspn.diagnosis.stages import has_stages, predict_test_data, stage_table, write_results
from mmpose_mspn.diagnosis.summary import summarize
from mmpose_mspn.diagnosis.viewer import Viewer, case_picture
from mmpose_mspn.utils.errors import UserError
from mmpose_mspn.utils.outputs import check_outputs, refuse_empty

PathLike = Union[str, Path]
PREDICTIONS = 'predictions.json'
"""Name of the file with the network's predictions, in the folder of the report."""
PEOPLE = 50
"""Default number of cases on a page."""


def diagnose(config: PathLike,
             out: PathLike,
             checkpoint: Optional[PathLike] = None,
             predictions: Optional[PathLike] = None,
             data_root: Optional[PathLike] = None,
             compare: Sequence[PathLike] = (),
             people: int = PEOPLE,
             device: Optional[str] = None,
             cfg_options: Optional[dict] = None,
             error_rule: str = RULES[0]) -> dict:
    """Explain the AP (MPII: PCKh) of a model, and write ``index.html`` and ``diagnosis.json`` to a folder.

    Args:
        config: Config. Its ``test_dataloader`` and ``test_evaluator`` define what is measured.
        out: Folder for the results, created if it is missing.
        checkpoint: Weights of the config's model: a file, or a name or URL as for :func:`mmpose_mspn.load`. The model
            predicts, the page shows its stages and, if the log lies beside the checkpoint, its losses. An ensemble
            needs none, because its config names the checkpoints.
        predictions: Results file of any model for the same data. It replaces the network's own predictions.
        data_root: Replaces ``data_root`` of the config.
        compare: ``diagnosis.json`` of other models on the same data, which the page shows beside this one.
        people: Number of cases on the page, >= 1.
        device: Device of torch. The default is the first GPU if there is one and the CPU otherwise.
        cfg_options: Values to merge into the config.
        error_rule: ``'own'``, or ``'published'`` as in Ronchi and Perona's code, see
            :mod:`mmpose_mspn.diagnosis.errors`.

    Returns:
        The content of ``diagnosis.json``, see docs/diagnose.md.

    Raises:
        FileNotFoundError: A file is missing.
        MissingPackageError: A package that the page needs is not installed.
        UserError: An argument or the content of a file is wrong.
    """
    if people < 1:
        raise UserError(f'people must be >= 1, got {people}')
    check_page_packages()
    read = [path for path in (checkpoint, predictions, *compare) if path is not None]
    check_report_folder('--out', out, predictions is None, read)
    cfg = load_config(str(config), cfg_options, None if data_root is None else str(data_root))
    init_default_scope(cfg.get('default_scope') or 'mmpose')
    if checkpoint is not None:
        checkpoint = str(checkpoint_file(checkpoint))
    if predictions is not None:
        check_file('predictions', predictions)
    others = read_diagnoses(compare)
    model = _load_model(cfg, checkpoint, device)
    if model is None and predictions is None:
        raise UserError('there are no predictions to explain: give a checkpoint, or a results file of any model '
                        '(predictions, --predictions)')
    logs = [] if checkpoint is None else find_logs(Path(checkpoint).parent)
    return explain(cfg, out, model, predictions, dict(config=config, checkpoint=checkpoint), logs, others, people,
                   error_rule)


def check_report_folder(option: str, out: PathLike, predicts: bool = True, sources: Sequence[PathLike] = ()) -> None:
    """Check before a run that a report can be written to a folder, as :func:`mmpose_mspn.utils.outputs.check_outputs`.

    Args:
        option: Name of the option that gives the folder.
        out: The folder.
        predicts: Whether predictions are written too.
        sources: Files that the run reads.
    """
    refuse_empty(option, out)
    names = [PAGE_FILE, JSON_FILE, *[PREDICTIONS] * predicts]
    check_outputs(option, [Path(out) / name for name in names], KIND, sources)


def explain(cfg: Config,
            out: PathLike,
            model: Optional[nn.Module],
            predictions: Optional[PathLike] = None,
            names: Optional[Dict[str, Optional[PathLike]]] = None,
            logs: Sequence[Path] = (),
            others: Sequence[dict] = (),
            people: int = PEOPLE,
            error_rule: str = RULES[0]) -> dict:
    """:func:`diagnose` with a loaded config and model.

    Args:
        model: The model in eval mode; ``None`` if there are predictions only.
        predictions: Results file; by default the model's predictions.
        names: ``config`` and ``checkpoint``, which the page names.
        others: Other diagnoses, from :func:`mmpose_mspn.diagnosis.report.read_diagnoses`.
        people: Number of cases on the page.
        error_rule: As for :func:`diagnose`.

    Returns:
        The content of ``diagnosis.json``.
    """
    out, source, stages = Path(out), read_source(cfg), None
    if model is not None:
        print_log('diagnosis: one pass over the data', 'current')
        result = predict_test_data(model, cfg)
        if has_stages(model):
            stages = stage_table(source, result)
        if predictions is None:
            predictions = out / PREDICTIONS
            write_results(source, result, predictions)
    print_log('diagnosis: errors', 'current')
    content = measure(source, predictions, error_rule)
    content.update(
        about=about(**(names or {}), predictions=predictions, annotations=source.truth.file),
        stages=stages,
        curves=read_curves(logs) or None,
        compare=side_by_side(content, others) if others else None)
    shown = worst(content['cases'], people)
    by_id = {image.id: image.path for image in source.truth.images}
    paths = [by_id[record['image_id']] for record in shown]
    _write_page(out, content, shown, paths, model, cfg, source.keypoints, source.meta)
    return content


def measure(source: Source, predictions: PathLike, error_rule: str = RULES[0]) -> dict:
    """The part of a diagnosis that needs only a results file.

    Returns:
        Entries of ``diagnosis.json``.
    """
    people = source.read_predictions(predictions)
    metrics = source.measure(predictions)
    errors = diagnose_errors(source.truth, people, source.keypoints, source.figure.by_id, error_rule)
    content = summarize(source.truth, people, source.keypoints, source.figure, errors)
    content.update(
        metrics=metrics,
        **_describe(source.keypoints),
        pck_name='PCKh' if source.figure.by_id else 'PCK',
        cases=cases(source.truth, people, errors))
    return content


def report_pictures(model: nn.Module, out: PathLike, images: Sequence[dict], folder: PathLike,
                    people: int = PEOPLE) -> None:
    """Write the page of pictures without annotations: everyone predicted, and the network's heatmaps.

    Args:
        model: Pose estimator of :func:`~mmpose_mspn.apis.load.load_pose_model`.
        out: Folder for ``index.html`` and ``diagnosis.json``.
        images: The images of ``predictions.json``, see :func:`mmpose_mspn.apis.inference.infer`.
        people: Number of people on the page, >= 1: those with the lowest scores.
    """
    keypoints = KeypointSet.from_metainfo(model.dataset_meta)
    records = [
        empty_record(id=f'prediction-{number}-{index}', image_id=number, file=image['image'], prediction=index,
                     score=instance['score'], predicted_box=instance['bbox'], predicted=instance['keypoints'])
        for number, image in enumerate(images) for index, instance in enumerate(image['instances'])
    ]
    records.sort(key=lambda record: record['score'])
    content = dict(
        about=about(pictures=folder),
        counts=dict(images=len(images), predictions=len(records)),
        **_describe(keypoints),
        cases=records)
    shown = records[:people]
    paths = [str(Path(folder) / record['file']) for record in shown]
    _write_page(Path(out), content, shown, paths, model, model.cfg, keypoints, model.dataset_meta)


def _describe(keypoints: KeypointSet) -> dict:
    return dict(keypoint_names=list(keypoints.names), skeleton=[list(link) for link in keypoints.links])


def _load_model(cfg: Config, checkpoint: Optional[PathLike], device: Optional[str]) -> Optional[nn.Module]:
    """The model with its weights, or ``None`` if there is no checkpoint and the config is not of an ensemble."""
    if checkpoint is None and 'members' not in cfg.model:
        return None
    from mmpose.apis import init_model  # its package imports mmdet, which takes seconds
    model = init_model(cfg, None if checkpoint is None else str(checkpoint), device=choose_device(device))
    if checkpoint is not None:
        check_weights(model, checkpoint)
    return model


def _write_page(out: Path, content: dict, shown: List[dict], paths: List[str], model: Optional[nn.Module], cfg: Config,
                keypoints: KeypointSet, meta: dict) -> None:
    print_log('diagnosis: pictures', 'current')
    pictures = {record['id']: case_picture(record, path) for record, path in zip(shown, paths)}
    viewed = []
    if model is not None and has_stages(model):
        viewed = [entry for entry in Viewer(model, cfg, keypoints, meta).look(shown, paths) if entry is not None]
    flip_test = model is not None and bool((model.test_cfg or {}).get('flip_test', False))
    page = write_report(
        out, content, shown, {name: picture for name, picture in pictures.items() if picture is not None}, viewed,
        flip_test)
    print_log(f'diagnosis: {page}', 'current')
