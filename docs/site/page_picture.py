"""Draw docs/images/page.png, the page of a run: `python docs/site/page_picture.py runs/census`.

It needs the extra `ui`, Playwright and a Chromium.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from pathlib import Path

import uvicorn
from playwright.sync_api import sync_playwright
from starlette.applications import Starlette

from tfwd.page.mount import mount

ROOT = Path(__file__).resolve().parents[2]
ROW = (
    "?age=39&education_num=14&capital_gain=0&capital_loss=0&hours_per_week=45&workclass=Private&education=Masters"
    "&marital_status=Married-civ-spouse&occupation=Prof-specialty&relationship=Husband&race=White&sex=Male"
    "&native_country=United-States"
)


def draw(run: str, file: Path) -> None:
    app = Starlette()
    mount(app, run)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.1)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with sync_playwright() as playwright:
            options = ["--no-sandbox"] if os.geteuid() == 0 else []
            chromium = shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=chromium, args=options)
            page = browser.new_page(viewport={"width": 1240, "height": 900}, color_scheme="light")
            page.goto(f"http://127.0.0.1:{port}/ui/{ROW}")
            page.wait_for_selector(".tfwd-sum")
            page.wait_for_timeout(1000)
            page.screenshot(path=file, full_page=True)
            browser.close()
    finally:
        server.should_exit = True
        thread.join()


if __name__ == "__main__":
    draw(sys.argv[1], ROOT / "docs" / "images" / "page.png")
