"""Debian's chromium without a window, driven through its DevTools pipe (https://chromedevtools.github.io/devtools-protocol).

The pipe needs no library: messages are JSON that ends with a zero byte, in through descriptor 3, out through 4.
"""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import time

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--mute-audio",
    "--no-first-run",
    "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--remote-debugging-pipe",
    "--window-size=1280,1600",
    "--force-prefers-reduced-motion",  # no colour is on its way to another
)
TEXTS = {"Enter": "\r"}  # of keys with a longer name
CODES = {"Tab": 9, "Enter": 13}  # without which these keys do nothing
CONTRAST = """(() => {
  const light = (c) => { const x = c / 255; return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; };
  const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (e) => { for (; e; e = e.parentElement) {
    const colour = parts(getComputedStyle(e).backgroundColor); if (colour[3] !== 0) return colour;
  } return [255, 255, 255]; };
  const bad = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !e.checkVisibility() || e.closest(":disabled, script, option")) continue;
    const [a, b] = [luminance(parts(getComputedStyle(e).color)), luminance(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) bad.push([e.tagName, e.textContent.slice(0, 30), ratio.toFixed(2)].join(" "));
  }
  return bad;
})()"""
"""Texts whose contrast is below that of WCAG 2.2, success criterion 1.4.3."""


class Browser:
    """A browser of its own, with its profile and its downloads in ``folder``."""

    def __init__(self, folder):
        self.downloads = folder / "downloads"
        self.number, self.unread, self.answers, self.events = 0, b"", {}, []
        theirs_in, self.to = os.pipe()
        self.since, theirs_out = os.pipe()

        def place():
            high = [os.dup(theirs_in), os.dup(theirs_out)]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            [CHROMIUM, *OPTIONS, f"--user-data-dir={folder / 'profile'}"],
            preexec_fn=place,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        behaviour = {"behavior": "allow", "downloadPath": str(self.downloads)}
        self.send("Browser.setDownloadBehavior", **behaviour)

    def send(self, method, session=None, patience=30, **params):
        """The result of a command."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self.to, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + patience
        while self.number not in self.answers:
            assert select.select([self.since], [], [], max(0, end - time.monotonic()))[0], f"no answer to {method}"
            *whole, self.unread = (self.unread + os.read(self.since, 1 << 20)).split(b"\0")
            for told in map(json.loads, whole):
                if "id" in told:
                    self.answers[told["id"]] = told
                else:
                    self.events.append(told)
        answer = self.answers.pop(self.number)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, url):
        return Page(self, url)

    def close(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.to)
        os.close(self.since)


class Page:
    """One tab."""

    def __init__(self, browser, url):
        self.browser = browser
        self.target = browser.send("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.send("Target.attachToTarget", targetId=self.target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "DOM", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send("Page.navigate", url=url)
        self.until("location.href !== 'about:blank' && document.readyState !== 'loading' && !!document.documentElement")

    def send(self, method, **params):
        return self.browser.send(method, self.session, **params)

    def run(self, script):
        """The value of an expression, awaited."""
        options = {"returnByValue": True, "awaitPromise": True, "userGesture": True}
        answer = self.send("Runtime.evaluate", expression=script, **options)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, script, patience=30):
        """The value of an expression once it is true."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if value := self.run(script):
                return value
            time.sleep(0.05)
        raise AssertionError(f"{script} did not become true:\n{self.run('document.body.innerText')}")

    def click(self, selector):
        self.until(f"!!document.querySelector({json.dumps(selector)})")
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def press(self, key):
        text = {"text": TEXTS.get(key, key)} if key in TEXTS or len(key) == 1 else {}
        code = {"windowsVirtualKeyCode": CODES[key]} if key in CODES else {}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, **code, **(text if kind == "keyDown" else {}))

    def show(self, width, height, scheme="light"):
        """Give the window a size, and the page a colour scheme."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        wanted = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}  # colours change at once
        features = [{"name": name, "value": value} for name, value in wanted.items()]
        self.send("Emulation.setEmulatedMedia", features=features)

    def choose_file(self, selector, path):
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def complaints(self):
        """Uncaught exceptions, and what the browser logged as errors."""
        mine = [e for e in self.browser.events if e.get("sessionId") == self.session]
        thrown = [e["params"] for e in mine if e["method"] == "Runtime.exceptionThrown"]
        logged = [e["params"]["entry"] for e in mine if e["method"] == "Log.entryAdded"]
        return thrown + [entry for entry in logged if entry["level"] == "error"]

    def asked(self):
        """The addresses of all requests."""
        mine = [e for e in self.browser.events if e.get("sessionId") == self.session]
        return [e["params"]["request"]["url"] for e in mine if e["method"] == "Network.requestWillBeSent"]

    def screenshot(self, path):
        data = self.send("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self):
        self.browser.send("Target.closeTarget", targetId=self.target)
