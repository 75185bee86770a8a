"""The answer of a benchmark: a table as text, as Markdown, and as data."""
import dataclasses


@dataclasses.dataclass
class Table:
    """The answer of a benchmark.

    Attributes:
        question: what was asked, one line.
        columns: names, with units.
        rows: lists of a str or a number a column; None where there is no figure.
        notes: lines of text below the table.
        seconds: wall time that the benchmark took.
        raw: what the rows were made of, for JSON: name of a row -> all that was measured.
    """

    question: str
    columns: list
    rows: list = dataclasses.field(default_factory=list)
    notes: list = dataclasses.field(default_factory=list)
    seconds: float = 0.
    raw: dict = dataclasses.field(default_factory=dict)

    def add(self, *row):
        """Append a row."""
        if len(row) != len(self.columns):
            raise ValueError(f'{self.question}: {len(self.columns)} cells expected, got {row}')
        self.rows.append(list(row))

    def note(self, text):
        """Append a note, unless it is there."""
        if text not in self.notes:
            self.notes.append(text)

    def __str__(self):
        table = [self.columns, *([format_cell(cell) for cell in row] for row in self.rows)]
        widths = [max(len(row[i]) for row in table) for i in range(len(self.columns))]
        lines = [self.question, '']
        for number, row in enumerate(table):
            first, *others = (cell.ljust(width) if i == 0 else cell.rjust(width)
                              for i, (cell, width) in enumerate(zip(row, widths)))
            lines.append('  '.join([first, *others]).rstrip())
            if number == 0:
                lines.append('-' * len(lines[-1]))
        return '\n'.join([*lines, *([''] if self.notes else []), *self.notes])

    def markdown(self):
        """Return the table in Markdown, notes below it as a list."""
        rows = [self.columns, ['---', *['---:'] * (len(self.columns) - 1)],
                *([format_cell(cell) for cell in row] for row in self.rows)]
        lines = [f'| {" | ".join(cell.replace("|", chr(92) + "|") for cell in row)} |'
                 for row in rows]
        return '\n'.join([self.question, '', *lines, '', *(f'- {note}' for note in self.notes)])


def format_cell(cell):
    """Return a cell as text: numbers with four significant digits, nothing as '-'."""
    if cell is None:
        return '-'
    if isinstance(cell, str):
        return cell
    return f'{cell:,}' if isinstance(cell, int) else f'{cell:.4g}'


def verdict(value, bar):
    """Return a bar with what became of it: at most ``bar`` is met."""
    return f'{bar:.3g} {"met" if value <= bar else "MISSED"}'
