"""A real chain of neighbouring kernels: one changed source file of the build from each to the next."""
import os, shutil, subprocess, sys, time
from pathlib import Path

# What `kiln build` pins too (builder/src/recipe.rs): equal sources give equal bytes.
PINNED = {
    "LC_ALL": "C", "TZ": "UTC", "SOURCE_DATE_EPOCH": "0", "KBUILD_BUILD_VERSION": "1",
    "KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:00 UTC 1970",
    "KBUILD_BUILD_USER": "kiln", "KBUILD_BUILD_HOST": "kiln",
}
NAMES = ["KERNELVERSION=6.1.0", "KERNELRELEASE=6.1.0-kiln", "LOCALVERSION="]
KEPT = {"vmlinux": "vmlinux", "bzImage": "arch/x86/boot/bzImage", "System.map": "System.map", ".config": ".config"}


def run(*args, check=True, **more):
    done = subprocess.run(list(map(str, args)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if check and done.returncode:
        sys.exit(f"{' '.join(map(str, args))} failed:\n{done.stdout[-3000:]}")
    return done


class Chain:
    """Folders `0000`, `0001`, … below `folder`, one a build, made once and then kept."""

    def __init__(self, folder, repo, config, count, options=(), target="bzImage", step=1):
        self.folder, self.repo, self.count, self.step = Path(folder), repo, count, step
        self.tree, self.objects = self.folder / "tree", self.folder / "objects"
        self.config, self.options, self.target = config, options, target

    def builds(self):
        return sorted(path for path in self.folder.glob("[0-9]" * 4))

    def make(self, *targets, check=True):
        jobs = f"-j{os.cpu_count()}"
        return run("make", "-s", "-C", self.tree, f"O={self.objects}", jobs, *NAMES, *targets,
                   check=check, env=os.environ | PINNED)

    def keep(self):
        place = self.folder / f"{len(self.builds()):04}"
        staged = self.folder / "staged"
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir()
        for name, path in KEPT.items():
            shutil.copy(self.objects / path, staged / name)
        for module in self.objects.rglob("*.ko"):
            to = staged / "modules" / module.relative_to(self.objects)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(module, to)
        staged.rename(place)

    def prepare(self):
        """The tree at the older release, and its first build."""
        shutil.rmtree(self.tree, ignore_errors=True)
        shutil.rmtree(self.objects, ignore_errors=True)
        self.objects.mkdir(parents=True)
        run("git", "clone", "--quiet", "--shared", "--no-checkout", self.repo, self.tree)
        run("git", "-C", self.tree, "fetch", "--quiet", self.repo, "refs/kiln/*:refs/kiln/*")
        run("git", "-C", self.tree, "checkout", "--quiet", "--detach", "refs/kiln/base")
        if self.config:
            shutil.copy(self.config, self.objects / ".config")
        else:
            self.make("defconfig")
        if self.options:
            run(self.tree / "scripts/config", "--file", self.objects / ".config", *self.options)
        self.make("olddefconfig")
        self.make(self.target)

    def changed(self):
        """Files of the build that differ between the two releases."""
        names = run("git", "-C", self.tree, "diff", "--name-only", "--diff-filter=M",
                    "refs/kiln/base", "refs/kiln/newer", "--", "*.c").stdout.split()
        return [name for name in names if (self.objects / name).with_suffix(".o").exists()]

    def begin(self):
        """The tree as the last build left it, or at the older release with a first build; the
        content of the last `vmlinux`, and the files that are still to be changed."""
        if self.builds() and (self.tree / ".git").exists():
            last = (self.builds()[-1] / "vmlinux").read_bytes()
        else:
            for old in self.builds():
                shutil.rmtree(old)
            self.prepare()
            self.keep()
            last = (self.objects / "vmlinux").read_bytes()
        done = set(run("git", "-C", self.tree, "diff", "--cached", "--name-only", "refs/kiln/base").stdout.split())
        return last, [name for name in self.changed() if name not in done]

    def ensure(self):
        """Makes what is missing of the chain, from where an earlier call was ended; gives its
        folders."""
        if len(self.builds()) < self.count:
            last, todo = self.begin()
            while len(self.builds()) < self.count and todo:
                batch, todo = todo[:self.step], todo[self.step:]
                run("git", "-C", self.tree, "checkout", "--quiet", "refs/kiln/newer", "--", *batch)
                if self.make(self.target, check=False).returncode:
                    # It needs a header of the newer release: this file stays as it was.
                    run("git", "-C", self.tree, "checkout", "--quiet", "refs/kiln/base", "--", *batch)
                    continue
                now = (self.objects / "vmlinux").read_bytes()
                if now != last:
                    last = now
                    self.keep()
            shutil.rmtree(self.tree, ignore_errors=True)
            shutil.rmtree(self.objects, ignore_errors=True)
        return self.builds()[:self.count]


def install(packages):
    """Installs the Debian packages that are missing."""
    missing = [name for name in packages if subprocess.run(["dpkg", "-s", name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode]
    if missing:
        run("apt-get", "-qq", "install", "--yes", "--no-install-recommends", *missing)


def repository():
    """The imported kernel source of the fixtures, with both point releases."""
    if made := os.environ.get("KILN_FIXTURE_REPO"):
        return made
    prepare = Path(__file__).resolve().parents[1] / "fixtures/prepare"
    text = subprocess.run([prepare], stdout=subprocess.PIPE, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in text.splitlines())["KILN_FIXTURE_REPO"]
