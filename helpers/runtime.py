"""Where am I, what machine is this, and how do I speak to whoever is watching?

>>> compute_dtype("auto")                       # no GPU here
'float32'
>>> for question in progress(questions, label="questions"): ...

Colab, a notebook with a person before it, and a headless run differ in three things only: where secrets come from,
whether one may ask, and how progress is shown. It knows neither SQL nor models. Nothing but the standard library
is imported at the top, since the setup cell of a notebook needs this room before anything is installed.
"""

import contextlib
import ctypes
import gc
import logging
import os
import platform
import random
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from helpers.credentials import SecretMissing, secret

__all__ = [
    "SecretMissing",
    "cache_dir",
    "compute_dtype",
    "forget_peak_memory",
    "give_back_memory",
    "hardware",
    "is_colab",
    "is_interactive",
    "keeping_memory",
    "packages",
    "peak_memory",
    "progress",
    "secret",
    "seed_everything",
    "show_log",
    "ticker",
]

log = logging.getLogger(__name__)

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8  # glibc's malloc.h
MADV_HUGEPAGE, HUGE_PAGE = 14, 2**21  # Linux's mman.h, and a size that suits x86 and ARM
REPORT_EVERY_S = 30.0
REPORTED_PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "accelerate",
    "bitsandbytes",
    "peft",
    "trl",
    "datasets",
    "numpy",
    "pandas",
    "sqlglot",
    "SQLAlchemy",
    "PyMySQL",
    "cloud-sql-python-connector",
    "papermill",
    "pydantic",
    "scipy",
    "statsmodels",
    "safetensors",
    "huggingface_hub",
)


def cache_dir() -> Path:
    """Return the folder for what can be made again: $NL2SQL_CACHE, else `nl2sql-suite` in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("NL2SQL_CACHE") or Path(base) / "nl2sql-suite")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def is_colab() -> bool:
    """Tell whether this process is a Colab kernel."""
    return "google.colab" in sys.modules or "COLAB_RELEASE_TAG" in os.environ


def is_interactive() -> bool:
    """Tell whether a person is there to answer: never in CI, under papermill, or without a terminal.

    papermill sets no sign of its own; that its kernels may not read from stdin is the sign used here.
    """
    if os.environ.get("CI") or os.environ.get("NO_PROMPT"):
        return False
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None and hasattr(shell, "kernel"):
        return bool(getattr(shell.kernel, "_allow_stdin", False))
    return bool(sys.stdin and sys.stdin.isatty())


def compute_dtype(requested: str = "auto") -> str:
    """Choose the name of the dtype to compute in; "auto" goes by the GPU's capability, and is float32 on a CPU.

    Capability 8.0 and above has bfloat16; a T4 (7.5) has not, though `torch.cuda.is_bf16_supported()` may say so
    by emulation. Any other `requested` is returned as it is.
    """
    if requested != "auto":
        return requested
    gpu = _gpu()
    if not gpu:
        return "float32"
    return "bfloat16" if tuple(gpu["capability"]) >= (8, 0) else "float16"


def seed_everything(seed: int) -> None:
    """Seed python's, numpy's and torch's generators, the latter two if they are installed."""
    random.seed(seed)
    for name in ("numpy", "torch"):
        try:
            module = __import__(name)
        except ModuleNotFoundError:
            continue
        (module.random.seed if name == "numpy" else module.manual_seed)(seed)


def hardware() -> dict:
    """Describe the machine: CPU, cores, RAM in GB, and the first GPU with its VRAM in GB and driver, or None."""
    import psutil

    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "ram_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": _gpu(),
    }


def packages() -> dict[str, str]:
    """Return the installed versions of the packages on which results depend."""
    from importlib import metadata

    found = {name: _version(metadata, name) for name in REPORTED_PACKAGES}
    return {name: version for name, version in found.items() if version}


def peak_memory() -> dict[str, float]:
    """Return this process's peak resident memory and peak GPU allocation since `forget_peak_memory`, in MB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10  # getrusage counts bytes on macOS, kilobytes elsewhere
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    torch = sys.modules.get("torch")
    vram = torch.cuda.max_memory_allocated() / 2**20 if torch is not None and torch.cuda.is_available() else 0.0
    return {"peak_rss_mb": round(rss, 1), "peak_vram_mb": round(vram, 1)}


def forget_peak_memory() -> None:
    """Let `peak_memory` count from now, so that a run is not charged with the one before it in the same process.

    Linux resets the resident peak (proc(5), clear_refs); elsewhere that stays the peak of the whole process.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError as error:
        log.debug("the peak of resident memory cannot be reset: %s", error)
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def give_back_memory() -> None:
    """Return what is no longer used to the system: to the GPU's driver, and of the C allocator's what glibc keeps.

    Without it a process that trains and answers in turn holds the most of both at once (see malloc_trim(3)).
    """
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim:
        trim(0)


@contextlib.contextmanager
def keeping_memory(size: int = 0) -> Iterator[None]:
    """Let the C allocator keep what is freed for what is asked for next, instead of the system; glibc alone can.

    A computation that asks for the same large blocks again and again is spared their pages' clearing (see mallopt(3)).
    The first `size` bytes come in huge pages where the system grants them, which are cleared several times as fast.
    """
    settings = {M_MMAP_MAX: (0, 65536), M_TRIM_THRESHOLD: (-1, 128 * 1024), M_ARENA_MAX: (1, 0)}  # in here, by default
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    adjust = getattr(library, "mallopt", None)
    for name, (kept, _) in settings.items() if adjust else ():
        adjust(name, kept)
    if adjust and size:
        _ask_for_huge_pages(library, size)
    try:
        yield
    finally:
        for name, (_, usual) in settings.items() if adjust else ():
            adjust(name, usual)
        give_back_memory()


def _ask_for_huge_pages(library: ctypes.CDLL, size: int) -> None:
    """Advise the system for as many bytes of the heap, which the allocator then hands out; touch none of them."""
    library.malloc.restype = ctypes.c_void_p
    start = library.malloc(ctypes.c_size_t(size))
    if start:
        first = -(-start // HUGE_PAGE) * HUGE_PAGE
        library.madvise(ctypes.c_void_p(first), ctypes.c_size_t(start + size - first), MADV_HUGEPAGE)
        library.free(ctypes.c_void_p(start))


def show_log() -> None:
    """Send the helpers' log lines to stdout, so that a notebook's output and a batch log both have them."""
    root = logging.getLogger("helpers")
    if not root.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        root.addHandler(handler)
        root.setLevel(logging.INFO)


def progress(items: Iterable, *, label: str, total: int | None = None) -> Iterator:
    """Yield `items`, showing a bar to a person and a line every 30 s to a log."""
    total = len(items) if total is None and hasattr(items, "__len__") else total
    advance = ticker(label=label, total=total)
    for item in items:
        yield item
        advance()


def ticker(*, label: str, total: int | None) -> Callable[[], None]:
    """Return a function to call once per finished item, for work that reports by callback; see `progress`."""
    return _bar(label, total) if is_interactive() else _lines(label, total)


def _bar(label: str, total: int | None) -> Callable[[], None]:
    from tqdm.auto import tqdm

    bar = tqdm(total=total, desc=label)

    def advance() -> None:
        bar.update(1)
        if bar.n == total:
            bar.close()

    return advance


def _lines(label: str, total: int | None) -> Callable[[], None]:
    start = last = time.monotonic()
    done = 0

    def advance() -> None:
        nonlocal last, done
        done += 1
        now = time.monotonic()
        if done == total or now - last >= REPORT_EVERY_S:
            last = now
            log.info("%s: %d%s in %.0f s", label, done, f" of {total}" if total else "", now - start)

    return advance


def _version(metadata, name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _gpu() -> dict | None:
    """Ask the driver, not torch: importing torch costs seconds, and a missing driver is an answer, not an error."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except (ImportError, OSError) as error:
        log.debug("no GPU: %s", error)
        return None
    except pynvml.NVMLError as error:
        log.debug("no GPU: %s", error)
        return None
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    return {
        "name": pynvml.nvmlDeviceGetName(handle),
        "vram_gb": round(pynvml.nvmlDeviceGetMemoryInfo(handle).total / 2**30, 1),
        "driver": pynvml.nvmlSystemGetDriverVersion(),
        "capability": list(pynvml.nvmlDeviceGetCudaComputeCapability(handle)),
    }
