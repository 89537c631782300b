# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""The page of `design-space explore`, a marimo app: each cell calls one function."""

import marimo

app = marimo.App(width="full", app_title="design_space: explore", css_file="page.css")

with app.setup:
    import marimo as mo

    from design_space.commands.explore import layout, lessons, live, reading, widgets
    from design_space.explorer.design import specification
    from design_space.explorer.export import table
    from design_space.explorer.state import State


@app.cell
def opened():
    """The state of the link, and what the page keeps."""
    first, notes = State.from_query(mo.query_params().to_dict())
    memory = reading.Memory(first.mixture, None if first.step == first.steps else first.step)
    get_view, set_view = mo.state(reading.View())
    return first, get_view, memory, notes, set_view


@app.cell
def choice_of_page(first, notes):
    """The heading, with the choice of a lesson."""
    choice = widgets.lesson_choice(lessons.titles(), first.lesson)
    layout.heading(notes, choice)
    return (choice,)


@app.cell
def lesson_text(choice):
    """The lesson, if one is open."""
    lessons.shown(choice.value)
    return


@app.cell
def elements(first):
    """The controls; the number of steps apart, for the slider along the path."""
    others = mo.ui.dictionary(widgets.elements(first))
    steps = widgets.steps_slider(first.steps)
    placed = {**others.elements, "steps": steps}
    return others, placed, steps


@app.cell
def panel(get_view, placed):
    """The controls on the page."""
    layout.panel(placed, get_view())
    return


@app.cell
def path(memory, steps):
    """The slider along the path, made anew when N changes."""
    step = widgets.step_slider(steps.value, reading.step_in(steps.value, memory))
    return (step,)


@app.cell
def bar(criterion, per_step, step):
    """The slider on the page."""
    layout.path_bar(step, [per_step, criterion])
    return


@app.cell
def wishes_of_page():
    """How the budget and the winner map are drawn."""
    per_step, criterion = widgets.budget_choice(), widgets.criterion_choice()
    return criterion, per_step


@app.cell
def state_of_page(choice, memory, others, set_view, step, steps):
    """The state that the controls describe."""
    values = {**others.value, "steps": steps.value, "lesson": choice.value}
    values["step"] = reading.chosen(step.value, steps.value, memory)
    state, messages = reading.read(values, memory)
    if (view := reading.view(state, messages)) != memory.view:  # else the panel stays as it is
        memory.view = view
        set_view(view)
    return (state,)


@app.cell
def show(criterion, memory, per_step, state):
    """The pictures."""
    live.show(state, live.Wishes(per_step.value, criterion.value), memory)
    return


@app.cell
def files(memory):
    """The downloads, made when they are asked for."""
    buttons = [
        mo.download(
            live.file_of(memory, lambda numbers: specification(numbers.state)),
            filename="design.toml",
            mimetype="text/plain",
            label="Specification (TOML)",
        ),
        mo.download(
            live.file_of(memory, lambda numbers: table(numbers).to_csv(index=False)),
            filename="steps.csv",
            mimetype="text/csv",
            label="Numbers per step (CSV)",
        ),
    ]
    return (buttons,)


@app.cell
def link(buttons, state):
    """The link to the state."""
    layout.keep(state.to_query(), buttons)
    return


if __name__ == "__main__":
    app.run()
