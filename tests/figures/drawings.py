"""What every figure promises, whatever it draws."""

import importlib

from figures.style import render


def check_drawing(name, make, panels):
    """Draws figures.NAME from the table that `make()` makes, twice.

    At least so many panels, none empty, axes labelled, a caption; the same bytes each time.
    """
    module = importlib.import_module(f"figures.{name}")
    figure = module.draw(make())
    assert len(figure.axes) >= panels
    assert all(ax.lines or ax.patches or ax.collections or ax.images for ax in figure.axes)
    assert any(ax.get_xlabel() for ax in figure.axes)
    assert any(ax.get_ylabel() for ax in figure.axes)
    assert len(module.CAPTION) > 100
    first = render(figure, "png", 60)
    assert first.startswith(b"\x89PNG")
    assert len(first) > 5000
    assert first == render(module.draw(make()), "png", 60)
    return figure
