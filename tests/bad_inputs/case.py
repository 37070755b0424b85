"""What a case is: an input, the commands that it is given to, and what must come of it."""
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from mmpose_mspn.utils.files import read_json, write_json

Command = Tuple[str, ...]
"""A tool's name and its arguments, in which ``{here}``, ``{data}`` and the like stand for fields of a place."""


@dataclass(frozen=True)
class Files:
    """What all cases share; nothing of it is changed.

    Attributes:
        folder: The folder that holds all of it.
        people: Drawn people in COCO's layout.
        config: A small model for them, whose training takes two iterations.
        checkpoint: The model's weights after these.
    """
    folder: Path
    people: Path
    config: Path
    checkpoint: Path

    @property
    def video(self) -> Path:
        return self.folder / 'video.mp4'


@dataclass(frozen=True)
class Place:
    """The folder of a case.

    Attributes:
        here: The folder. What the case's tools write goes to its subfolder ``out``.
        files: What all cases share.
    """
    here: Path
    files: Files

    @property
    def data(self) -> Path:
        """The case's own copy of the people, if it has made one, or else the shared ones."""
        own = self.here / 'data'
        return own if own.exists() else self.files.people

    @property
    def out(self) -> Path:
        return self.here / 'out'

    @property
    def config(self) -> Path:
        """The case's own config, if it has written one, or else the shared one."""
        own = self.here / 'config.py'
        return own if own.exists() else self.files.config

    @property
    def checkpoint(self) -> Path:
        """The case's own checkpoint, if it has written one, or else the shared one."""
        own = self.here / 'checkpoint.pth'
        return own if own.exists() or own.is_symlink() else self.files.checkpoint

    def fill(self, argument: str) -> str:
        """Replace ``{name}`` in an argument by the field of that name."""
        named = ('here', 'data', 'out', 'config', 'checkpoint')
        values = {name: getattr(self, name) for name in named}
        return argument.format(people=self.files.people, shared=self.files.folder, **values)

    def own_data(self) -> Path:
        """Copy the people: links to the images, and annotations to be changed."""
        data = self.here / 'data'
        if not data.exists():
            for file in self.files.people.rglob('*'):
                if file.is_file():
                    copy = data / file.relative_to(self.files.people)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    if file.suffix == '.json':
                        copy.write_bytes(file.read_bytes())
                    else:
                        copy.symlink_to(file)
        return data

    def edit(self, file: str, change: Callable[[object], object]) -> None:
        """Change the content of a JSON file of the case's own data; ``change`` may return another content."""
        path = self.own_data() / file
        content = read_json('file', path)
        changed = change(content)
        write_json(path, content if changed is None else changed)

    def write_config(self, text: str, name: str = 'config.py') -> Path:
        """Write a config that changes the shared one by ``text``."""
        path = self.here / name
        path.write_text(f'_base_ = {str(self.files.config)!r}\n{text}\n')
        return path


@dataclass
class Outcome:
    """What came of a command.

    Attributes:
        code: Exit code; that of a signal is 128 and its number.
        out: What it wrote to stdout.
        error: What it wrote to stderr.
        raised: Names of the classes of the error that ended it, the closest first; empty where they are not known, as
            of shell scripts.
    """
    code: int
    out: str
    error: str
    raised: Sequence[str] = ()


Check = Callable[[Place, Outcome], Optional[str]]
"""Says what is wrong with the result of a command that ended with exit code 0; empty or ``None`` if it is right."""


@dataclass(frozen=True)
class Case:
    """A row of the table.

    Attributes:
        given: The input in words, unique within its class.
        commands: Tools and arguments. All but the last prepare and must succeed.
        says: What the last one's line must contain: the file, id or option. If ``code`` is 0, anything that it writes.
        code: The exit code.
        prepare: Writes the input.
        right: For ``code`` 0, checks the result.
        fast: Whether the case belongs to the part that the test suite runs.
        cwd: Working directory; the case's own folder by default.
        env: Environment variables.
        file_limit: Largest size in bytes of a file that the last command may write, which stands for a full disk.
        signal: Number of a signal, and the text in the command's output at which it is sent.
        beside: A command that is at work while the last one runs, and the text in its output that shows this.
        error: The class of the error, or one that it inherits from, by its name; empty: any.
    """
    given: str
    commands: Sequence[Command]
    says: Sequence[str] = ()
    code: int = 1
    prepare: Optional[Callable[[Place], object]] = None
    right: Optional[Check] = None
    fast: bool = False
    cwd: Optional[str] = None
    env: Dict[str, str] = field(default_factory=dict)
    file_limit: Optional[int] = None
    signal: Optional[Tuple[int, str]] = None
    beside: Optional[Tuple[Command, str]] = None
    error: str = ''

    @property
    def tool(self) -> str:
        return self.commands[-1][0]

    @property
    def name(self) -> str:
        return f'{self.given} ({self.tool})'


def train(*arguments: str) -> Command:
    return ('train', '{config}', '--data-root', '{data}', '--work-dir', '{out}', *arguments)


def test(*arguments: str) -> Command:
    return ('test', '{config}', '{checkpoint}', '--data-root', '{data}', '--work-dir', '{out}', *arguments)


def check_data(*arguments: str) -> Command:
    return ('check_data', '{config}', '--data-root', '{data}', *arguments)


def infer(*arguments: str, source: str = '{data}/val2017') -> Command:
    return ('infer', source, '{config}', '{checkpoint}', '--out', '{out}', *arguments)


Rows = List[Case]
