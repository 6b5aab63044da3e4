"""Reports of sweeps: tables, pictures, findings and comparisons, from run folders alone."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.reports.report import write_report as write_report
    from rlkit.reports.results import read as read
    from rlkit.reports.runs.mismatch import likelihood_return as likelihood_return

__getattr__, __dir__ = lazily(__name__, __file__)
