"""What the benchmarks share: the demo's kernel history and a release build of kiln."""
import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Who commits, and when: the same commits every time.
PERSON = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
          for what, value in (("NAME", "Kiln"), ("EMAIL", "kiln@kiln.invalid"), ("DATE", "1735689600 +0000"))}


def output(args, **more):
    """Standard output of a command that must succeed."""
    return subprocess.run(args, check=True, text=True, stdout=subprocess.PIPE, **more).stdout


def folder(name):
    """Where a benchmark keeps what the next call of it can use again."""
    path = Path(os.environ.get("KILN_BENCH_DIR", ROOT / "target/bench")).absolute() / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def kiln():
    """Path of the command: the one in $KILN_BIN, or one built in release."""
    if made := os.environ.get("KILN_BIN"):
        return made
    subprocess.run(["cargo", "build", "--quiet", "--release", "-p", "kiln-api"], cwd=ROOT, check=True)
    return str(Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).absolute() / "release/kiln")


class Histories:
    """Planted histories of a real kernel, one a seed."""

    def __init__(self):
        out = output([ROOT / "tests/fixtures/prepare"])
        script = f'{out}\nprintf "%s\\n%s\\n" "$KILN_FIXTURE" "$KILN_FIXTURE_REPO"'
        self.generator, self.repo = output(["bash", "-c", script]).split("\n")[:2]

    def plant(self, seed):
        """The history of a seed, as `kiln-fixture history --json` describes it."""
        return json.loads(output([self.generator, "history", "--json", "--seed", str(seed), "--repo", self.repo]))
