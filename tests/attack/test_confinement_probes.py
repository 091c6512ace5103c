"""Hostile code in place of the runtime, inside every outer ring that this machine offers: what it tries must fail."""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from asepsis.engines.confinement.launch import Reach, best_ring, confined
from asepsis.engines.confinement.report import Confinement, Ring
from asepsis.errors import AsepsisError

# The hostile code runs where the runtime would: after the rings are closed, in the same process.
HARNESS = """
import json, sys
from asepsis.engines.confinement import inside
report = inside.confine(json.loads(sys.stdin.buffer.readline()))
print(json.dumps(report), flush=True)
exec(compile(json.loads(sys.stdin.buffer.readline()), "probe", "exec"))
"""
PRELUDE = """
import ctypes, errno, os, socket, sys, json
libc = ctypes.CDLL(None, use_errno=True)
def tried(act):
    try:
        act()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"
def call(number, *arguments):
    return "done" if libc.syscall(number, *arguments) >= 0 else errno.errorcode[ctypes.get_errno()]
def say(value):
    print(json.dumps(value), flush=True)
"""
REFUSED = {"EACCES", "EPERM", "ENOENT", "EROFS", "ENOSYS", "EAFNOSUPPORT"}
X86 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of system calls are those of x86-64")


@cache
def offered(ring: Ring) -> Confinement | None:
    if ring is Ring.BUBBLEWRAP and best_ring(sys.executable, Reach()) is not Ring.BUBBLEWRAP:
        return None
    try:
        with confined(sys.executable, Reach(), ring=ring) as tried:
            return tried.confinement
    except AsepsisError:
        return None


@pytest.fixture(params=list(Ring))
def ring(request: pytest.FixtureRequest) -> Ring:
    found = offered(request.param)
    if found is None or found.ring is not request.param:
        pytest.skip(f"this machine does not offer {request.param} to this user")
    if found.landlock == 0 and not found.own_files:
        pytest.skip("this machine has neither Landlock nor namespaces for this user")
    found_ring: Ring = request.param
    return found_ring


def probe(ring: Ring, code: str, *, reach: Reach | None = None) -> Any:
    with confined(sys.executable, reach or Reach(), ring=ring, arguments=("-I", "-c", HARNESS)) as process:
        process.requests.write(json.dumps(PRELUDE + code).encode() + b"\n")
        process.requests.flush()
        return json.loads(process.answers.readline())


def test_the_first_hole_of_the_prototype_is_closed_the_hosts_settings_cannot_be_written(ring: Ring) -> None:
    """Root's bubblewrap with a mapped user could write ``core_pattern`` and so run programs on the host."""
    code = """
places = ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/overcommit_memory",
          "/proc/sysrq-trigger", "/sys/kernel/uevent_helper"]
say({place: tried(lambda: open(place, "w").close()) for place in places})
"""
    assert set(probe(ring, code).values()) <= REFUSED


def test_the_second_hole_of_the_prototype_is_closed_no_environment_shows_a_secret(
    ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first process inside showed the launcher's environment, and its command line the host's paths."""
    monkeypatch.setenv("ASEPSIS_TEST_SECRET", "canary-91c2")
    code = """
seen = {}
for pid in ("self", "1", str(os.getppid())):
    for name in ("environ", "cmdline"):
        try:
            seen[f"{pid}/{name}"] = open(f"/proc/{pid}/{name}", "rb").read().decode("latin-1")
        except OSError as error:
            seen[f"{pid}/{name}"] = ""
say([seen, dict(os.environ)])
"""
    seen, environment = probe(ring, code)
    assert "canary-91c2" not in json.dumps(seen)
    assert set(environment) <= {"PWD", "LC_CTYPE"}
    assert "--ro-bind" not in seen["1/cmdline"]


def test_no_socket_of_any_family_can_be_opened(ring: Ring) -> None:
    code = """
families = [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK, socket.AF_PACKET, 38, 40]
say([tried(lambda: socket.socket(family, kind)) for family in families for kind in (1, 2, 3)]
    + [tried(socket.socketpair)])
"""
    assert set(probe(ring, code)) <= REFUSED


def test_no_file_of_the_host_can_be_read(ring: Ring, tmp_path: Path) -> None:
    secret = tmp_path / "control-plane.db"
    secret.write_text("secret")
    code = f"""
places = ["/etc/shadow", "/etc/passwd", "/etc/hostname", "/root/.bashrc", {str(secret)!r}, "/proc/1/mem",
          f"/proc/{{os.getppid()}}/mem", f"/proc/{{os.getppid()}}/maps", "/dev/mem", "/dev/vda", "/var/log/dpkg.log"]
say([tried(lambda: open(place, "rb").read(1)) for place in places]
    + [tried(lambda: os.listdir(place)) for place in ("/", "/root", "/home", "/proc", "/etc", "/var", "/run")[1:3]])
"""
    answers = probe(ring, code)
    assert "done" not in answers[:11]


def test_only_the_runs_own_folder_can_be_written(ring: Ring, tmp_path: Path) -> None:
    sealed, output = tmp_path / "sealed", tmp_path / "output"
    for folder in (sealed, output):
        folder.mkdir()
        folder.chmod(0o777)
    (sealed / "f").write_text("ciphertext")
    (sealed / "f").chmod(0o666)
    places = [str(sealed / "f"), str(sealed / "new"), sys.executable, json.__file__, "/usr/lib/new", "/new"]
    code = f"""
say([open({str(sealed / "f")!r}).read(), tried(lambda: open({str(output / "out")!r}, "w").write("x")),
     [tried(lambda: open(place, "w").close()) for place in {places!r}],
     tried(lambda: os.symlink("/etc/passwd", {str(output / "link")!r})),
     tried(lambda: os.mkfifo({str(output / "fifo")!r})),
     tried(lambda: os.link({str(output / "out")!r}, {str(output / "second")!r}))])
"""
    reach = Reach(read=(str(sealed),), write=(str(output),))
    read, wrote, refused, symlink, fifo, _second = probe(ring, code, reach=reach)
    assert (read, wrote) == ("ciphertext", "done")
    assert set(refused) <= REFUSED | {"ETXTBSY"}
    assert {symlink, fifo} <= REFUSED
    assert (output / "out").read_text() == "x"
    assert (sealed / "f").read_text() == "ciphertext"


def test_no_process_can_be_started_and_none_outlives_the_run(ring: Ring) -> None:
    code = """
import subprocess
say([tried(os.fork), tried(lambda: os.execv("/usr/bin/env", ["env"])), tried(lambda: subprocess.run(["/usr/bin/env"])),
     tried(lambda: os.posix_spawn("/usr/bin/env", ["env"], {}))])
"""
    assert set(probe(ring, code)) <= REFUSED


@X86
def test_the_kernels_dangerous_calls_are_refused(ring: Ring) -> None:
    numbers = {
        "ptrace": 101, "process_vm_readv": 310, "mount": 165, "unshare": 272, "setns": 308, "bpf": 321,
        "keyctl": 250, "add_key": 248, "io_uring_setup": 425, "userfaultfd": 323, "perf_event_open": 298,
        "kexec_load": 246, "open_tree": 428, "fsopen": 430, "clone3": 435, "pidfd_getfd": 438, "personality": 135,
        "init_module": 175, "reboot": 169, "open_by_handle_at": 304, "chroot": 161, "clock_settime": 227,
    }  # fmt: skip
    answers = probe(ring, f"say({{name: call(number, 0, 0, 0, 0, 0) for name, number in {numbers!r}.items()}})")
    assert {name for name, answer in answers.items() if answer not in {"EPERM", "ENOSYS"}} == set()


@X86
def test_a_call_by_its_second_number_is_refused_too(ring: Ring) -> None:
    """x86-64 kernels with the x32 interface know every call under a second number."""
    assert probe(ring, "say(call(0x40000000 + 41, 2, 1, 0))") in {"EPERM", "ENOSYS"}


def test_new_namespaces_and_root_are_out_of_reach(ring: Ring) -> None:
    code = """
flags = [0x10000000, 0x00020000, 0x02000000, 0x08000000, 0x20000000, 0x40000000]
clones = [call(56 if os.uname().machine == "x86_64" else 220, flag | 17, 0, 0, 0, 0) for flag in flags]
say([clones, [tried(lambda: os.setuid(0)), tried(lambda: os.setgid(0))], os.getuid()])
"""
    clones, root, user = probe(ring, code)
    assert set(clones) == {"EPERM"}
    if user != 0:
        assert set(root) <= {"EPERM", "EINVAL"}  # EINVAL: there is no such user in here


def test_threads_still_start_and_anonymous_memory_has_a_path(ring: Ring) -> None:
    code = """
import threading
seen = []
thread = threading.Thread(target=lambda: seen.append(1)); thread.start(); thread.join()
descriptor = os.memfd_create("vault", os.MFD_CLOEXEC)
path = f"/proc/self/fd/{descriptor}"
with open(path, "wb") as file:
    file.write(b"plain")
import tempfile
with tempfile.TemporaryDirectory(dir="/dev/shm") as spill:
    open(spill + "/x", "w").close()
say([seen, open(path).read()])
"""
    assert probe(ring, code) == [[1], "plain"]


def test_nothing_is_dumped_and_descriptors_are_few(ring: Ring) -> None:
    code = """
import resource
say([resource.getrlimit(resource.RLIMIT_CORE), resource.getrlimit(resource.RLIMIT_NOFILE)[0],
     libc.prctl(3, 0, 0, 0, 0), sorted(int(one) for one in os.listdir("/proc/self/fd"))])
"""
    core, files, dumpable, descriptors = probe(ring, code)
    assert core == [0, 0]
    assert files <= 4096
    assert dumpable == 0
    assert len(descriptors) <= 6


def test_no_other_process_can_be_signalled(ring: Ring) -> None:
    if offered(ring).landlock < 6 and ring is not Ring.BUBBLEWRAP:  # type: ignore[union-attr]
        pytest.skip("this kernel's Landlock does not keep signals in")
    assert probe(ring, "say([tried(lambda: os.kill(os.getppid(), 0)), tried(lambda: os.kill(1, 0))])") in (
        ["EPERM", "EPERM"],
        ["done", "done"],  # in a process namespace of its own, both are its own first process
        ["EPERM", "done"],
        ["ESRCH", "done"],
        ["ESRCH", "EPERM"],
    )


def test_linear_programs_over_released_cells_are_solved_inside_every_ring(ring: Ring) -> None:
    """The memory of releases needs its solver where the runtime runs; a call that the filter denies would end it."""
    code = """
import numpy as np
from asepsis.disclosure.audit import Bounded, audit
from asepsis.disclosure.people import people
def cell(low, high, *places):
    return Bounded(persons=people(np.array(sorted(places), np.uint32)), low=low, high=high)
whole, part = cell(40, 40, *range(40)), cell(37, 37, *range(37))
found = audit([whole, part], least=10, width=4)
import sys
say([found.finished, sorted(found.narrow), "highspy" in sys.modules])
"""
    assert probe(ring, code) == [True, [0], True]
