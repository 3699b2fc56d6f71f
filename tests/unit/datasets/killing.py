"""Kills a process under this one, once it is there."""

import os
import signal
import threading
import time

import psutil


def kill_one(named, seconds=60):
    """Kill the first process under this one whose command begins so, once there is one; the list holds it then."""
    killed = []

    def wait():
        end = time.monotonic() + seconds
        while time.monotonic() < end and not killed:
            for child in psutil.Process().children(recursive=True):
                try:
                    if named(child):
                        os.kill(child.pid, signal.SIGKILL)
                        killed.append(child.pid)
                        return
                except psutil.Error:
                    continue
            time.sleep(0.005)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread, killed
