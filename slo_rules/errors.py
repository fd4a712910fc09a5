"""The one error of this package: what cannot be, where it stands, and what to write instead."""


class SloError(ValueError):
    """An SLO that cannot be: `field` names the culprit and `fix` what to write instead."""

    def __init__(self, field: str, problem: str, fix: str) -> None:
        super().__init__(f"{field}: {problem}; {fix}")
        self.field = field
        self.problem = problem
        self.fix = fix


class SloFaults(SloError):  # noqa: N818  # several of the above, not another kind
    """Several faults of one set of documents, so that an author mends them in one go; the first stands for all."""

    def __init__(self, faults: tuple[SloError, ...]) -> None:
        super().__init__(faults[0].field, faults[0].problem, faults[0].fix)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


def faults_in(error: SloError) -> tuple[SloError, ...]:
    """Every fault that `error` stands for, at least itself."""
    return error.faults if isinstance(error, SloFaults) else (error,)
