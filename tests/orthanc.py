"""A real archive for tests: Debian's Orthanc with its DICOMweb plugin, in a folder and on ports of its own, gone at the end."""

import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

USER, PASSWORD = "ann", "for-tests-only"
PLUGIN = next(iter(sorted(Path("/usr/share/orthanc/plugins").glob("libOrthancDicomWeb.so*"))), None)


@dataclass(frozen=True)
class Orthanc:
    """Where it answers."""

    web: str
    dicom: str


def missing() -> str:
    """Why there can be no archive here; "" when there can."""
    there = shutil.which("Orthanc", path="/usr/sbin:/usr/bin") and PLUGIN
    return "" if there else "Orthanc is not installed (on Debian: apt-get install orthanc orthanc-dicomweb)"


@contextmanager
def orthanc(**settings) -> Iterator[Orthanc]:
    """A running archive; settings change its configuration."""
    with tempfile.TemporaryDirectory(prefix="medseg-orthanc-") as folder:
        http, dicom = _free_port(), _free_port()
        told = {
            "Name": "Test", "StorageDirectory": folder, "IndexDirectory": folder, "Plugins": [str(PLUGIN)], "HttpPort": http, "DicomPort": dicom,
            "DicomAet": "ARCHIVE", "DicomCheckCalledAet": True, "DicomAlwaysAllowEcho": True, "DicomAlwaysAllowStore": True, "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowGet": True, "RemoteAccessAllowed": False, "AuthenticationEnabled": True, "RegisteredUsers": {USER: PASSWORD},
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}, **settings,
        }
        path = Path(folder, "orthanc.json")
        path.write_text(json.dumps(told))
        server = subprocess.Popen([shutil.which("Orthanc", path="/usr/sbin:/usr/bin"), path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait(http, server)
            yield Orthanc(f"http://127.0.0.1:{http}/dicom-web", f"dicom://ARCHIVE@127.0.0.1:{dicom}")
        finally:
            server.terminate()
            server.wait(30)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait(port: int, server: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/system", timeout=5)
        except urllib.error.HTTPError:  # it asks for a password, so it is there
            return
        except OSError:
            assert server.poll() is None, "the archive ended"
            assert time.monotonic() < end, "the archive did not answer within a minute"
            time.sleep(0.05)
        else:
            return
