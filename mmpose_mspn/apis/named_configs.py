"""The package's own configs by name, and those that fit the weights of a checkpoint without a config."""
import os
import re
from pathlib import Path
from typing import Dict, List, Mapping, Union

from torch import Tensor

from mmpose_mspn.checkpoints import convert, recognize
from mmpose_mspn.checkpoints.implied import implied_backbone
from mmpose_mspn.utils.arguments import near_matches

FOLDER = Path(__file__).parents[1] / '.mim' / 'configs'
PREFIX = f'{Path(__file__).parents[1].name}::'
"""Of the package's configs by their paths below the folder, as configs name their bases."""
DATASETS = {16: 'mpii', 17: 'coco', 14: 'crowdpose', 133: 'coco-wholebody'}
"""The dataset in a config's name, by the number of keypoints."""
SHOWN = 6
"""Number of configs that a message names."""


def all_configs() -> Dict[str, Path]:
    """The package's configs by their names, which are those of the files without ``.py``."""
    # rglob does not follow links to folders before Python 3.13, and FOLDER is one in the repository.
    return {path.stem: path for path in sorted(FOLDER.resolve().rglob('*.py')) if '_base_' not in path.parts}


def config_path(config: Union[str, Path]) -> Path:
    """The file of a config.

    Args:
        config: Its path, or the name of one of the package's configs: ``NAME``, ``NAME.py`` or
            ``mmpose_mspn::body_2d_keypoint/…/NAME.py``, as a config names its base.

    Raises:
        FileNotFoundError: There is neither such a file nor such a name.
    """
    given = str(config)
    if Path(given).is_file():
        return Path(given)
    name = given[len(PREFIX) * given.startswith(PREFIX):]
    if name != given and (FOLDER / name).is_file():
        return (FOLDER / name).resolve()
    known, stem = all_configs(), re.sub(r'\.py$', '', name)
    if stem in known:
        return known[stem]
    folder = Path(name).parent
    files = os.listdir(folder) if name == given and folder.is_dir() else []
    if files and folder != Path():
        raise FileNotFoundError(f'config {config} does not exist{near_matches(Path(name).name, files)}')
    raise FileNotFoundError(f'config {config} does not exist: name a file, or a config of the package'
                            f'{near_matches(Path(name).name, [*files, *known])}')


def configs_for(weights: Mapping[str, Tensor]) -> List[str]:
    """Names of the package's configs that are likely for weights in one of the layouts of MSPN; none if unknown.

    They have the same number of stages, encoder and number of keypoints. Weights do not tell the size of the input, so
    several may be left.
    """
    try:
        recognize(weights)
        own = convert(weights)
        backbone = implied_backbone(own)
        stages, depth = backbone['num_stages'], backbone['encoder']['depth']
    except (ValueError, KeyError, IndexError):
        return []
    last = [value for key, value in own.items() if re.match(r'head\.predictors\.\d+\.\d+\.1\.conv\.weight', key)]
    dataset = DATASETS.get(len(last[0]), '') if last else ''
    pattern = re.compile(rf'td-hm_{stages if stages > 1 else ""}mspn{depth}_'.replace(f'{stages}mspn', f'{stages}xmspn')
                         + rf'.*_{dataset}-\d+x\d+$')
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
