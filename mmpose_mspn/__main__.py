"""Runs a tool by its name, from any folder: ``python -m mmpose_mspn train CONFIG ...``.

The tools lie in ``.mim/tools``: a link in the repository, and copies in an installed package.
"""
import runpy
import sys
from pathlib import Path

from mmpose_mspn.utils.arguments import near_matches

TOOLS = Path(__file__).parent / '.mim' / 'tools'
OF_THE_REPOSITORY = {'make_model_table', 'model_costs'}
"""Files in the folder that are not installed, because they serve the repository alone."""


def main() -> None:
    names = sorted({path.stem for path in TOOLS.glob('*.py')} - OF_THE_REPOSITORY)
    name = sys.argv[1] if len(sys.argv) > 1 else ''
    if name not in names:
        asked = name in ('-h', '--help')
        print(f'usage: python -m mmpose_mspn TOOL ...\nTOOL is one of {", ".join(names)}'
              f'{"" if asked or not name else f"; got {name}{near_matches(name, names)}"}',
              file=sys.stdout if asked else sys.stderr)
        sys.exit(0 if asked else 2)
    path = str(TOOLS / f'{name}.py')
    sys.argv = [path, *sys.argv[2:]]
    sys.path[0] = str(TOOLS)  # as if the file had been started itself
    runpy.run_path(path, run_name='__main__')


if __name__ == '__main__':
    main()
