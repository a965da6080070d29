"""Completion by the tab key, asked of bash itself."""

import shutil
import subprocess
from pathlib import Path

import pytest

from draw.cli import DATA_VERBS, VERBS
from draw.cli.tab_completion import SHELLS, completion
from draw.config.presets import PRESETS
from running import draw_command

ASK = """
source "$1"; shift
while [ $# -gt 0 ]; do
    read -ra COMP_WORDS <<< "$1"
    [[ $1 == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_LINE=$1; COMPREPLY=()
    _tyro_draw
    echo "${COMPREPLY[@]}"
    shift
done
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_verbs_presets_options_and_values(tmp_path: Path) -> None:
    script = tmp_path / "draw"
    script.write_text(draw_command("--completion", "bash", cwd=tmp_path).stdout)
    expected = {
        "draw sam": "sample",
        "draw data che": "check",
        "draw sample mnist --see": "--seed",
        "draw sample mnist --backend refe": "reference",
        "draw train mnist-sm": "mnist-small",
        "draw train mnist --train.st": "--train.steps --train.start-from",
        "draw train cluttered --model.window-c": "--model.window-clip",
        "draw train mnist --dry": "--dry-run",
        "draw train mnist --help-": "--help-all",
        "draw train --res": "--resume",
        "draw train --con": "--config",
    }
    command = ["bash", "-c", ASK, "ask", str(script), *expected]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert dict(zip(expected, done.stdout.splitlines(), strict=True)) == expected


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_every_name(shell: str) -> None:
    script = completion(shell, VERBS, DATA_VERBS)
    for name in (*VERBS, "data", *DATA_VERBS, *PRESETS, "--train.learning-rate"):
        assert f"'{name}'" in script, name


def test_a_shell_that_is_none_is_told(tmp_path: Path) -> None:
    told = draw_command("--completion", "powershell", cwd=tmp_path, check=1).stderr
    assert "expected --completion bash, zsh, fish, got 'powershell'" in told
