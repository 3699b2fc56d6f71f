"""Knows the two layers that a process on Windows gets without an installer: a job object, and low integrity.

The job holds memory and processor time, allows one process, and ends with its owner. A process of low integrity cannot write where
others do. Neither hides files or the network. Source: Microsoft Learn, "Job Objects", "Mandatory Integrity Control".
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Final

from weighbridge.sandbox.protocol import JOB, LOW_INTEGRITY

if TYPE_CHECKING:
    import subprocess

    from weighbridge.sandbox.protocol import Bounds

_EXTENDED_LIMITS: Final = 9
_ACTIVE_PROCESS, _PROCESS_MEMORY, _PROCESS_TIME, _KILL_ON_CLOSE, _DIE_ON_FAULT = 0x8, 0x100, 0x2, 0x2000, 0x400
_ADJUST_DEFAULT, _QUERY, _ADJUST_PRIVILEGES = 0x80, 0x8, 0x20
_INTEGRITY_LEVEL: Final = 25
_GROUP_INTEGRITY: Final = 0x20
_LOW: Final = 0x1000


class _Basic(ctypes.Structure):
    _fields_ = (
        ("process_time", ctypes.c_longlong), ("job_time", ctypes.c_longlong), ("flags", ctypes.c_uint32),
        ("least", ctypes.c_size_t), ("most", ctypes.c_size_t), ("processes", ctypes.c_uint32),
        ("affinity", ctypes.c_size_t), ("priority", ctypes.c_uint32), ("scheduling", ctypes.c_uint32),
    )  # fmt: skip


class _Extended(ctypes.Structure):
    _fields_ = (
        ("basic", _Basic), ("io", ctypes.c_ulonglong * 6), ("process_memory", ctypes.c_size_t),
        ("job_memory", ctypes.c_size_t), ("peak_process", ctypes.c_size_t), ("peak_job", ctypes.c_size_t),
    )  # fmt: skip


class _Label(ctypes.Structure):
    _fields_ = (("sid", ctypes.c_void_p), ("attributes", ctypes.c_uint32))


def _library(name: str) -> Any:
    return getattr(ctypes, "WinDLL")(name, use_last_error=True)  # noqa: B009  # the name exists on Windows alone


_jobs: list[int] = []


def confine(process: subprocess.Popen[bytes], bounds: Bounds) -> list[str]:
    """Put a process into a job of its own, before it is told anything; the layers that hold."""
    kernel = _library("kernel32")
    kernel.CreateJobObjectW.restype = ctypes.c_void_p
    job = kernel.CreateJobObjectW(None, None)
    limits = _Extended()
    limits.basic.flags = _ACTIVE_PROCESS | _PROCESS_MEMORY | _PROCESS_TIME | _KILL_ON_CLOSE | _DIE_ON_FAULT
    limits.basic.processes = 1
    limits.basic.process_time = bounds.processor * 10_000_000
    limits.process_memory = bounds.memory
    handle = ctypes.c_void_p(int(getattr(process, "_handle")))  # noqa: B009  # subprocess keeps it there on Windows
    held = bool(job) and kernel.SetInformationJobObject(
        ctypes.c_void_p(job), _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)
    )
    if not held or not kernel.AssignProcessToJobObject(ctypes.c_void_p(job), handle):
        return []
    # The job ends when its last handle is closed: with this process.
    _jobs.append(job)
    return [JOB]


def lower() -> list[str]:
    """Give up privileges, and lower the integrity of this process; the layers that hold."""
    kernel, advanced = _library("kernel32"), _library("advapi32")
    token, sid = ctypes.c_void_p(), ctypes.c_void_p()
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    wanted = _ADJUST_DEFAULT | _QUERY | _ADJUST_PRIVILEGES
    if not advanced.OpenProcessToken(ctypes.c_void_p(kernel.GetCurrentProcess()), wanted, ctypes.byref(token)):
        return []
    advanced.AdjustTokenPrivileges(token, True, None, 0, None, None)  # all of them
    authority = (ctypes.c_ubyte * 6)(0, 0, 0, 0, 0, 16)
    if not advanced.AllocateAndInitializeSid(ctypes.byref(authority), 1, _LOW, 0, 0, 0, 0, 0, 0, 0, ctypes.byref(sid)):
        return []
    label = _Label(sid, _GROUP_INTEGRITY)
    size = ctypes.sizeof(label) + int(advanced.GetLengthSid(sid))
    done = advanced.SetTokenInformation(token, _INTEGRITY_LEVEL, ctypes.byref(label), size)
    return [LOW_INTEGRITY] if done else []
