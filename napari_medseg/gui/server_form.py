"""The server that segmenters run on: one to be added, or what is known of the chosen one."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QFormLayout, QHBoxLayout, QLineEdit, QSizePolicy, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_medseg.errors import MedsegError
from napari_medseg.gui.desk import Desk
from napari_medseg.gui.fields import beside, unscrolled
from napari_medseg.gui.style import button, quiet
from napari_medseg.session.servers import name_of

SENT = "The scan and what you point at are sent there; no name, date or number of the patient is."


class ServerForm(QWidget):
    """Not there while segmenters run on this machine and nobody adds a server."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        servers = desk.session.servers
        self.address = _field("Address", "https://name:8433", "Where the server is, as whoever runs it told you")
        self.token = _field("Token", "from whoever runs it", "What opens the server to you; kept in a file that only you can read")
        self.token.setEchoMode(QLineEdit.EchoMode.Password)
        known_by = "The .pem file that the server must be known by; empty where its certificate is publicly trusted"
        self.authority = _field("Certificate", "only if self-signed (.pem)", known_by)
        self.connect = button("Connect", "Ask the server; once it has answered, segmenters run on it", self._on_connect)
        self.cancel = button("Cancel", "Stay on this machine", lambda: servers.choose(servers.chosen))
        self._new = QWidget()
        form = QFormLayout(self._new)
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(4)
        form.addRow("Address", self.address)
        form.addRow("Token", self.token)
        form.addRow("Certificate", beside(self.authority, button("…", "Choose the certificate file", self._browse)))
        form.addRow(beside(self.connect, self.cancel))
        for each in (self.address, self.token, self.authority):
            each.returnPressed.connect(self._on_connect)
        self.test = button("Test", "Ask the server how soon it answers and what it runs on", servers.test)
        self.forget = button("Forget", "Take the server off the list, with its token", servers.forget)
        self._kept = QWidget()
        row = QHBoxLayout(self._kept)
        row.setContentsMargins(0, 0, 0, 0)
        self.line = QElidingLabel()
        self.line.setProperty("quiet", True)
        self.line.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row.addWidget(self.line, 1)
        row.addWidget(self.test)
        row.addWidget(self.forget)
        self.told, self.sent = quiet(), quiet(SENT)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for part in (self._new, self.told, self._kept, self.sent):
            column.addWidget(part)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        servers = self._desk.session.servers
        self.setVisible(servers.adding or bool(servers.chosen))
        self._new.setVisible(servers.adding)
        self._kept.setVisible(bool(servers.chosen) and not servers.adding)
        self.told.setText(servers.told)
        self.told.setVisible(servers.adding and bool(servers.told))
        self.sent.setVisible(servers.adding)
        self.line.setText(servers.told or "The scan is sent there")
        self.line.setToolTip(f"{servers.told}\n{SENT}".strip())
        for each in (self.connect, self.test):
            each.setEnabled(not servers.asking)
        self.forget.setToolTip(f"Take {name_of(servers.chosen)} off the list, with its token")

    def _on_connect(self) -> None:
        servers = self._desk.session.servers
        try:
            servers.add(self.address.text(), self.token.text(), self.authority.text())
        except MedsegError as error:
            servers.tell(str(error))

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Certificate", str(Path.home()), "Certificates (*.pem *.crt *.cer)")
        if path:
            self.authority.setText(path)


def _field(name: str, hint: str, tip: str) -> QLineEdit:
    line = QLineEdit()
    line.setPlaceholderText(hint)
    line.setToolTip(tip)
    line.setAccessibleName(name)
    unscrolled(line)
    return line
