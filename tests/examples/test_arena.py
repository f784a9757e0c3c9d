"""The arena's counts agree, even when it is interrupted, and it reports wrong arguments."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from examples.arena.__main__ import main
from examples.arena.accounts import make_accounts


def run(*arguments, **options):
    command = [sys.executable, "-m", "examples.arena", "--listen", "ws:127.0.0.1:0", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, **options
    )


def test_a_short_game_adds_up_and_scores_outlive_it(tmp_path):
    arguments = [
        "--avatars",
        "60",
        "--duration",
        "5",
        "--wrong",
        "0.3",
        "--crash-rate",
        "0.02",
        "--data",
        str(tmp_path),
    ]
    for _ in range(2):
        done = run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        assert ": yes" in done.stdout
        assert "actors left" in done.stdout
        assert "sessions: " in done.stdout
    assert (tmp_path / "scores.sqlite").exists()
    assert oct((tmp_path / "bots.txt").stat().st_mode)[-2:] == "00"


def test_an_interrupted_game_still_logs_everybody_out(tmp_path):
    command = [
        sys.executable,
        "-u",
        "-m",
        "examples.arena",
        "--headless",
        "--avatars",
        "30",
        "--duration",
        "60",
        "--data",
        str(tmp_path),
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as game:
        for line in game.stdout:
            if "sessions: 30" in line:
                game.send_signal(signal.SIGINT)
                break
        out, err = game.communicate(timeout=60)

    assert game.returncode == 0, out + err
    assert "Interrupted: ending all sessions." in out
    assert ": yes" in out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--avatars", "0"], "must be at least 1, not 0"),
        (["--avatars", "1000000"], "must be at most 100000, not 1000000"),
        (["--avatars", "many"], "must be a whole number, not 'many'"),
        (["--avatars", "2.5"], "must be a whole number, not '2.5'"),
        (["--wrong", "2"], "must be from 0 to 1, not 2.0"),
        (["--wrong", "nan"], "must be from 0 to 1, not nan"),
        (["--crash-rate", "often"], "must be a number, not 'often'"),
        (["--size", "9"], "must be from 32 to 1200, not 9"),
        (["--size", "nan"], "must be from 32 to 1200, not nan"),
        (["--seed", "x"], "must be a whole number, not 'x'"),
        (["--duration", "long"], "must be a number of seconds, not 'long'"),
        (["--duration", "-1"], "must be 0 seconds or more, not -1"),
        (["--max-sessions", "0"], "must be at least 1, not 0"),
        (["--nodes", "0"], "must be at least 1, not 0"),
        (["--nodes", "7"], "must be at most 6, not 7"),
        (["--nodes", "some"], "must be a whole number, not 'some'"),
        (["--nodes", "3", "--size", "143"], "must be at least 144 for 3 nodes"),
        (["--listen", "tcp:127.0.0.1:1"], "must begin with ws: or wss:"),
    ],
)
def test_wrong_arguments_are_named(arguments, problem, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err


def test_a_folder_that_cannot_be_used_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")

    assert main(["--avatars", "1", "--data", str(tmp_path / "file" / "sub")]) == 2
    said = capsys.readouterr().out
    assert "The arena cannot open" in said
    assert "another folder with --data" in " ".join(said.split())


def test_accounts_are_kept_and_more_of_them_are_made_anew(tmp_path):
    made = []
    _, few = make_accounts(tmp_path, 3, threading.Event(), lambda: made.append(1))
    _, same = make_accounts(tmp_path, 2, threading.Event(), lambda: made.append(1))
    assert same == few[:2]
    assert len(made) == 3
    htpasswd, more = make_accounts(tmp_path, 5, threading.Event(), lambda: made.append(1))
    assert len({account.name for account in more}) == 5
    assert len(htpasswd.read_text().splitlines()) == 5
    assert len(made) == 8


def test_several_nodes_without_the_client_of_nats_name_the_extra(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("examples.arena.__main__.find_spec", lambda _: None)
    assert main(["--nodes", "2", "--data", str(tmp_path)]) == 2
    assert "pip install 'actorcred[cluster]'" in " ".join(capsys.readouterr().out.split())
