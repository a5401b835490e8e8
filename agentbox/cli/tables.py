"""Tables of figures, with the machine they were measured on."""

from __future__ import annotations

import platform

from rich.console import Console
from rich.table import Table


def new_table(title: str, *columns: str) -> Table:
    """A table whose first column is words and whose others are figures."""
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    return table


def show_table(table: Table) -> None:
    """Print the table, and what machine this is."""
    console = Console()
    console.print(table)
    console.print(f"{platform.machine()}, {platform.system()} {platform.release()}, Python {platform.python_version()}")
