import sys

import pytest

from mlc_cli.core.system.extras import import_extra
from mlc_cli.errors import MlcError


def test_what_is_installed_is_imported() -> None:
    assert import_extra("json", "none") is sys.modules["json"]


def test_what_is_missing_is_named_with_its_extra() -> None:
    with pytest.raises(MlcError, match="no_such_library is not installed") as caught:
        import_extra("no_such_library.part", "special")
    assert "pip install 'mlc-cli[special]'" in caught.value.hint


def test_a_library_that_lacks_another_says_so_itself(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_more.py").write_text("import no_such_library")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        import_extra("needs_more", "special")
