import subprocess
import sys


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_open_clip_imports_after_it_and_it_may_be_called_twice() -> None:
    """In a separate process, because its effects last as long as the process."""
    done = run(
        "from flowmodel.text.torchvision_shim import let_torchvision_import as shim; shim(); shim()\n"
        "import torchvision, open_clip; from open_clip.hf_model import HFTextEncoder; shim(); print('fine')"
    )
    assert done.stdout == "fine\n", done.stderr


def test_any_other_failure_is_not_hidden() -> None:
    done = run(
        "import sys, importlib.abc\n"
        "class Broken(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'torchvision': raise RuntimeError('driver too old')\n"
        "sys.meta_path.insert(0, Broken())\n"
        "from flowmodel.text.torchvision_shim import let_torchvision_import as shim; shim()"
    )
    assert done.returncode == 1
    assert "driver too old" in done.stderr
