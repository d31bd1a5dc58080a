import copy
import pickle
import re
from pathlib import Path

import pytest

from forecast import errors
from forecast.errors import DataError, ForecastError, ParameterError, Problem


def descendants(kind):
    return [kind, *(one for child in kind.__subclasses__() for one in descendants(child))]


def test_the_tree_in_the_docstring_is_the_real_one():
    drawn, path = {}, []
    for line in errors.__doc__.splitlines():
        match = re.match(r"^    ([│├└─ ]*)([A-Z]\w+)  ", line + "  ")
        if match:
            depth = len(match[1]) // 4
            path = [*path[:depth], match[2]]
            drawn[match[2]] = path[-2] if depth else None
    classes = {name: thing for name, thing in vars(errors).items() if isinstance(thing, type)}
    assert drawn.pop("DataWarning") is None
    assert drawn.pop("ForecastError") is None
    assert drawn == {
        name: thing.__bases__[0].__name__
        for name, thing in classes.items()
        if issubclass(thing, ForecastError) and thing is not ForecastError
    }


def test_the_caller_s_mistakes_are_value_errors():
    assert issubclass(DataError, ValueError)
    assert issubclass(ParameterError, ValueError)


def test_a_message_lists_the_first_problems_with_their_hints():
    problems = [Problem(f"fault {i}", f"mend {i}" if i else "") for i in range(8)]
    with pytest.raises(ForecastError) as error:
        raise DataError("bad-target", problems)
    assert str(error.value).splitlines() == [
        "fault 0",
        *(f"fault {i}; mend {i}" for i in range(1, 5)),
        "... and 3 more",
    ]
    assert error.value.problems == tuple(problems)
    assert error.value.code == "bad-target"


def test_every_code_that_is_raised_has_a_title():
    source = "".join(path.read_text() for path in Path(errors.__file__).parent.rglob("*.py"))
    raised = set(re.findall(r'DataError\(\s*"([a-z-]+)"', source))
    assert raised <= set(DataError.CODES)


@pytest.mark.parametrize("kind", [*descendants(ForecastError)], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("carry", [copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_come_back_whole_from_other_processes(kind, carry):
    problem = Problem("what was found", "what to do", "shop_1", "target")
    error = kind("bad-target", problem) if kind is DataError else kind(problem)
    carried = carry(error)
    assert type(carried) is kind
    assert (carried.code, carried.problems, str(carried)) == (error.code, error.problems, str(error))
