"""What the guest is made of. Slow parts are made once and kept in `$AGENTBOX_VM` (or `~/.cache/agentbox-vm`).

- `kernel/`, `initrd.gz`: Debian's kernel, and an initrd of busybox and the modules for virtio disks and ext4.
- `root.ext4`: a Debian with Python, ALSA and the packages that agentbox needs in /opt/agentbox. Never written to.
- `project.ext4`: this checkout, the speech models and a spoken command; made anew for every use, in ten seconds.

Needs root, and Debian's debootstrap, qemu-system-x86, busybox-static, cpio, kmod and e2fsprogs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile

from agentbox.audio.files import read_file

ROOT = Path(__file__).parents[2]
GUEST = Path(__file__).parent / "guest"
SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "libnss-systemd", "udev", "kmod"),
    *("python3", "python3-venv", "libportaudio2", "libasound2-plugins", "alsa-utils", "ca-certificates"),
)
PROGRAMS = ("debootstrap", "qemu-system-x86_64", "busybox", "cpio", "depmod", "mkfs.ext4", "dpkg-deb")
INITRD_MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4")
ROOT_SIZE = "3G"
COMMAND_S = (3.0, 8.0)
"""Where in the spoken sample "set a pizza timer for ten minutes" stands."""


def cache() -> Path:
    asked = os.environ.get("AGENTBOX_VM")
    return Path(asked) if asked else Path.home() / ".cache" / "agentbox-vm"


def models() -> Path:
    """The folder of speech models that the tests use."""
    asked = os.environ.get("AGENTBOX_TEST_MODELS")
    return Path(asked) if asked else Path.home() / ".cache" / "agentbox-test-models"


def build() -> Path:
    """Make what is missing; the folder that holds it all. Raises `RuntimeError` where a program is missing,
    `subprocess.CalledProcessError` where one fails."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        raise RuntimeError(f"missing: {', '.join(missing)}")
    folder = cache()
    (folder / "parts").mkdir(parents=True, exist_ok=True)
    _once(folder / "kernel", _kernel)
    _once(folder / "initrd.gz", lambda part: _initrd(folder / "kernel", part))
    _once(folder / "parts" / "tree", _debootstrap)
    _once(folder / "parts" / "wheels", _wheels)
    _once(folder / "root.ext4", lambda part: _root(folder, part))
    return folder


def version(folder: Path) -> str:
    """The kernel's, as in /lib/modules."""
    return next((folder / "kernel" / "lib" / "modules").iterdir()).name


def _once(target: Path, make: Callable[[Path], None]) -> None:
    if target.exists():
        return
    print(f"making {target.name}", flush=True)
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.unlink(missing_ok=True)
    make(part)
    part.rename(target)


def _run(*command: str | Path, cwd: Path | None = None) -> None:
    subprocess.run([str(word) for word in command], check=True, cwd=cwd, stdin=subprocess.DEVNULL, timeout=1800)


def _kernel(part: Path) -> None:
    part.mkdir()
    depends = subprocess.run(
        ["apt-cache", "depends", "--important", "linux-image-amd64"], check=True, capture_output=True, text=True
    ).stdout
    name = next(word for word in depends.split() if word.startswith("linux-image-6"))
    _run("apt-get", "download", "--quiet", name, cwd=part)
    [package] = part.glob("*.deb")
    _run("dpkg-deb", "--extract", package, part)
    package.unlink()
    [modules] = (part / "lib" / "modules").iterdir()
    _run("depmod", "-b", part, modules.name)


def _with_dependencies(kernel: Path, names: Sequence[str]) -> list[Path]:
    """Module files in the order in which they are loaded."""
    [modules] = (kernel / "lib" / "modules").iterdir()
    found: dict[Path, None] = {}
    for name in names:
        command = ["modprobe", "--show-depends", "-d", str(kernel), "-S", modules.name, name]
        shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for line in shown.splitlines():
            if line.startswith("insmod "):
                found[Path(line.split()[1])] = None
    return list(found)


def _initrd(kernel: Path, part: Path) -> None:
    tree = part.with_name("initrd.tree")
    shutil.rmtree(tree, ignore_errors=True)
    for name in ("bin", "dev", "proc", "sys", "root", "modules"):
        (tree / name).mkdir(parents=True)
    busybox = shutil.which("busybox")
    assert busybox is not None
    shutil.copy(busybox, tree / "bin" / "busybox")
    shutil.copy(GUEST / "initrd.sh", tree / "init")
    (tree / "init").chmod(0o755)
    for number, module in enumerate(_with_dependencies(kernel, INITRD_MODULES)):
        shutil.copy(module, tree / "modules" / f"{number:02}-{module.name}")
    with part.open("wb") as file:
        listed = subprocess.run(["find", "."], cwd=tree, check=True, stdout=subprocess.PIPE).stdout
        archive = subprocess.run(
            ["cpio", "--quiet", "-o", "-H", "newc"], cwd=tree, check=True, input=listed, stdout=subprocess.PIPE
        ).stdout
        subprocess.run(["gzip", "-c"], check=True, input=archive, stdout=file)
    shutil.rmtree(tree)


def _debootstrap(part: Path) -> None:
    _run("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, part, MIRROR)


def _wheels(part: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    # Debian's own Python, which is the guest's.
    _run("/usr/bin/python3", "-m", "pip", "wheel", "--quiet", f"--wheel-dir={part}", *wanted)


def _root(folder: Path, part: Path) -> None:
    tree = folder / "parts" / "tree"
    kernel = folder / "kernel"
    environment = tree / "opt" / "agentbox"
    if not environment.exists():
        shutil.copytree(folder / "parts" / "wheels", tree / "root" / "wheels", dirs_exist_ok=True)
        _run("chroot", tree, "python3", "-m", "venv", "/opt/agentbox.part")
        wheels = [f"/root/wheels/{wheel.name}" for wheel in (tree / "root" / "wheels").glob("*.whl")]
        wheels = [wheel for wheel in wheels if "/pip-" not in wheel]
        _run("chroot", tree, "/opt/agentbox.part/bin/pip", "install", "--quiet", "--no-index", "--no-deps", *wheels)
        shutil.rmtree(tree / "root" / "wheels")
        (tree / "opt" / "agentbox.part").rename(environment)
    [packages] = environment.glob("lib/python3.*/site-packages")
    # Only the project itself changes: it is looked for on the project's disk.
    (packages / "project.pth").write_text("/mnt/project/site\n")
    for program in environment.glob("bin/python3*"):
        assert program.is_symlink()
    script = "#!/opt/agentbox/bin/python3\nimport sys\nfrom agentbox.cli import main\nsys.exit(main())\n"
    (environment / "bin" / "agentbox").write_text(script)
    (environment / "bin" / "agentbox").chmod(0o755)
    (environment / "current").unlink(missing_ok=True)  # where a versioned installation has its environment
    (environment / "current").symlink_to(".")
    target = tree / "lib" / "modules" / version(folder)
    shutil.rmtree(target, ignore_errors=True)
    for module in _with_dependencies(kernel, ("snd_aloop", *INITRD_MODULES)):
        copy = tree / module.relative_to(kernel)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(module, copy)
    for name in ("modules.builtin", "modules.order", "modules.builtin.modinfo"):
        shutil.copy(kernel / "lib" / "modules" / version(folder) / name, target)
    _run("depmod", "-b", tree, version(folder))
    for name in ("project", "data"):
        (tree / "mnt" / name).mkdir(exist_ok=True)
    shutil.copy(GUEST / "start.sh", tree / "sbin" / "rig-start")
    shutil.copy(GUEST / "rig.service", tree / "etc" / "systemd" / "system")
    wants = tree / "etc" / "systemd" / "system" / "multi-user.target.wants"
    (wants / "rig.service").unlink(missing_ok=True)
    (wants / "rig.service").symlink_to("../rig.service")
    # The serial lines are the rig's.
    for unit in ("serial-getty@ttyS0.service", "serial-getty@ttyS1.service", "systemd-networkd-wait-online.service"):
        (tree / "etc" / "systemd" / "system" / unit).unlink(missing_ok=True)
        (tree / "etc" / "systemd" / "system" / unit).symlink_to("/dev/null")
    shutil.rmtree(tree / "var" / "cache" / "apt", ignore_errors=True)
    make_disk(part, ROOT_SIZE, tree)


def project(work: Path, unit: Path = ROOT / "systemd" / "agentbox.service") -> None:
    """Make the disk `work`/project.ext4, with `unit` as the service to be started."""
    tree = work / "project"
    tree.mkdir()
    _run("/usr/bin/python3", "-m", "pip", "install", "--quiet", "--no-deps", "--target", tree / "site", ROOT)
    for name in ("benchmarks", "tests/storage/talk.py", "tests/storage/__init__.py", "tests/__init__.py"):
        target = tree / "site" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__", "*.csv"))
        else:
            shutil.copy(ROOT / name, target)
    shutil.copytree(GUEST, tree / "guest")
    shutil.copy(unit, tree / "unit.service")
    for name in ("moonshine-tiny-en", "silero-vad-16k"):
        shutil.copytree(models() / name, tree / "models" / name)
    sound = np.concatenate(list(read_file(ROOT / "agentbox" / "samples" / "commands.flac")))
    start, end = (round(second * 16_000) for second in COMMAND_S)
    soundfile.write(tree / "command.wav", sound[start:end], 16_000, subtype="PCM_16")
    make_disk(work / "project.ext4", "400M", tree)
    shutil.rmtree(tree)


def make_disk(disk: Path, size: str, content: Path | None = None) -> None:
    """An ext4 file system in a sparse file."""
    disk.unlink(missing_ok=True)
    source = ["-d", str(content)] if content else []
    _run("mkfs.ext4", "-q", "-F", "-L", disk.name.split(".")[0], *source, disk, size)
