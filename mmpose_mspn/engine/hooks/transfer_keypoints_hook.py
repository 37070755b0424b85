"""Training from a checkpoint with other keypoints."""
from typing import Dict, Optional, Sequence

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner

from mmpose_mspn.checkpoints.fit import compare_state_dicts
from mmpose_mspn.checkpoints.transfer_keypoints import (
    number_of_keypoints,
    origins_table,
    own_names,
    source_names,
    transfer_keypoints,
)
from mmpose_mspn.registry import HOOKS
from mmpose_mspn.utils.errors import CheckpointError


@HOOKS.register_module(name=['TransferKeypointsHook', 'CarryKeypointsHook'])
class TransferKeypointsHook(Hook):
    """Lets ``load_from`` of a training name a checkpoint with another keypoint set, in any layout of MSPN.

    The predictors are transferred by keypoint name, and the log says for every keypoint where it starts:
    see :mod:`mmpose_mspn.checkpoints.transfer_keypoints`. Left alone are checkpoints with the dataset's own keypoints,
    as many keypoints under unknown names or under none of the dataset's names, checkpoints without predictors of
    heatmaps, and whatever is loaded to resume a training or for a test. Older configs name the hook
    ``CarryKeypointsHook``.

    Args:
        mapping: By keypoint of the dataset: the keypoint of the checkpoint that it starts from, if not the one of the
            same name.
        source_names: Names of the checkpoint's keypoints, if it does not hold them and they are not COCO's 17 or
            MPII's 16.

    Raises:
        CheckpointError: The keypoints cannot be carried over, or other weights are not those of the model: names them.
    """

    def __init__(self, mapping: Optional[Dict[str, str]] = None, source_names: Optional[Sequence[str]] = None) -> None:
        self.mapping = dict(mapping or {})
        self.source_names = source_names

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if not isinstance(runner._train_loop, BaseLoop) or runner._resume:
            return
        by_index = runner.train_dataloader.dataset.metainfo['keypoint_id2name']
        names = [by_index[index] for index in range(len(by_index))]
        if not self._differs(checkpoint, names):
            return
        sources = source_names(checkpoint, self.source_names)
        weights, origins = transfer_keypoints(checkpoint, names, self.mapping, sources)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        mismatches = compare_state_dicts(weights, model.state_dict())
        if mismatches:
            raise CheckpointError(f'the checkpoint of load_from is not of this network: {mismatches}')
        for key in set(checkpoint) - {'meta'}:
            del checkpoint[key]
        checkpoint['state_dict'] = weights
        print_log(f'keypoints transferred from the checkpoint:\n{origins_table(origins)}', 'current')

    def _differs(self, checkpoint: dict, names: Sequence[str]) -> bool:
        """Whether a checkpoint has other keypoints than ``names``."""
        try:
            count = number_of_keypoints(checkpoint)
        except ValueError:
            return False
        if count != len(names):
            return True
        known = self.source_names or own_names(checkpoint)
        return known is not None and list(known) != list(names) and bool(self.mapping or set(known) & set(names))


CarryKeypointsHook = TransferKeypointsHook
