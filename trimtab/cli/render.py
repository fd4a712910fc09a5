"""Tables and lines for the terminal; the same in a log file, where there are no colours."""

from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from trimtab.supervisor.state import PartState, Phase, StackState

PART_STYLES = {
    PartState.READY: "green",
    PartState.RESTARTING: "yellow",
    PartState.GIVEN_UP: "red",
}


def endpoints_table(state: StackState) -> Table:
    """Ports and URLs."""
    table = Table("what", "where", "for", title="Trimtab is up", title_justify="left")
    for row in state.endpoints:
        table.add_row(row.name, row.url, row.purpose)
    return table


def parts_table(state: StackState) -> Table:
    """Supervised processes."""
    table = Table("process", "state", "pid", "restarts", "log", title=f"stack: {state.phase}", title_justify="left")
    for part in state.parts:
        style = PART_STYLES.get(part.state, "dim")
        table.add_row(part.name, f"[{style}]{part.state}[/]", str(part.pid or ""), str(part.restarts), str(part.log))
    return table


def follow_start(out: Console) -> Callable[[StackState], None]:
    """A watcher that writes a line whenever a part changes, and the table of endpoints once everything is ready."""
    shown: dict[str, PartState] = {}
    announced: set[Phase] = set()

    def watch(state: StackState) -> None:
        for part in state.parts:
            former = shown.get(part.name, PartState.WAITING)
            never_ran = former is PartState.WAITING and part.state is PartState.STOPPED
            if part.state is not former and not never_ran:
                out.print(f"  {part.name}: {part.state}" + (f" (process {part.pid})" if part.pid else ""))
            shown[part.name] = part.state
        if state.phase not in announced:
            announced.add(state.phase)
            if state.phase is Phase.READY:
                out.print(endpoints_table(state))
                out.print("Ctrl-C stops everything.")
            elif state.phase is Phase.STOPPING:
                out.print("stopping …")

    return watch
