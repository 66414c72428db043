"""The contract: what every model of kgen does, as checks that a model of your own can be put to.

`check_model(MyModel)` runs all that apply; `checks(MyModel)` lists them, for pytest:

    @pytest.mark.parametrize(("name", "check"), kgen.testing.checks(MyModel))
    def test_contract(name, check):
        check()

Which checks apply is read off the class (`players`, `likelihood`, `encodes`, ...). The model is
made with its `small_arguments`, and trained on data of its own spaces, made of digits.
"""

import kgen.chosen_backend  # noqa: F401  # before Keras
from kgen.testing.runner import check_model, checks

__all__ = ["check_model", "checks"]
