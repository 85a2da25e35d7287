"""Visits pages of `pdns serve` as a person does, in headless Chromium.

Arguments: the URL of the server, and a folder for screenshots. It prints what it saw as JSON: one value for each
thing that the test asks about. It fails loudly when an element is not there.
"""

import json
import sys
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE = 20


def browser(scripts=True):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    # Tests run as root in containers, where Chromium's own sandbox cannot.
    for flag in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if not scripts:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


class Visitor:
    def __init__(self, driver, url):
        self.driver, self.url = driver, url

    def go(self, path):
        self.driver.get(self.url + path)

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector):
        return [element.text for element in self.driver.find_elements(By.CSS_SELECTOR, selector)]

    def path(self):
        return self.driver.current_url.removeprefix(self.url)

    def click(self, element):
        """Clicks what leads to another document, and waits for that."""
        before = self.one("html")
        element.click()
        WebDriverWait(self.driver, PATIENCE).until(lambda _: self.one("html") != before)

    def look_up(self, value):
        box = self.one("#q")
        box.clear()
        box.send_keys(value)
        self.click(self.one(".top button"))

    def size(self, width, scheme):
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def picture(self, path):
        """The whole page; answers whether it is wider than the window."""
        measures = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})
        content, window = measures["cssContentSize"], measures["cssLayoutViewport"]
        clip = {"x": 0, "y": 0, "width": window["clientWidth"], "height": content["height"], "scale": 1}
        shot = self.driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True, "clip": clip}
        )
        import base64

        path.write_bytes(base64.b64decode(shot["data"]))
        return content["width"] > window["clientWidth"]


def look_up_and_pivot(visitor):
    visitor.go("/")
    numbers = visitor.texts(".numbers dt")
    visitor.look_up("https://www.example.com:8443/a?b")
    seen = {
        "numbers": numbers,
        "title": visitor.driver.title,
        "heading": visitor.one("h1").text,
        "summary": visitor.one(".summary").text,
        "headings": visitor.texts("h2"),
        "bars": visitor.driver.find_element(By.CSS_SELECTOR, "svg.bar").get_attribute("aria-label"),
    }
    visitor.click(visitor.driver.find_element(By.LINK_TEXT, "192.0.2.7"))
    seen["pivoted"] = visitor.one("h1").text
    seen["owners"] = visitor.texts("#records .what a")
    visitor.click(visitor.driver.find_element(By.LINK_TEXT, "192.0.2.0/24"))
    seen["prefix"] = visitor.one("h1").text
    return seen


def tag(visitor):
    visitor.go("/context/www.example.net")
    before = visitor.texts(".title .badge")
    visitor.one("#note").send_keys('<b>bad</b>\n"quoted"')
    visitor.click(visitor.one("button.threat"))
    told = visitor.one(".said").text
    visitor.go("/context/www.example.net")
    after = visitor.texts(".title .badge")
    line = visitor.one(".tags li").text
    bold = len(visitor.driver.find_elements(By.CSS_SELECTOR, ".tags b"))
    visitor.go("/context/192.0.2.7")
    across = visitor.texts("#records .badge")
    visitor.go("/context/www.example.net")
    visitor.click(visitor.one(".clear button"))
    cleared = visitor.one(".said").text
    visitor.one("details.history summary").click()
    history = visitor.texts("details.history li")
    return {
        "before": before, "told": told, "after": after, "line": line, "bold": bold, "across": across,
        "cleared": cleared, "history": history, "left": visitor.texts(".title .badge"),
    }


def hostile(visitor):
    seen = {}
    for name, value in [("txt", "txt.example.org"), ("name", "203.0.113.66"), ("idn", "xn--bcher-kva.example"),
                        ("junk", "<script>document.title='owned'</script>")]:
        visitor.look_up(value)
        seen[name] = {
            "text": visitor.one("main").text,
            "title": visitor.driver.title,
            "elements": len(visitor.driver.find_elements(By.CSS_SELECTOR, "main script, main img, main b, main i")),
        }
    return seen


def pictures(visitor, folder):
    wide = []
    for page, path in [("start", "/"), ("name", "/context/www.example.com?field=dns.query.name&t=1700004000"),
                       ("address", "/context/192.0.2.7"), ("hostile", "/context/203.0.113.66"),
                       ("prefix", "/context/198.51.100.0/24"), ("below", "/context/*.example.com"),
                       ("none", "/context?q=443")]:
        for width in [1280, 768, 390]:
            for scheme in ["light", "dark"]:
                visitor.size(width, scheme)
                visitor.go(path)
                if visitor.picture(folder / f"{page}-{width}-{scheme}.png"):
                    wide.append(f"{page} at {width}")
    return wide


def main():
    url, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    seen = {}
    with browser() as driver:
        visitor = Visitor(driver, url)
        seen["look_up"] = look_up_and_pivot(visitor)
        seen["tag"] = tag(visitor)
        seen["hostile"] = hostile(visitor)
        seen["wide"] = pictures(visitor, folder)
        # A policy that is broken is told here, and so is what could not be loaded.
        seen["console"] = [entry["message"] for entry in driver.get_log("browser") if "q=443" not in entry["message"]
                           and "404" not in entry["message"]]
    with browser(scripts=False) as driver:
        visitor = Visitor(driver, url)
        seen["no_scripts"] = {"look_up": look_up_and_pivot(visitor), "tag": tag(visitor)}
    print(json.dumps(seen))


main()
