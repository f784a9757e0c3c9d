"""The arena's counts agree, even when it is interrupted, and it reports wrong arguments."""

from __future__ import annotations

import random
import signal
import subprocess
import sys

import pytest

from examples.arena.__main__ import main
from examples.arena.world import MAX_STEP, REACH, SIGHT, World


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
        (["--wrong", "2"], "must be from 0 to 1, not 2.0"),
        (["--avatars", "many"], "invalid _positive value"),
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
    assert "The arena cannot open" in capsys.readouterr().out


def test_the_world_keeps_its_rules():
    world = World(30.0, seed=3)
    dice = random.Random(1)
    for number in range(40):
        world.enter(f"player {number}")
    for _ in range(2000):
        body = world.bodies[dice.choice(list(world.bodies))]
        x, y, score = body.x, body.y, body.score
        picked_up = world.move(body.name, dice.uniform(-9, 9), dice.uniform(-9, 9))
        assert ((body.x - x) ** 2 + (body.y - y) ** 2) ** 0.5 <= MAX_STEP + 1e-9
        assert 0 <= body.x <= 30
        assert 0 <= body.y <= 30
        assert all(
            (body.x - rock.x) ** 2 + (body.y - rock.y) ** 2 >= rock.radius**2
            for rock in world.obstacles
        )
        assert body.score == score + picked_up
        assert len(world.pickups) == 50
        near = {
            other.name
            for other in world.bodies.values()
            if other is not body and (other.x - body.x) ** 2 + (other.y - body.y) ** 2 <= SIGHT**2
        }
        assert {other.name for other in world.seen_by(body.name)} == near
    for name in list(world.bodies):
        world.leave(name)
    assert not world.bodies
    assert not world._cells
    assert REACH < SIGHT
