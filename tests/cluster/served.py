"""A server in this process with segmenters that cost nothing, and its users."""

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
        self.running = Running(Settings(port=port, users=self.tokens.path, log=self.folder / "audit.log", device="cpu", **self.settings))
        self.stop = self.running.start()
        self.address = self.running.address

    def again(self):
        self.stop()
        self._start(int(self.address.rpartition(":")[2]))

    @property
    def log(self):
        return (self.folder / "audit.log").read_text(encoding="utf-8")

    def server(self, token=None):
        return Server(self.address, self.token if token is None else token, str(self.folder / "ca.pem") if self.address.startswith("https") else "")

    def segmenter(self, name, answers=None, token=None, give_up_s=15.0):
        return RemoteSegmenter(self.server(token), Spec(members=({"id": name, "answers": answers or {}},)), give_up_s=give_up_s)
