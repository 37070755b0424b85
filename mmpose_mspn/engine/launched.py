"""Where a process stands among those that a launcher has started, before mmengine has created their group."""
import os

from mmengine.config import Config

_RANKS = dict(pytorch='RANK', slurm='SLURM_PROCID', mpi='OMPI_COMM_WORLD_RANK')


def is_first_process(cfg: Config) -> bool:
    """Whether this is the run's only process, or the one of rank 0."""
    return int(os.environ.get(_RANKS.get(cfg.get('launcher', 'none'), ''), 0)) == 0
