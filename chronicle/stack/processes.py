"""Processes that are not our children: whether they live, and waiting for their end.

An orphan that has ended stays a zombie until process 1 collects it, which in many containers it never does:
a zombie counts as gone here, as it holds nothing any more.
"""

from __future__ import annotations

import time

import psutil

POLL_INTERVAL_S = 0.05


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def stop(process: psutil.Process, signal_number: int, timeout_s: float) -> bool:
    """Send a signal and wait; return whether the process is gone."""
    deadline = time.monotonic() + timeout_s
    try:
        process.send_signal(signal_number)
    except psutil.NoSuchProcess:
        return True
    while is_alive(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_INTERVAL_S)
    return True
