"""The page in Gradio: fields, panels, and what happens when a person changes something.

Every event is a request of its own that needs nothing but what the browser sends along: there is no session, so that
any of several processes may answer, and a page that was left open still works after the server has started again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from tfwd.errors import DataError
from tfwd.page.asking import Answer, Asker
from tfwd.page.curves import curve_panel
from tfwd.page.fields import Field, Row
from tfwd.page.links import query_of, rows_of
from tfwd.page.lists import Lists
from tfwd.page.markup import notice, percent, plain, question, text
from tfwd.page.panels import answer_panel, comparison_panel, refusal_panel, why_panel

# Categories that a page holds, of all fields together, and of one at least. Others are typed: Gradio's browser part
# keeps the end of a longer list when a server sends a shorter one, so that a search on the server would mislead.
_HELD, _HELD_OF_ONE = 20_000, 500
MISSING = "(missing)"
# Of every event: no queue, no place in the list of the API, and what is typed meanwhile is answered at the end.
_EVENT: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
_LATEST = {**_EVENT, "trigger_mode": "always_last"}
# The address of the page, and the whole link.
_TO_ADDRESS = """(query) => {
  const place = window.location.pathname + (query ? "?" + query : "");
  window.history.replaceState(window.history.state, "", place);
  return window.location.origin + place;
}"""
_OF_ADDRESS = "() => window.location.search"


def build(asker: Asker, lists: Lists) -> gr.Blocks:
    """Returns the page of a run.

    Args:
        asker: asks the run's model.
        lists: makes the lists of users, if the run ranks.
    """
    return _Page(asker, lists).blocks


class _Page:
    """The components, and the functions that events call, which take what the browser sends."""

    def __init__(self, asker: Asker, lists: Lists) -> None:
        self.asker, self.lists, self.fields = asker, lists, asker.fields
        self.classes = asker.schema.classes if asker.schema.task == "multiclass" else ()
        self.curved = [field for field in self.fields if asker.has_curve(field)]
        title = asker.run.config.export.name
        with gr.Blocks(analytics_enabled=False, title=f"{title}: {asker.schema.label}") as self.blocks:
            gr.HTML(self._title(title), elem_id="tfwd-title")
            self.answer = gr.HTML(elem_id="tfwd-answer")
            # The query strings of the row and of the kept row.
            self.row_link = gr.Textbox(visible=False)
            self.kept_link = gr.Textbox(visible=False)
            self.wrong = gr.HTML(elem_id="tfwd-wrong")
            with gr.Row():
                with gr.Column(scale=5, min_width=320):
                    self._left()
                with gr.Column(scale=6, min_width=320):
                    self._right()
            self.link = gr.Textbox(
                label="Link to this page as it is",
                interactive=False,
                buttons=["copy"],
                elem_id="tfwd-link",
                max_lines=3,
            )
            self._events()

    def _title(self, name: str) -> str:
        run, schema = self.asker.run, self.asker.schema
        facts = [question(schema), f"{run.statistics.rows:,} training rows"]
        for part in ("test", "validation"):
            auc = run.metrics.get(part, {}).get("auc")
            if isinstance(auc, float):
                facts.append(f"AUC {auc:.4f} on the {part} rows")
                break
        if schema.task == "binary":
            facts.append(f"base rate {percent(run.statistics.label.mean)}")
        shown = f"<h1>{text(name)}</h1><p>{text(' · '.join(facts))}</p>"
        return shown + notice([self.asker.warning] if self.asker.warning else [])

    def _left(self) -> None:
        with gr.Row():
            what = "Another example" if self.asker.examples else "A typical row"
            self.example = gr.Button(what, size="sm", elem_id="tfwd-example", min_width=120)
            self.keep = gr.Button("Keep to compare", size="sm", elem_id="tfwd-keep", min_width=120)
        self.inputs = []
        held = max(_HELD // max(sum(bool(field.values) for field in self.fields), 1), _HELD_OF_ONE)
        with gr.Row():
            for field in self.fields:
                self.inputs.append(_component(field, held))

    def _right(self) -> None:
        with gr.Tabs():
            with gr.Tab("Why", id="why"):
                self.chosen = gr.Dropdown(
                    [("the most probable", -1), *((name, at) for at, name in enumerate(self.classes))],
                    value=-1,
                    label="Class",
                    visible=bool(self.classes),
                    elem_id="tfwd-class",
                )
                self.why = gr.HTML(elem_id="tfwd-why")
            with gr.Tab("What if", id="what-if"):
                ranges = [field for field in self.curved if field.kind in ("number", "moment")]
                self.along = gr.Dropdown(
                    [(field.label, field.name) for field in self.curved],
                    value=next((f.name for f in [*ranges, *self.curved]), None),
                    label="Along",
                    elem_id="tfwd-along",
                )
                self.curve = gr.HTML(elem_id="tfwd-curve")
            with gr.Tab("Compare", id="compare"):
                with gr.Row():
                    self.swap = gr.Button("Exchange the two", size="sm", elem_id="tfwd-swap", min_width=120)
                    self.forget = gr.Button("Forget the kept row", size="sm", elem_id="tfwd-forget", min_width=120)
                self.sides = gr.HTML(elem_id="tfwd-sides")
            if self.asker.run.config.ranking is not None:
                with gr.Tab("List", id="list"):
                    self._list()

    def _list(self) -> None:
        why_none = self.lists.why_none
        if why_none:
            gr.HTML(notice([why_none]))
            return
        users = self.lists.users()
        user = gr.Dropdown(
            users, value=users[0] if users else None, allow_custom_value=True, label="User", elem_id="tfwd-user"
        )
        seen = gr.Checkbox(label="List what the user has seen too", elem_id="tfwd-seen")
        shown = gr.HTML(elem_id="tfwd-list")
        gr.on([user.change, seen.change, self.blocks.load], self._listed, [user, seen], shown, **_LATEST)

    def _events(self) -> None:
        show = {"fn": self._show, "inputs": [self.kept_link, self.chosen, self.along, *self.inputs]}
        show["outputs"] = [self.answer, self.why, self.curve, self.sides, self.row_link]
        changes = [component.change for component in (*self.inputs, self.kept_link, self.chosen, self.along)]
        gr.on(changes, **show, **_LATEST)
        self.row_link.change(None, self.row_link, self.link, js=_TO_ADDRESS, **_EVENT)
        everything = [*self.inputs, self.kept_link, self.wrong]
        self.blocks.load(self._opened, self.row_link, everything, js=_OF_ADDRESS, **_EVENT).then(**show, **_EVENT)
        self.example.click(self._example, None, [*self.inputs, self.wrong], **_EVENT)
        self.keep.click(self._keep, self.inputs, self.kept_link, **_EVENT)
        self.forget.click(lambda: "", None, self.kept_link, **_EVENT)
        self.swap.click(self._swap, [self.kept_link, *self.inputs], [*self.inputs, self.kept_link], **_EVENT)

    def _read(self, given: Sequence[Any]) -> Row:
        return {field.name: field.read(value) for field, value in zip(self.fields, given, strict=True)}

    def _written(self, row: Row) -> list[Any]:
        return [field.written(row[field.name]) for field in self.fields]

    def _show(self, kept_link: str, chosen: int, along: str | None, *given: Any) -> list[Any]:
        """Returns the panels of a row, and its query string."""
        schema = self.asker.schema
        try:
            row = self._read(given)
            answer = self.asker.answer(row)
        except DataError as error:
            return [refusal_panel(str(error)), "", "", "", gr.skip()]
        index = int(answer.values.argmax()) if self.classes and not 0 <= chosen < len(self.classes) else max(chosen, 0)
        curve = ""
        if along in self.asker.by_name:
            curve = curve_panel(schema, self.asker.by_name[along], self.asker.curve(row, along), index)
        kept = self._kept(kept_link)
        return [
            answer_panel(schema, answer, self.asker.answers_by),
            why_panel(schema, answer, index),
            curve,
            self._sides(kept, (row, answer), index),
            query_of(self.fields, row, kept),
        ]

    def _sides(self, kept: Row | None, now: tuple[Row, Answer], index: int) -> str:
        if kept is None:
            return "<p>Keep a row, then change a field or take another example: the two are shown side by side.</p>"
        try:
            answer = self.asker.answer(kept)
        except DataError as error:
            # A link may hold any.
            return notice([f"The kept row has no answer: {error}"], "fault")
        return comparison_panel(self.asker.schema, self.fields, (kept, answer), now, index)

    def _kept(self, kept_link: str) -> Row | None:
        return rows_of(kept_link, self.fields, self.asker.typical)[0] if kept_link else None

    def _opened(self, query: str) -> list[Any]:
        """Returns what a link holds: the fields, the kept row, and what is wrong with the link."""
        row, kept, wrong = rows_of(query or "", self.fields, self.asker.example(0))
        return [*self._written(row), query_of(self.fields, kept) if kept is not None else "", notice(wrong, "fault")]

    def _example(self) -> list[Any]:
        return [*self._written(self.asker.example()), ""]

    def _keep(self, *given: Any) -> str:
        try:
            row = self._read(given)
            # Its values may fit each by itself, and not together.
            self.asker.answer(row)
        except DataError as error:
            # Gradio shows it as HTML.
            raise gr.Error(text(error), print_exception=False) from None
        return query_of(self.fields, row)

    def _swap(self, kept_link: str, *given: Any) -> list[Any]:
        kept = self._kept(kept_link)
        if kept is None:
            return [gr.skip()] * (len(self.inputs) + 1)
        return [*self._written(kept), self._keep(*given)]

    def _listed(self, user: str | None, seen: bool) -> str:
        if not user:
            return ""
        try:
            return self.lists.panel(str(user), seen)
        except DataError as error:
            return notice([str(error)], "fault")


def _component(field: Field, held: int) -> Any:
    """Returns the component of a field, with at most so many categories to choose from."""
    more = f"; the {held:,} most frequent are listed, type any other" if len(field.values) > held else ""
    shared: dict[str, Any] = {
        "label": field.label,
        # In which a column's name might be a link to another host.
        "info": plain(field.info + more) or None,
        "elem_id": f"field-{field.name}",
        "elem_classes": ["tfwd-line"] if field.kind == "categories" else None,
        "min_width": 150,
        "interactive": True,
    }
    if field.kind == "number":
        return gr.Number(step=1, **shared)
    if field.kind in ("numbers", "moment"):
        return gr.Textbox(max_lines=3, **shared)
    choices: list[Any] = list(field.values[:held])
    if field.kind == "category":
        choices.insert(0, (MISSING, ""))
    return gr.Dropdown(choices, multiselect=field.kind == "categories", allow_custom_value=True, value=None, **shared)
