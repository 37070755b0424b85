"""All cases by class."""
from typing import Dict

from tests.bad_inputs.case import Rows
from tests.bad_inputs.table.annotations import ANNOTATIONS
from tests.bad_inputs.table.boxes import BOX_CASES
from tests.bad_inputs.table.checkpoints import CHECKPOINT_CASES
from tests.bad_inputs.table.configs import CONFIG_CASES
from tests.bad_inputs.table.disks import DISK_CASES
from tests.bad_inputs.table.images import IMAGE_CASES
from tests.bad_inputs.table.options import OPTION_CASES
from tests.bad_inputs.table.other_tools import OTHER_CASES
from tests.bad_inputs.table.parts import PART_CASES
from tests.bad_inputs.table.resumed import RESUME_CASES
from tests.bad_inputs.table.settings import SETTING_CASES
from tests.bad_inputs.table.signals import SIGNAL_CASES

CLASSES: Dict[str, Rows] = {
    'annotations': ANNOTATIONS,
    'boxes': BOX_CASES,
    'images': IMAGE_CASES,
    'checkpoints': [*CHECKPOINT_CASES, *RESUME_CASES],
    'configs': [*CONFIG_CASES, *SETTING_CASES],
    'options': [*OPTION_CASES, *OTHER_CASES, *PART_CASES],
    'disks': DISK_CASES,
    'signals': SIGNAL_CASES,
}
