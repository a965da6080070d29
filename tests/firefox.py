"""Debian's Firefox under test, spoken to in its own protocol (Marionette): no driver is needed."""

import base64
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("firefox-esr", "firefox")
PREFERENCES = {
    "app.update.auto": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.w3c_touch_events.enabled": 1,
    "layout.css.prefers-color-scheme.content-override": 0,  # dark
    "marionette.port": 0,  # a free one, which it writes into its profile
    "toolkit.telemetry.reportingpolicy.firstRun": False,
    "ui.prefersReducedMotion": 1,
}


def executable() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


class Firefox:
    """A browser with one page."""

    def __init__(self, connection: socket.socket) -> None:
        self.stream = connection.makefile("rwb")
        self.number = 0
        self._read()  # it names itself
        self.say("WebDriver:NewSession")

    def _read(self) -> Any:
        length = b""
        while not length.endswith(b":"):
            got = self.stream.read(1)
            assert got, "Firefox has gone"
            length += got
        return json.loads(self.stream.read(int(length[:-1])))

    def say(self, command: str, **values: Any) -> Any:
        """The answer to a command."""
        self.number += 1
        message = json.dumps([0, self.number, f"{command}", values]).encode()
        self.stream.write(b"%d:%s" % (len(message), message))
        self.stream.flush()
        _, _, error, answer = self._read()
        assert error is None, error
        return answer

    def go(self, address: str) -> None:
        self.say("WebDriver:Navigate", url=address)

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script in the page returns."""
        return self.say("WebDriver:ExecuteScript", script=script, args=arguments)["value"]

    def wait(self, script: str, *arguments: Any, seconds: float = 60) -> Any:
        """What a script returns once that is true."""
        deadline = time.monotonic() + seconds
        while not (found := self.run(f"return {script}", *arguments)):
            assert time.monotonic() < deadline, f"{script} is still {found}"
            time.sleep(0.1)
        return found

    def size(self, width: int, height: int) -> None:
        """Make the page so large: the window is larger by its own frame."""
        for _ in range(3):
            frame = self.run("return [outerWidth - innerWidth, outerHeight - innerHeight]")
            self.say("WebDriver:SetWindowRect", width=width + frame[0], height=height + frame[1])
        self.wait("Math.abs(innerWidth - arguments[0]) < 2", width)

    def pull(self, *places: tuple[float, float], finger: bool = False) -> None:
        """Press at the first place, go to the others, let go."""
        (x, y), *rest = ((round(a), round(b)) for a, b in places)
        steps: list[dict[str, Any]] = [
            {"type": "pointerMove", "x": x, "y": y, "duration": 0},
            {"type": "pointerDown", "button": 0},
        ]
        steps += [{"type": "pointerMove", "x": a, "y": b, "duration": 100} for a, b in rest]
        steps.append({"type": "pointerUp", "button": 0})
        kind = {"pointerType": "touch" if finger else "mouse"}
        source = {"type": "pointer", "id": str(kind), "parameters": kind, "actions": steps}
        self.say("WebDriver:PerformActions", actions=[source])
        self.say("WebDriver:ReleaseActions")

    def picture(self, path: Path) -> None:
        said = self.say("WebDriver:TakeScreenshot", full=False)
        path.write_bytes(base64.b64decode(said["value"]))


@contextmanager
def firefox(folder: Path) -> Iterator[Firefox]:
    """Firefox with a profile of its own, in dark colours and with less motion."""
    program = executable()
    assert program is not None
    profile = folder / "profile"
    profile.mkdir()
    lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines))
    command = [program, "--headless", "--no-remote", "--marionette", "--profile", str(profile)]
    with open(folder / "firefox.log", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        port = profile / "MarionetteActivePort"
        deadline = time.monotonic() + 120
        while not (port.exists() and port.read_text().strip()):
            assert process.poll() is None, (folder / "firefox.log").read_text()
            assert time.monotonic() < deadline, (folder / "firefox.log").read_text()
            time.sleep(0.1)
        address = "127.0.0.1", int(port.read_text())
        with socket.create_connection(address, timeout=120) as connection:
            yield Firefox(connection)
    finally:
        process.terminate()
        process.wait(60)
