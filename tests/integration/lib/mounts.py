"""A gateway that sees other files than the machine's, in a mount namespace of its own."""

import os
import subprocess
from pathlib import Path

import pytest

UNSHARE = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]


def mounted(folder, pairs):
    """A command's prefix: within it, each (what, where) of `pairs` is seen there, one after the other. A relative
    path lies below `folder`."""
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no mount namespaces here")
    steps = [f"mount --rbind '{Path(folder, what)}' '{Path(folder, where)}' || exit 1" for what, where in pairs]
    return [*UNSHARE, "sh", "-c", "; ".join([*steps, 'exec "$@"']), "sh"]
