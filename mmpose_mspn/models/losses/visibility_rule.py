"""Which keypoints the targets of coarse predictors show (docs/protocol.md, "Targets and loss")."""
from torch import Tensor

from mmpose_mspn.utils.numbers import OCCLUDED, VISIBLE


class VisibilityRule:
    """Targets masked by visibility.

    The *target* of a keypoint that the rule hides is zeroed, not its loss: the predictor learns that nothing is there.

    Args:
        visibility: ``'official'``: targets show visible (2) keypoints only, which needs visibility 0/1/2.
            ``'labeled'``: targets show every labeled keypoint, for data without that distinction.

    Raises:
        ValueError: ``visibility`` is unknown; or, under the official rule, no keypoint of the data is visible (2).
    """

    # Labeled keypoints that may pass before one of them must be visible. Stock datasets clip visibility to 0/1, which
    # would teach the coarse predictors to predict nothing. No real first batch hides this many keypoints.
    patience_keypoints = 16

    def __init__(self, visibility: str = 'official') -> None:
        if visibility == 'labelled':  # the option's earlier spelling
            visibility = 'labeled'
        if visibility not in ('official', 'labeled'):
            raise ValueError(f"visibility must be 'official' or 'labeled', got {visibility!r}")
        self.visibility = visibility
        self._keypoints_without_visible = 0
        self._found_visible = visibility == 'labeled'

    def shown_targets(self, targets: Tensor, visible: Tensor) -> Tensor:
        """``targets`` (B, L, K, H, W) with zeros for the keypoints that ``visible`` (B, K), 0/1/2, hides."""
        self._check(visible)
        shown = visible >= (VISIBLE if self.visibility == 'official' else OCCLUDED)
        return targets * shown[:, None, :, None, None]

    def _check(self, visible: Tensor) -> None:
        # Synchronizes with the device only until the first visible keypoint: in a healthy run, in the first step.
        if self._found_visible:
            return
        if bool((visible == VISIBLE).any()):
            self._found_visible = True
            return
        self._keypoints_without_visible += int((visible >= OCCLUDED).sum())
        if self._keypoints_without_visible > self.patience_keypoints:
            raise ValueError(
                f'none of {self._keypoints_without_visible} labeled keypoints has visibility 2: the dataset seems to '
                'clip visibility to 0/1, which would empty the targets of the coarse predictors. Use a dataset that '
                "keeps it (type='mmpose_mspn.CocoDataset'), or set visibility='labeled' in the loss "
                "(loss=dict(visibility='labeled') of the head)")
