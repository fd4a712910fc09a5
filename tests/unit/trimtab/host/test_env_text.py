"""The environment file's syntax, against systemd's own parser where it is installed."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.host.env_text import parse_env, quoted
from trimtab.host.errors import EnvFileError

GENERATOR = Path("/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator")
"""systemd's reader of environment.d: the same parser behind another door."""

LINES = {
    "bare": ("A=one", "one"),
    "blanks around a bare value": ("A=  one two \t", "one two"),
    "an escaped blank at the end stays": ("A=one\\ ", "one "),
    "single quotes": ("A='one \\ \" two'", 'one \\ " two'),
    "double quotes with escapes": ('A="say \\"hi\\" \\\\ \\x"', 'say "hi" \\ \\x'),
    "stretches are joined": ("A='one' \"two\" three", "onetwothree"),
    "quotes inside a bare value are letters": ('A=it\'s "so"', 'it\'s "so"'),
    "a line goes on behind a backslash": ("A=one\\\ntwo", "onetwo"),
    "a quoted value may span lines": ("A='one\ntwo'", "one\ntwo"),
    "empty": ("A=", ""),
    "JSON in single quotes": ("""A='["/a:/b:ro","c"]'""", '["/a:/b:ro","c"]'),
}


@pytest.mark.parametrize(("line", "value"), LINES.values(), ids=LINES.keys())
def test_a_value_is_read_as_systemd_reads_it(line, value):
    assert [found.value for found in parse_env(f"# before\n\n{line}\n; after\n")] == [value]
    assert parse_env(f"{line}\nB=2")[-1].value == "2"


@pytest.mark.skipif(not GENERATOR.exists(), reason="needs systemd's environment generator (apt-get install systemd)")
@pytest.mark.parametrize("case", sorted(LINES.keys() - {"a quoted value may span lines", "empty"}))  # it prints neither
def test_systemd_itself_agrees(case, tmp_path):
    line, value = LINES[case]
    folder = tmp_path / "environment.d"
    folder.mkdir()
    (folder / "50-sample.conf").write_text(f"{line}\n")
    answer = subprocess.run(
        [GENERATOR], env={"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True, check=True, timeout=10,
    )  # fmt: skip
    assert [found.value for found in parse_env(answer.stdout.decode()) if found.name == "A"] == [value]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("OK=1\nno equals here\n", "line 2: no `=`$"),
        ("1A=x\n", "line 1: '1A' is not the name"),
        ("export A=x\n", "line 1: 'export A' is not the name"),
        ("A='open\nB=2\n", "line 1: the single quote is never closed"),
        ('B=1\n\nA="open\n', "line 3: the double quote is never closed"),
    ],
)
def test_a_malformed_line_is_named(text, told):
    with pytest.raises(EnvFileError, match=told):
        parse_env(text)


@given(st.text(alphabet=st.characters(blacklist_characters="\n\r\0", blacklist_categories=("Cs",))))
def test_what_is_quoted_is_read_back(value):
    assert [found.value for found in parse_env(f"A={quoted(value)}\nB=1\n")] == [value, "1"]


def test_a_value_with_a_line_break_is_refused():
    with pytest.raises(EnvFileError, match="line break"):
        quoted("one\ntwo")
