"""A small figure module, for tests of the commands that draw."""

import types

from figures.style import new_figure, styled


def tiny_figure(drawn):
    """A stand-in for a figure module; `drawn` collects the number of rows each time it draws."""

    def draw(table):
        drawn.append(len(table))
        figure = new_figure(2.0)
        with styled():
            figure.subplots().plot(table["number"], table["third"])
        return figure

    figure = types.ModuleType("tiny_figure")
    figure.draw, figure.CAPTION, figure.__file__ = draw, "A line <and> a caption.", __file__
    return figure
