"""A server in this process with segmenters that cost nothing, and its users."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from napari_medseg.cluster.remote.address import Server
from napari_medseg.cluster.remote.segmenter import RemoteSegmenter
from napari_medseg.cluster.server.running import Running, Settings
from napari_medseg.cluster.server.tokens import Tokens
from napari_medseg.cluster.wire.asking import Spec

FOLDER = {"name": "model", "kind": "file", "title": "Model", "required": False}
ENTRIES = [
    {"id": "bright", "factory": "remote_engines:Bright", "asks": [
        {"name": "task", "kind": "text", "title": "Task", "required": False}, FOLDER, {"name": "trust", "kind": "consent", "title": "Trust", "required": False},
    ]},
    {"id": "held", "factory": "remote_engines:Held"},
    {"id": "pointed", "factory": "remote_engines:Pointed", "capabilities": {"prompts": ["points", "scribbles", "mask"]}},
    {"id": "needs-folder", "factory": "remote_engines:Bright", "asks": [{**FOLDER, "required": True}]},
    {"id": "elsewhere", "factory": "remote_engines:Bright", "capabilities": {"remote": True}},
]


class Serving:
    """A server that can be stopped and started again at its address, and its users."""

    def __init__(self, folder: Path, **settings):
        self.folder, self.settings = folder, settings
        self.tokens = Tokens(folder / "users.json")
        self.token = self.tokens.add("ann")
        self._start(0)

    def _start(self, port):
        kept = {"users": self.tokens.path, "log": self.folder / "audit.log", "runs": self.folder / "runs"}
        self.running = Running(Settings(port=port, device="cpu", **kept, **self.settings))
        self.stop = self.running.start()
        self.address = self.running.address

    def again(self):
        self.stop()
        self._start(int(self.address.rpartition(":")[2]))

    @property
    def log(self):
        """What was written so far: the first line makes the file, after its answer was given."""
        file = self.folder / "audit.log"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def server(self, token=None):
        return Server(self.address, self.token if token is None else token, str(self.folder / "ca.pem") if self.address.startswith("https") else "")

    def segmenter(self, name, answers=None, token=None, give_up_s=15.0):
        return RemoteSegmenter(self.server(token), Spec(members=({"id": name, "answers": answers or {}},)), give_up_s=give_up_s)


class Killable:
    """A server in a process of its own that can be killed and started again at its address."""

    def __init__(self, folder: Path):
        self.folder, self.starts = folder, 0
        self.token = Tokens(folder / "users.json").add("ann")
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]

    def start(self):
        words = ["serve", "--port", str(self.port), "--users", str(self.folder / "users.json"), "--audit-log", str(self.folder / "audit.log")]
        command = [sys.executable, "-c", "from napari_medseg.cli import main; main()", *words, "--device", "cpu", "--runs", str(self.folder / "runs")]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        next(line for line in self._process.stderr if line.startswith("Listening on "))
        self.starts += 1

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._process.stderr.close()

    def server(self):
        return Server(f"http://127.0.0.1:{self.port}", self.token)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()
