"""The one error of this package: what cannot be, where it stands, and what to write instead."""


class SloError(ValueError):
    """An SLO that cannot be: `field` names the culprit and `fix` what to write instead."""

    def __init__(self, field: str, problem: str, fix: str) -> None:
        super().__init__(f"{field}: {problem}; {fix}")
        self.field = field
        self.problem = problem
        self.fix = fix
