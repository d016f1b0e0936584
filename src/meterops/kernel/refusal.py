"""A named refusal instead of silence."""


class Refusal(Exception):
    """An operation was understood and is not done. Its text is a sentence for the person who asked.

    Each case is a subclass named as a clause (`ScheduleIsPaused`); its docstring is the sentence where none is given.
    `details` are plain values that a machine may want beside the sentence.
    """

    def __init__(self, message: str = "", /, **details: object) -> None:
        text = message or (type(self).__doc__ or type(self).__name__).strip().splitlines()[0]
        super().__init__(text)
        self.details = details

    @property
    def code(self) -> str:
        """The case's name, stable for programs."""
        return type(self).__name__
