"""A history of single edits upon a revision of a kernel, for the benchmarks."""
import os
import subprocess
import sys
from pathlib import Path

import demo


class History:
    """Commits upon a revision, in a repository of their own that borrows the other's objects."""

    def __init__(self, path, source, revision):
        self.path = path
        subprocess.run(["git", "init", "--quiet", "--bare", path], check=True)
        objects = demo.output(["git", "-C", source, "rev-parse", "--git-path", "objects"]).strip()
        (path / "objects/info/alternates").write_text(f"{Path(source, objects).resolve()}\n")
        tree = demo.output(["git", "-C", source, "rev-parse", f"{revision}^{{tree}}"]).strip()
        self.head = self.commit(tree, "the first")

    def git(self, *args, **more):
        return demo.output(["git", "--git-dir", self.path, *args], **more)

    def commit(self, tree, subject, *parents):
        self.head = self.git("commit-tree", tree, "-m", subject, *parents, env=os.environ | demo.PERSON).strip()
        self.git("update-ref", "refs/heads/edits", self.head)
        return self.head

    def edit(self, what, path, old, new):
        """Commits one edit of a file, and gives the commit; an empty `old` means: at the end."""
        return self.edit_all(what, [(path, old, new)])

    def edit_all(self, what, edits):
        """Commits edits (path, old, new) of files, which an edit at the end makes if need be."""
        env = os.environ | {"GIT_INDEX_FILE": str(self.path / "index")}
        self.git("read-tree", self.head, env=env)
        for path, old, new in edits:
            is_there = self.git("ls-tree", "--name-only", self.head, path).strip()
            text = self.git("show", f"{self.head}:{path}") if is_there else ""
            if old and old not in text:
                sys.exit(f"'{old}' is not in {path}")
            text = text.replace(old, new, 1) if old else text + new
            blob = self.git("hash-object", "-w", "--stdin", input=text).strip()
            self.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", env=env)
        return self.commit(self.git("write-tree", env=env).strip(), what, "-p", self.head)
