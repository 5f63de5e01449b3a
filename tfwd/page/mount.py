"""Puts the page into a web application."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tfwd.errors import ConfigError, RunError

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from tfwd.run import Run

STYLE = Path(__file__).with_name("style.css")
_ICON = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'>"
    "<path d='M0 8C3 8 3 0 4 0s1 8 4 8z' fill='#1668b8'/></svg>"
)


def mount(app: Starlette, run: str | Path, place: str = "/ui") -> None:
    """Mounts the page of a run, which needs the extra `ui`.

    The page asks no host but the one that serves it: Gradio's analytics are off, and the fonts are the system's.

    Args:
        app: the application; its lifespan then starts and stops Gradio's too.
        run: the run directory.
        place: the path of the page.

    Raises:
        RunError: it is not a run, is damaged, or was changed after the training.
        ConfigError: Gradio is not installed.
    """
    opened = _opened(Path(run))
    # Gradio asks at its import whether it may report.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import gradio as gr
    except ImportError as error:
        raise ConfigError(f"The page needs Gradio: pip install 'tfwd[ui]'. ({error})") from None
    from starlette.responses import Response
    from starlette.routing import Route

    from tfwd.page.asking import Asker
    from tfwd.page.blocks import build
    from tfwd.page.lists import Lists

    asker = Asker(opened)
    lists = Lists(opened, asker.fields)
    # The first answers take seconds, since TensorFlow then traces its graphs.
    asker.warm()
    lists.warm()
    blocks = build(asker, lists)
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
        # Gradio's own greys are too light to read on white.
        body_text_color_subdued="#5c6370",
        body_text_color_subdued_dark="#b3b8c2",
        block_info_text_color="#5c6370",
        block_info_text_color_dark="#b3b8c2",
    )
    gr.mount_gradio_app(
        app,  # type: ignore[arg-type]
        blocks,
        path=place,
        theme=theme,
        css_paths=STYLE,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        show_error=False,
        max_file_size=1,
    )
    # A browser asks for it by itself.
    app.router.routes.append(Route("/favicon.ico", lambda _: Response(_ICON, media_type="image/svg+xml")))


def _opened(path: Path) -> Run:
    if not (path / "run.json").is_file():
        what = "does not exist" if not path.exists() else "is not a run directory, as it has no run.json"
        raise RunError(
            f"{path} {what}. The page needs the run of a training, since it shows vocabularies, training ranges and "
            "contributions, which an exported file does not hold: give the directory of the run."
        )
    from tfwd.run import Run

    return Run.open(path)
