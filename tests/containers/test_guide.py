"""Every command of the deployment guide, as it is written there.

Only names differ: the tests have a project and a port of their own, so that they
touch no other system on the engine. Left out: editing with nano; `docker-compose
pull`, which needs a registry; `docker secret create`, which needs Swarm (here
secrets are files that compose mounts).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from tests.support.containers import System

ALPINE = "alpine"


@dataclass(frozen=True)
class Line:
    """A command, what must be in its output, and how long one that never ends by itself is let run."""

    command: str
    shows: str = ""
    follow: float = 0


GUIDE = [
    # Quick start
    Line("cp .env.example .env.copy"),
    Line("./docker-manage.sh build production"),
    Line("./docker-manage.sh start production", "ready: http://"),
    Line("./docker-manage.sh status", "meld-rag-app"),
    Line("./docker-manage.sh logs", "serving"),
    # Operations guide
    Line("./docker-manage.sh restart production", "ready: http://"),
    Line("docker-compose ps -a", "meld-rag-redis"),
    Line("docker stats", "meld-rag-vector", follow=6),
    Line("docker system df", "Volumes"),
    Line("./docker-manage.sh logs app -f", "app", follow=6),
    Line("./docker-manage.sh logs redis -f", "redis", follow=6),
    Line("docker-compose logs > system_logs_$(date +%Y%m%d).log && cat system_logs_*.log", "vector"),
    Line("./docker-manage.sh health", '"status":"ready"'),
    Line("curl http://localhost:5000/health", '"status":"ready"'),
    # Troubleshooting
    Line("./docker-manage.sh logs app", "app"),
    Line("docker inspect meld-rag-app", '"healthy"'),
    Line("docker stats --no-stream", "meld-rag-session"),
    Line("docker-compose exec -T app redis-cli -h redis ping", "PONG"),
    Line("./docker-manage.sh logs redis", "Ready to accept connections"),
    Line("docker-compose exec -T app nslookup redis", "Address: "),
    Line("docker volume ls | grep chromadb", "meld-rag_chromadb_data"),
    Line("docker volume inspect meld-rag_chromadb_data", "Mountpoint"),
    Line("echo id | ./docker-manage.sh shell app", "uid=1000(app)"),
    Line("curl http://localhost:5000/metrics", "http_server_request_duration"),
    Line("echo 'cat /app/.env' | ./docker-manage.sh shell app", "FLASK_PORT="),
    # Data management
    Line("./docker-manage.sh backup", "backups/"),
    Line(
        "mkdir -p backups/manual_$(date +%Y%m%d) && docker run --rm -v meld-rag_chromadb_data:/data"
        " -v $(pwd)/backups/manual_$(date +%Y%m%d):/backup alpine"
        " tar czf /backup/chromadb.tar.gz -C /data . && ls backups/manual_*",
        "chromadb.tar.gz",
    ),
    Line(
        "docker run --rm -v meld-rag_redis_data:/data -v $(pwd)/backups/manual_$(date +%Y%m%d):/backup alpine"
        " tar czf /backup/redis.tar.gz -C /data . && ls backups/manual_*",
        "redis.tar.gz",
    ),
    Line("./docker-manage.sh --yes restore ./backups/$(ls backups | grep '^20' | tail -n 1)"),
    Line("./docker-manage.sh stop"),
    Line(
        "docker run --rm -v meld-rag_chromadb_data:/data"
        " -v $(pwd)/backups/manual_$(date +%Y%m%d):/backup alpine"
        ' sh -c "rm -rf /data/* && tar xzf /backup/chromadb.tar.gz -C /data"'
    ),
    Line("./docker-manage.sh start", "ready: http://"),
    Line(
        "docker run --rm -v meld-rag_chromadb_data:/data alpine tar czf - -C /data . > chromadb_export.tar.gz"
        " && tar tzf chromadb_export.tar.gz",
        "vector/",
    ),
    Line("docker volume create meld-rag_imported"),
    Line(
        "docker run --rm -i -v meld-rag_imported:/data alpine"
        ' sh -c "tar xzf - -C /data && ls /data" < chromadb_export.tar.gz',
        "vector",
    ),
    Line("docker volume rm meld-rag_imported"),
    # Security, production, maintenance
    Line("chmod 600 .env && chmod 700 backups/"),
    Line("docker-compose exec -T app curl -f http://localhost:5000/health || exit 1", '"status":"ready"'),
    Line("docker-compose up -d --no-deps app"),
    Line("./docker-manage.sh update --no-build", "up to date"),
    Line("./docker-manage.sh restart", "ready: http://"),
    Line("./docker-manage.sh health", '"status":"ready"'),
]

COMMANDS = (
    *(
        "build",
        "start",
        "restart",
        "stop",
        "status",
        "logs",
        "health",
        "owner",
        "shell",
        "backup",
        "verify",
        "restore",
    ),
    *("update", "scale", "cleanup", "export", "import", "rotate-secrets", "doctor"),
)
DOCUMENT = {"elmsund": "The harbour of Elmsund is fourteen metres deep."}


def test_the_guide_does_what_it_says(running: System) -> None:
    alpine = running.run("docker", "image", "inspect", ALPINE, check=False)
    if alpine.returncode != 0:
        # Any image with a shell and tar will do for these lines.
        running.run("docker", "tag", "debian:bookworm-slim", ALPINE)
    running.ingest("guide", DOCUMENT)
    try:
        for line in GUIDE:
            follow(running, line)
    finally:
        if alpine.returncode != 0:
            running.run("docker", "rmi", ALPINE, check=False)
    running.wait_ready(60)
    assert [hit["external_id"] for hit in running.search("guide", "harbour", "lexical")] == ["elmsund"]


def follow(running: System, line: Line) -> None:
    # The project's name where the guide has its own, and inside the containers the port stays 5000.
    command = re.sub(r"\bmeld-rag(?=[-_])", running.project, line.command)
    if " exec " not in command:
        command = command.replace("localhost:5000", f"localhost:{running.port}")
    shows = re.sub(r"\bmeld-rag(?=[-_])", running.project, line.shows)
    if line.follow:
        command = f"timeout --signal=INT --kill-after=5 {line.follow} {command}; [ $? -le 130 ]"
    done = running.run("bash", "-c", command, check=False)

    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}"
    assert shows in done.stdout, f"{command}\n{done.stdout[-3000:]}"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_and_does_nothing_then(running: System, command: str) -> None:
    said = running.manage(command, "--help")

    assert said.stdout.startswith(f"usage: ./docker-manage.sh   {command}")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["frobnicate"], 2),
        (["start", "staging"], 2),
        (["scale", "redis=2"], 2),
        (["scale", "app=many"], 2),
        (["restore"], 2),
        (["restore", "/nowhere"], 1),
        (["cleanup", "everything"], 2),
        (["cleanup", "full"], 1),  # nobody there to answer the question
        (["import", "chromadb_data", "/nowhere"], 2),
        (["export", "no_such_volume"], 1),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_changes(
    running: System, words: list[str], code: int
) -> None:
    before = running.own_containers()

    refused = running.manage(*words, check=False)

    assert refused.returncode == code, refused.stdout
    assert running.own_containers() == before


def test_it_works_from_any_folder(running: System) -> None:
    done = running.run("bash", "-c", f"cd / && {running.folder}/docker-manage.sh health")

    assert '"status":"ready"' in done.stdout
