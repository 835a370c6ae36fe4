"""plugins.txt as text: what its lines mean, and that nothing else of it ever changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exgate_core.errors import InvalidArgument
from exgate_core.pluginlist import Drift, drift, followed, merged, read, text_of, wanted, without

FILE = """\
# what this machine trades with
--find-links wheels
exgate-binance==1.2.0 \\
    --hash=sha256:aaaa \\
    --hash=sha256:bbbb

Exgate_Kraken>=1,<2   # the fast one
exgate-okx[ed25519]==3.0 ; python_version >= "3.11"
./dist/exgate_acme-1.0-py3-none-any.whl
exgate-lemon @ https://example.org/x.zip#sha256=cc
-e ../own
git+https://example.org/unnamed
"""


def change(text: str, *packages: str) -> str:
    return text_of(merged(read(text), [wanted(package, Path("/nowhere")) for package in packages]))


def test_what_the_lines_ask_for() -> None:
    found = {line.name: (line.said, line.pinned, line.conditional) for line in read(FILE) if line.name}
    assert found == {
        "exgate-binance": ("exgate-binance==1.2.0", "1.2.0", False),
        "exgate-kraken": ("Exgate_Kraken>=1,<2", "", False),
        "exgate-okx": ('exgate-okx[ed25519]==3.0 ; python_version >= "3.11"', "3.0", True),
        "exgate-acme": ("./dist/exgate_acme-1.0-py3-none-any.whl", "", False),
        "exgate-lemon": ("exgate-lemon @ https://example.org/x.zip#sha256=cc", "", False),
    }


@given(st.lists(st.sampled_from([*FILE.splitlines(keepends=True), "\r\n", "  \\\n", "x\r\n", "#\\\n", "\x0c"])))
def test_a_file_that_is_read_and_written_is_the_same(lines: list[str]) -> None:
    assert text_of(read("".join(lines))) == "".join(lines)


@pytest.mark.parametrize("text", ["", "# mine\n", "exgate-a", "exgate-a\n", FILE])
def test_a_new_plugin_comes_last(text: str) -> None:
    ended = text if text.endswith("\n") or not text else text + "\n"
    assert change(text, "exgate-new==1.0") == ended + "exgate-new==1.0\n"


def test_a_changed_plugin_stays_in_its_place_with_its_comment() -> None:
    assert change(FILE, "exgate.kraken==1.5") == FILE.replace("Exgate_Kraken>=1,<2   #", "exgate.kraken==1.5  #")


def test_a_changed_pin_loses_the_hashes_of_the_old_one() -> None:
    after = change(FILE, "exgate-binance==1.3.0 --hash=sha256:dddd")
    assert "exgate-binance==1.3.0 --hash=sha256:dddd\n" in after
    assert "aaaa" not in after and "bbbb" not in after
    assert after.splitlines()[0] == FILE.splitlines()[0] and after.endswith(FILE[FILE.index("\nExgate") :])


@pytest.mark.parametrize("package", ["exgate-binance", "Exgate_Binance", "exgate-binance==1.2.0", "exgate-okx"])
def test_what_is_listed_already_keeps_pin_and_hashes(package: str) -> None:
    assert change(FILE, package) == FILE


def test_a_name_in_two_lines_is_not_guessed_at() -> None:
    twice = 'exgate-a==1; python_version < "3.12"\nexgate-a==2; python_version >= "3.12"\n'
    with pytest.raises(InvalidArgument, match="2 lines"):
        change(twice, "exgate-a==3")


def test_removing_takes_whole_entries() -> None:
    left = text_of(without(read(FILE), ["exgate-binance", "exgate-acme"]))
    assert "hash" not in left and "acme" not in left
    assert len(left.splitlines()) == len(FILE.splitlines()) - 4


@pytest.mark.parametrize(
    "package",
    [
        "--index-url=https://example.org",
        "-rother.txt",
        "exgate-a\nexgate-b",
        "exgate-a\x00",
        "exgate-a --index-url https://example.org",
        "exgate-a==1 --global-option=x",
        "exgate-a; true --index-url x",
        "exgate-a exgate-b",
        "; rm -rf /",
        "$(touch x)",
        "",
    ],
)
def test_what_is_no_package_is_refused(package: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        wanted(package, Path("/nowhere"))
    assert repr(package) in refused.value.message


def test_wheels_and_projects_are_named_by_their_place(tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "exgate_my_own-1.0-py3-none-any.whl").touch()
    (tmp_path / "with space").mkdir()
    (tmp_path / "with space" / "pyproject.toml").write_text('[project]\nname = "exgate-other"\n')
    wheel = wanted("dist/exgate_my_own-1.0-py3-none-any.whl", tmp_path)
    assert wheel.said == f"exgate-my-own @ file://{tmp_path}/dist/exgate_my_own-1.0-py3-none-any.whl"
    assert wheel.name == "exgate-my-own"
    project = wanted("./with space", tmp_path)
    assert (project.name, project.said) == ("exgate-other", f"exgate-other @ file://{tmp_path}/with%20space")
    for wrong in ("./none.whl", "./dist"):
        with pytest.raises(InvalidArgument):
            wanted(wrong, tmp_path)


def test_where_a_list_and_an_environment_differ() -> None:
    installed = {"exgate-binance": "1.1", "exgate-kraken": "1.0", "exgate-acme": "1", "anyio": "4", "exgate-own": "1"}
    found = drift(read(FILE), installed, ["exgate-binance", "exgate-kraken", "exgate-acme", "exgate-own"])
    assert found == Drift(
        missing=("exgate-lemon",), other={"exgate-binance": ("1.2.0", "1.1")}, unlisted=("exgate-own",)
    )
    assert found.broken
    assert not drift(read("# none\n"), installed, ["exgate-own"]).broken


def test_included_files_and_editable_projects_are_listed_too(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "list.txt").write_text("exgate-b==2\n-r ../plugins.txt\n--requirement=gone.txt\n-e own\n")
    (tmp_path / "more" / "own").mkdir()
    (tmp_path / "more" / "own" / "pyproject.toml").write_text('[project]\nname = "Exgate_C"\n')
    lines = read("exgate-a\n-r more/list.txt  # the rest\n-e nowhere\n-c constraints.txt\n")
    (tmp_path / "plugins.txt").write_text(text_of(lines))
    found = list(followed(lines, tmp_path, frozenset({(tmp_path / "plugins.txt").resolve()})))
    assert [line.name for line in found if line.name] == ["exgate-a", "exgate-b", "exgate-c"]
    installed = {"exgate-a": "1", "exgate-b": "1", "exgate-c": "1"}
    assert drift(found, installed, installed) == Drift(other={"exgate-b": ("2", "1")})
    assert len(list(followed(lines, tmp_path))) >= 4  # a circle ends
