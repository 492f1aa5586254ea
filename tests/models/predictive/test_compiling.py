"""Where compiled functions are kept."""

import numba

from models.predictive.compiling import cache_folder, compiled


def test_a_change_of_any_source_is_another_folder(tmp_path):
    caller, callee = tmp_path / "caller.py", tmp_path / "callee.py"
    caller.write_text("calls")
    callee.write_text("before")
    before = cache_folder([caller, callee], [tmp_path])

    again = cache_folder([callee, caller], [tmp_path])
    callee.write_text("behind")
    after = cache_folder([caller, callee], [tmp_path])

    assert again == before
    assert after != before


def test_a_folder_that_cannot_be_made_is_passed_over(tmp_path):
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "source.py").write_text("")
    sources = [tmp_path / "source.py"]

    second = cache_folder(sources, [tmp_path / "file", tmp_path / "home"])

    assert second is not None
    assert second.parent == tmp_path / "home"
    assert cache_folder(sources, [tmp_path / "file"]) is None


def test_a_function_is_kept_in_the_folder_and_compiled_all_the_same_without_one(tmp_path):
    elsewhere = numba.config.CACHE_DIR

    kept, not_kept = compiled(_twice, tmp_path), compiled(_twice, None)

    assert kept(4) == not_kept(4) == 8
    assert [path.suffix for path in sorted(tmp_path.rglob("*.nb*"))] == [".nbc", ".nbi"]
    assert elsewhere == numba.config.CACHE_DIR


def _twice(x):
    return 2 * x
