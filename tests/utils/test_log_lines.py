"""Warnings that are logged in a block are kept once, those outside of it and lesser lines are not."""

import logging

from utils.terminal.log_lines import warnings_logged


def test_only_warnings_of_the_block_are_kept():
    log = logging.getLogger("systems.anything")
    log.warning("before")
    with warnings_logged() as lines:
        log.info("no warning")
        for step in (1, 2, 1):
            log.warning("step %d", step)
        log.error("an error")
    log.warning("after")
    assert lines == ["step 1", "step 2", "an error"]
