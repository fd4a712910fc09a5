"""The one error of this package: which setting cannot be, why, and what to write instead."""


class AlertmanagerSettingsError(ValueError):
    """Settings that Alertmanager would refuse, that would send alerts nowhere, or that would show a secret."""

    def __init__(self, field: str, problem: str, fix: str) -> None:
        super().__init__(f"{field}: {problem}; {fix}")
        self.field = field
        self.problem = problem
        self.fix = fix

    def inside(self, path: str) -> "AlertmanagerSettingsError":
        """The same fault, named from further outside: `channel` inside `people.page[0]`."""
        return AlertmanagerSettingsError(f"{path}.{self.field}" if path else self.field, self.problem, self.fix)
